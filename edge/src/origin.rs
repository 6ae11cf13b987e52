//! Origins of pages (RFC 6454). Pages of this server's own origin may connect, and those of the
//! operator's list.

use std::{fmt, net::IpAddr, str::FromStr, sync::LazyLock};

use http::{HeaderMap, HeaderValue, Uri, header};
use url::Url;

use crate::door::LogThrottle;

/// An origin of web pages, written as browsers send it: `https://chat.example.org`, without a default port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// A text that is no [`Origin`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// No URL of http or https with a host.
    #[error("{0:?} is no origin: write scheme and host alone, as \"https://chat.example.org\"")]
    Unreadable(String),
    /// A path or something else stands behind the origin, which no browser sends.
    #[error("{0:?} is more than an origin: write \"{1}\"")]
    More(String, Origin),
}

impl Origin {
    /// As browsers send it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    /// Takes what an operator means: names in capitals, a default port, and an address of IPv6 in any
    /// spelling become what browsers send.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let unreadable = || OriginError::Unreadable(text.to_owned());
        // The parser of URLs forgives white space, and slashes that are missing.
        let (_, rest) = text.split_once("://").ok_or_else(unreadable)?;
        let url: Url = text.parse().map_err(|_| unreadable())?;
        if text.contains(char::is_whitespace) || rest.starts_with(['/', '\\']) || !url.has_host() {
            return Err(unreadable());
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(unreadable());
        }
        let origin = Self(url.origin().ascii_serialization());
        if rest.contains(['/', '\\', '?', '#', '@']) {
            return Err(OriginError::More(text.to_owned(), origin));
        }
        Ok(origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// Over TCP, perhaps through a proxy that ends TLS: the page may be of either scheme.
    Tcp,
    /// Over QUIC, where all is secure: so is a page of the same port.
    Quic,
}

/// Whether a request comes from a page that may connect. One without Origin comes from no page.
pub(crate) fn is_allowed(uri: &Uri, headers: &HeaderMap, came: Came, allowed: &[Origin]) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        allowed.iter().any(|listed| listed.0.as_bytes() == origin.as_bytes())
            || is_own(origin, uri, headers, came).unwrap_or(false)
    })
}

/// Says in the log which page was refused, where its visitor is, and what would let it in.
pub(crate) fn log_refused(headers: &HeaderMap, address: IpAddr, transport: &'static str) {
    let Some(times) = REFUSED.due() else { return };
    let origins: Vec<_> = headers.get_all(header::ORIGIN).iter().take(2).map(shown).collect();
    tracing::warn!(
        origin = origins.join(" "),
        %address,
        transport,
        times,
        "a page of another origin was refused: if it is yours, list its origin in edge.origins"
    );
}

/// What a client sent, escaped and cut.
fn shown(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.escape_debug().take(MAX_SHOWN).collect()
}

/// Whether the page came from the host and port that are asked now. An Origin does not name a default port
/// (RFC 6454 section 6.2).
fn is_own(origin: &HeaderValue, uri: &Uri, headers: &HeaderMap, came: Came) -> Option<bool> {
    let (scheme, page) = origin.to_str().ok()?.split_once("://")?;
    let default_port = match scheme {
        "https" => ":443",
        "http" if came == Came::Tcp => ":80",
        _ => return None,
    };
    // `:authority`, or the one Host of HTTP/1.1.
    let asked = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => {
            let mut hosts = headers.get_all(header::HOST).iter();
            hosts.next().filter(|_| hosts.next().is_none())?.to_str().ok()?
        }
    };
    let asked = asked.strip_suffix(default_port).unwrap_or(asked);
    Some(!page.is_empty() && asked.eq_ignore_ascii_case(page))
}

static REFUSED: LazyLock<LogThrottle> = LazyLock::new(LogThrottle::default);
/// Characters of an origin in the log.
const MAX_SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(uri: &str, host: &[&str], origins: &[&str], came: Came) -> bool {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(header::HOST, host.parse().unwrap());
        }
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        is_allowed(&uri.parse().unwrap(), &headers, came, &["https://listed.example".parse().unwrap()])
    }

    #[test]
    fn an_origin_of_the_list_becomes_what_browsers_send() {
        for (written, sent) in [
            ("https://app.example", "https://app.example"),
            ("https://App.Example:443", "https://app.example"),
            ("HTTPS://app.example", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("https://app.example:8443", "https://app.example:8443"),
            ("http://app.example:443", "http://app.example:443"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
            ("https://[2001:DB8::0:1]:443", "https://[2001:db8::1]"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(written.parse::<Origin>().unwrap().as_str(), sent, "{written}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_what_to_write() {
        for wrong in
            ["", "*", "null", "app.example", "https://", "https:app.example", "https:///app.example", "ftp://a"]
        {
            assert_eq!(wrong.parse::<Origin>(), Err(OriginError::Unreadable(wrong.to_owned())), "{wrong}");
        }
        for wrong in ["https://a b", " https://a", "https://[::1", "https://a:99999", "file:///a"] {
            assert_eq!(wrong.parse::<Origin>(), Err(OriginError::Unreadable(wrong.to_owned())), "{wrong}");
        }
        for (wrong, right) in [
            ("http://app.example:80/chat", "http://app.example"),
            ("https://App.example/", "https://app.example"),
            ("https://app.example?x", "https://app.example"),
            ("https://app.example#x", "https://app.example"),
            ("https://user@app.example:8443", "https://app.example:8443"),
        ] {
            let error = wrong.parse::<Origin>().unwrap_err();
            assert_eq!(error, OriginError::More(wrong.to_owned(), right.parse().unwrap()));
            assert!(error.to_string().ends_with(&format!("write \"{right}\"")), "{error}");
        }
    }

    #[test]
    fn what_the_log_shows_is_escaped_and_cut() {
        let value = HeaderValue::from_bytes(&[b"https://\x80\t".as_slice(), &[b'a'; 500]].concat()).unwrap();
        let text = shown(&value);
        assert!(text.starts_with("https://\u{fffd}\\ta") && text.chars().count() == MAX_SHOWN, "{text}");
    }

    #[test]
    fn own_pages_and_listed_ones_pass() {
        let tcp = |host, origin| allowed("/ws", &[host], &[origin], Came::Tcp);
        assert!(tcp("chat.example", "https://chat.example"));
        assert!(tcp("chat.example", "http://chat.example"));
        assert!(tcp("Chat.example:443", "https://chat.example"));
        assert!(tcp("[::1]:8443", "https://[::1]:8443"));
        assert!(tcp("chat.example", "https://listed.example"));
        assert!(allowed("https://chat.example:8443/wt", &[], &["https://chat.example:8443"], Came::Quic));
        assert!(allowed("/ws", &["chat.example"], &[], Came::Tcp), "no page");
    }

    #[test]
    fn others_do_not() {
        let tcp = |host, origin| allowed("/ws", &[host], &[origin], Came::Tcp);
        assert!(!tcp("chat.example", "https://evil.example"));
        assert!(!tcp("chat.example", "https://chat.example:8443"));
        assert!(!tcp("chat.example:8443", "https://chat.example"));
        assert!(!tcp("chat.example:80", "https://chat.example"));
        assert!(!tcp("chat.example", "https://chat.example.evil.example"));
        assert!(!tcp("chat.example", "null"));
        assert!(!tcp("chat.example", "ftp://chat.example"));
        assert!(!tcp("", "https://"));
        assert!(!allowed("/ws", &[], &["https://chat.example"], Came::Tcp), "without a Host");
        assert!(!allowed("/ws", &["chat.example", "evil.example"], &["https://chat.example"], Came::Tcp), "two Hosts");
        assert!(!allowed("/ws", &["chat.example"], &["https://chat.example", "https://evil.example"], Came::Tcp));
        assert!(!allowed("https://chat.example/wt", &[], &["http://chat.example"], Came::Quic), "an insecure page");
        assert!(!allowed("https://chat.example/wt", &["evil.example"], &["https://evil.example"], Came::Quic));
    }
}
