//! Which pages may connect: this server's own, and those of the operator's list.

use http::{HeaderMap, HeaderValue, Uri, header};

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// Over TCP, perhaps through a proxy that ends TLS: the page may be of either scheme.
    Tcp,
    /// Over QUIC, where all is secure: so is a page of the same port.
    Quic,
}

/// Whether a request comes from a page that may connect. One without Origin comes from no page.
pub(crate) fn is_allowed(uri: &Uri, headers: &HeaderMap, came: Came, allowed: &[String]) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        allowed.iter().any(|a| a.as_bytes() == origin.as_bytes()) || is_own(origin, uri, headers, came).unwrap_or(false)
    })
}

/// Whether the page came from the host and port that are asked now; a default port is not named in an Origin (RFC 6454 section 6.2).
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
        is_allowed(&uri.parse().unwrap(), &headers, came, &["https://listed.example".into()])
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
