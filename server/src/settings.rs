//! From the configuration to what each part is told.

use std::sync::Arc;

use gogochat_core::CoreConfig;
use gogochat_edge::{EdgeConfig, Limits};
use gogochat_storage::open::StorageConfig;

use crate::{certificate::Reloadable, config::Config, page::hex};

/// What storage is told.
pub(crate) fn storage(config: &Config) -> StorageConfig {
    StorageConfig { store_url: config.store_url(), bus_queue: config.core.bus_queue }
}

/// What the core is told.
pub(crate) fn core(config: &Config) -> CoreConfig {
    CoreConfig { exempt_loopback: config.core.trust_loopback, ..CoreConfig::default() }
}

/// What the edge is told. Only a pinned certificate has a hash to give to the page.
pub(crate) fn edge(config: &Config, certificate: &Arc<Reloadable>) -> EdgeConfig {
    let pin = certificate.clone();
    EdgeConfig {
        node: config.node.clone(),
        http: config.http.listen.clone(),
        edge: config.edge.listen.clone(),
        certificate: certificate.clone(),
        allowed_origins: config.edge.origins.clone(),
        webtransport_url: Some(config.edge.webtransport_url.clone()).filter(|url| !url.is_empty()),
        certificate_hash: Arc::new(move || pin.pin().map_or_else(String::new, |hash| hex(&hash))),
        // Of this node's own: with one that nodes share, packets sent astray would end connections of others (RFC 9000 section 21.11).
        reset_key: certificate.derive("QUIC stateless reset", &config.node).ok(),
        limits: Limits {
            connections_per_address: config.edge.connections_per_address,
            sessions_per_user: config.edge.sessions_per_user,
            ..Limits::default()
        },
    }
}

/// The page's Content-Security-Policy (CSP level 3): it talks to where it came from and to the WebTransport address.
/// `'unsafe-webtransport-hashes'` lets a page use `serverCertificateHashes`.
pub(crate) fn content_security_policy(config: &Config, pinned: bool) -> String {
    let webtransport = config.edge.webtransport_url.split('/').take(3).collect::<Vec<_>>().join("/");
    let hashes = if pinned { "'unsafe-webtransport-hashes'" } else { "" };
    format!(
        "default-src 'self'; connect-src 'self' {webtransport} {hashes}; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'"
    )
}
