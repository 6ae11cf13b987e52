//! The edge from outside: real clients over real sockets on loopback, before a core that behaves simply.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in tests what is not as expected is to fail"
)]

mod client;
mod core;
mod fair;
mod gateway;
mod hostile;
mod http;
mod http3;
mod limits;
mod many;
mod marks;
mod quic;
mod reattach;
mod sessions;
mod slices;
mod slow_link;
mod tickets;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::Response,
    routing::{any, get},
};
use gogochat_edge::{Core as CoreSet, CoreLink, Edge, EdgeConfig, Limits, Network, Origin, door::Doors};
use rustls::{
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use self::core::Core;

/// An edge, its core, and the certificate that clients trust.
pub(crate) struct World {
    pub(crate) edge: Edge,
    pub(crate) core: Core,
    /// The cores that discovery names.
    pub(crate) named: tokio::sync::watch::Sender<Vec<CoreSet>>,
    pub(crate) certificate: CertificateDer<'static>,
}

/// What differs between worlds.
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) origins: Vec<Origin>,
    pub(crate) strict_transport: Option<Duration>,
    pub(crate) reset_key: Option<[u8; 32]>,
    /// Gateways, before the TCP listeners of either kind.
    pub(crate) proxy_protocol_from: Vec<Network>,
    /// The core, and others of the same system.
    pub(crate) cores: Vec<Core>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            limits: Limits::default(),
            origins: vec![ORIGIN.parse().unwrap()],
            strict_transport: None,
            reset_key: None,
            proxy_protocol_from: Vec::new(),
            cores: vec![Core::default()],
        }
    }
}

/// A file like those of the server's page: compressed before, with headers for caches.
/// It repeats the request's Accept-Encoding.
async fn file(request: Request) -> Response {
    let unchanged = request.headers().contains_key("if-none-match");
    let mut response = Response::new(if unchanged { Body::empty() } else { Body::from(FILE) });
    *response.status_mut() = if unchanged { ::http::StatusCode::NOT_MODIFIED } else { ::http::StatusCode::OK };
    for (name, value) in FILE_HEADERS {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response.headers_mut().insert("content-length", FILE.len().into());
    response.headers_mut().insert("x-accept-encoding", request.headers()["accept-encoding"].clone());
    response
}

/// Not brotli, whatever the header says: nothing on the way may try to decode it.
pub(crate) const FILE: &[u8] = b"\x0b\x02\x80hello\xff\x03";
pub(crate) const FILE_HEADERS: [(&str, &str); 5] = [
    ("content-encoding", "br"),
    ("content-type", "text/javascript; charset=utf-8"),
    ("cache-control", "public, max-age=31536000, immutable"),
    ("etag", "\"a\""),
    ("vary", "accept-encoding"),
];

/// The origin that pages come from.
pub(crate) const ORIGIN: &str = "https://chat.example.org";

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::start(Setup { limits, ..Setup::new() }).await
    }

    pub(crate) async fn start(setup: Setup) -> Self {
        let Setup { limits, origins, strict_transport, reset_key, proxy_protocol_from, cores } = setup;
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = signed.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(vec![certificate.clone()], key.into(), &provider).unwrap();
        let config = EdgeConfig {
            node: "edge-test".into(),
            http: vec!["127.0.0.1:0".parse().unwrap()],
            edge: vec!["127.0.0.1:0".parse().unwrap()],
            http_proxy_protocol_from: proxy_protocol_from.clone(),
            edge_proxy_protocol_from: proxy_protocol_from,
            certificate: Arc::new(One(Arc::new(certified))),
            allowed_origins: origins,
            strict_transport,
            webtransport_url: None,
            certificate_hash: Arc::new(|| "abcd".into()),
            reset_key,
            doors: Doors::new(),
            limits,
        };
        let app = Router::new().route("/page", get(|| async { "a page" })).route("/file", any(file));
        let ways = cores.iter().enumerate().map(|(n, core)| CoreSet {
            name: format!("core-{n}"),
            ..CoreSet::every_service(CoreLink::new(core.channel()))
        });
        let named = tokio::sync::watch::Sender::new(ways.collect());
        let edge = Edge::start(config, named.subscribe(), app).await.unwrap();
        edge.handle().attached().await;
        let core = cores.into_iter().next().unwrap();
        Self { edge, core, named, certificate }
    }
}

#[derive(Debug)]
struct One(Arc<CertifiedKey>);

impl ResolvesServerCert for One {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// Waits for a condition; fails after 10 s.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Bounds a wait; what hangs fails.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    within(Duration::from_secs(10), future).await
}

pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, future).await.expect("it took too long")
}
