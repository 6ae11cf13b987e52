//! TLS and QUIC as the edge speaks them.

use std::sync::Arc;

use quinn::{TransportConfig, ValidationTokenConfig, VarInt, crypto::rustls::QuicServerConfig};
use rustls::{CipherSuite, ServerConfig};

use crate::{
    config::{EdgeConfig, Limits},
    limits::quic::{IDLE, INCOMING_BYTES, RECEIVE_WINDOW, SEND_WINDOW, STREAM_WINDOW},
};

/// TLS for these protocols (ALPN, RFC 7301).
pub(super) fn tls(config: &EdgeConfig, protocols: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // AES-128-GCM first: SHA-256, which processors compute by themselves, makes a handshake a tenth
    // cheaper than AES-256-GCM's SHA-384.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let mut tls = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(config.certificate.clone());
    tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    tls.ignore_client_order = true;
    // Tickets are kept by clients: no table of sessions here.
    tls.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    tls.send_tls13_tickets = 1;
    Ok(tls)
}

/// QUIC for HTTP/3.
pub(super) fn quic(config: &EdgeConfig) -> Result<quinn::ServerConfig, rustls::Error> {
    // QUIC is TLS 1.3 alone, and 0-RTT stays off: a CONNECT must not be replayed.
    let crypto = QuicServerConfig::try_from(tls(config, &[b"h3"])?)
        .map_err(|_| rustls::Error::General("TLS 1.3 has no cipher suite for QUIC's first packets".to_owned()))?;
    let mut quic = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    quic.transport_config(Arc::new(transport(&config.limits)));
    // A retry's token is for the connection at hand; one for the next connection would be of no use
    // where retries are rare.
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    quic.validation_token_config(tokens);
    quic.max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BYTES as u64)
        .incoming_buffer_size_total(16 * 1024 * 1024);
    Ok(quic)
}

fn transport(limits: &Limits) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(limits.streams.into())
        .max_concurrent_uni_streams(UNI_STREAMS)
        // Probes cost each idle connection more than larger packets ever save a chat.
        .mtu_discovery_config(None)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW as u32))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW as u32))
        .send_window(SEND_WINDOW as u64)
        .datagram_receive_buffer_size(Some(limits.datagram_buffer))
        .datagram_send_buffer_size(limits.datagram_buffer)
        .max_idle_timeout(Some(VarInt::from_u32(IDLE.as_millis() as u32).into()));
    transport
}

/// Connections that nobody has looked at yet, which is but for a moment.
const MAX_INCOMING: usize = 1_024;
/// HTTP/3 itself has three; WebTransport's have no use here.
const UNI_STREAMS: VarInt = VarInt::from_u32(8);
