//! Where a server is, and how to reach it.

use std::{fmt, str::FromStr};

/// How frames travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// WebTransport over HTTP/3 at `/wt`. Needs a secure target.
    WebTransport,
    /// A WebSocket at `/ws`: over TLS on a secure target, else in clear.
    WebSocket,
}

/// The address of a server: `https://host:port` (also `wss://`) or, in clear, `http://host:port`
/// (also `ws://`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    host: String,
    port: u16,
    secure: bool,
}

/// The text is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a server's address: https://host:port, or http://host:port in clear")]
pub struct InvalidTarget(String);

impl Target {
    /// The host: a name or an IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, of TCP and of UDP.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the server is reached over TLS and QUIC.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host and port as they stand in an HTTP `authority`.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether the host names this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let invalid = || InvalidTarget(text.to_owned());
        let uri: http::Uri = text.parse().map_err(|_| invalid())?;
        let secure = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(invalid()),
        };
        let rooted = uri.path_and_query().is_none_or(|path| path == "/");
        let host = uri.host().filter(|host| !host.is_empty() && rooted).ok_or_else(invalid)?;
        // No port, and nothing in a port's or a user's place.
        let bare = uri.authority().is_some_and(|authority| authority.as_str() == host);
        let port = uri.port_u16().or(bare.then_some(if secure { 443 } else { 80 })).ok_or_else(invalid)?;
        Ok(Self { host: host.trim_start_matches('[').trim_end_matches(']').to_owned(), port, secure })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let target: Target = "https://[::1]:8443".parse().unwrap();
        assert_eq!((target.host(), target.port(), target.is_secure(), target.is_loopback()), ("::1", 8443, true, true));
        assert_eq!(target.to_string(), "https://[::1]:8443");
        let target: Target = "ws://chat.example/".parse().unwrap();
        assert_eq!((target.port(), target.is_secure(), target.is_loopback()), (80, false, false));
        for wrong in [
            "",
            "localhost:8443",
            "ftp://localhost",
            "https://",
            "https://host/wt",
            "https://host:99999",
            "https://ada@host",
        ] {
            assert_eq!(wrong.parse::<Target>(), Err(InvalidTarget(wrong.to_owned())));
        }
    }
}
