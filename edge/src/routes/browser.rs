//! Headers for browsers: which other origins may read an answer (CORS), and that they are to come
//! over TLS alone (HSTS).

use std::time::Duration;

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
};
use http::{HeaderName, HeaderValue, Method, header, uri::Authority};
use tower_http::cors::CorsLayer;

use crate::origin::Origin;

/// Lets pages of the listed origins read the answers (the Fetch standard, CORS). There are no cookies: a page
/// gives its token in `Authorization`, so nothing is allowed by credentials.
pub(super) fn share<S: Clone + Send + Sync + 'static>(router: Router<S>, origins: &[Origin]) -> Router<S> {
    if origins.is_empty() {
        return router;
    }
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin.as_str()).ok());
    router.layer(
        CorsLayer::new()
            .allow_origin(origins.collect::<Vec<_>>())
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, TRACEPARENT])
            .expose_headers([header::RETRY_AFTER, header::ALLOW])
            .max_age(PREFLIGHT),
    )
}

/// Tells browsers to come over TLS alone for so long (RFC 6797). Not where they ask for localhost or for
/// an address: other servers of that machine would be bound too, and addresses are ignored anyway
/// (section 8.1.1).
pub(super) fn insist(router: Router, max_age: Option<Duration>) -> Router {
    let value = max_age.and_then(|age| HeaderValue::from_str(&format!("max-age={}", age.as_secs())).ok());
    let Some(value) = value else { return router };
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let value = authority(&request).filter(is_name).map(|_| value.clone());
        async move {
            let mut response = next.run(request).await;
            if let Some(value) = value {
                response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, value);
            }
            response
        }
    }))
}

/// The host that is asked, and its port where it is not the usual one.
pub(super) fn authority(request: &Request) -> Option<Authority> {
    match request.headers().get(header::HOST) {
        Some(host) => host.to_str().ok()?.parse().ok(),
        None => request.uri().authority().cloned(),
    }
}

/// Whether the host is a name that is not of this machine alone.
fn is_name(authority: &Authority) -> bool {
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let is_local = host == "localhost" || host.ends_with(".localhost");
    !is_local && !host.starts_with('[') && host.parse::<std::net::Ipv4Addr>().is_err()
}

/// W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// For how long a browser need not ask again what a page may send.
const PREFLIGHT: Duration = Duration::from_secs(2 * 60 * 60);
