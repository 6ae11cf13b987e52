//! The settings of an edge.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::server::ResolvesServerCert;

use crate::{
    address::Network,
    door::Doors,
    limits::quic::{QUEUE_MAX_BYTES, STALLED, UNUSED},
    origin::Origin,
};

/// The settings of an [`crate::Edge`].
#[derive(Clone)]
pub struct EdgeConfig {
    /// The node's name, by which the cores know it.
    pub node: String,
    /// Addresses for HTTP and WebSocket in clear (TCP).
    pub http: Vec<SocketAddr>,
    /// Addresses for HTTPS and wss (TCP) and for HTTP/3 and WebTransport (UDP), on the same port.
    pub edge: Vec<SocketAddr>,
    /// Gateways whose TCP connections to `http` begin with a PROXY protocol header, which tells the
    /// client's address. Nobody else's is believed.
    pub http_proxy_protocol_from: Vec<Network>,
    /// The same for TCP connections to `edge`; QUIC has no such header.
    pub edge_proxy_protocol_from: Vec<Network>,
    /// Gives the certificate at each handshake, so that it can be renewed while the edge runs.
    pub certificate: Arc<dyn ResolvesServerCert>,
    /// Origins that pages may come from beside the edge's own: they may connect, and use REST (CORS).
    /// Requests without Origin are not from pages and pass.
    pub allowed_origins: Vec<Origin>,
    /// For how long browsers are to come over TLS alone (RFC 6797); `None`: that is not told.
    pub strict_transport: Option<Duration>,
    /// The URL of WebTransport for `/client-config.json`; `None`: where the page came from, if that was
    /// over TLS.
    pub webtransport_url: Option<String>,
    /// SHA-256 of the certificate in hexadecimal for `serverCertificateHashes`, or empty where the
    /// certificate is one that browsers trust.
    pub certificate_hash: Arc<dyn Fn() -> String + Send + Sync>,
    /// A secret of this node's own, with which it tells clients at once that a connection was lost when
    /// it was started anew (RFC 9000 section 10.3); the same at each start, and at no other node.
    /// `None`: such clients notice by their own time-outs.
    pub reset_key: Option<[u8; 32]>,
    /// What all TCP listeners of this process share.
    pub doors: Arc<Doors>,
    /// Bounds of what clients may take up.
    pub limits: Limits,
}

impl std::fmt::Debug for EdgeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeConfig")
            .field("node", &self.node)
            .field("http", &self.http)
            .field("edge", &self.edge)
            .field("http_proxy_protocol_from", &self.http_proxy_protocol_from)
            .field("edge_proxy_protocol_from", &self.edge_proxy_protocol_from)
            .field("allowed_origins", &self.allowed_origins)
            .field("webtransport_url", &self.webtransport_url)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Bounds of what clients may take up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Sessions of this edge; the next is closed with `unavailable`.
    pub sessions: usize,
    /// Connections from one address (of IPv6: one network of 64 bits), loopback apart; the next is
    /// turned away. 0: as many as it likes, as is needed behind a proxy that does not tell where
    /// connections come from.
    pub connections_per_address: usize,
    /// Sessions that a core is being asked about; the next is closed with `overloaded`. Half the slots are
    /// reserved for ticket holders, of whom one user has at most `sessions_per_user`. Of the others one
    /// address has at most an eighth of all slots, loopback apart, and counted as its connections are.
    pub opening: usize,
    /// Sessions of one user; the next is closed with `rate_limited`.
    pub sessions_per_user: usize,
    /// Streams in each direction that a QUIC connection may have open at once. quinn keeps memory for each.
    pub streams: u32,
    /// Bytes of datagrams that wait in a QUIC connection, in each direction; the oldest go first.
    pub datagram_buffer: usize,
    /// Bytes in a session's queue from which events are dropped.
    pub queue_bytes: usize,
    /// Frames in a session's queue from which events are dropped.
    pub queue_frames: usize,
    /// Bytes in a session's queue, replies included, at which it is closed with `slow_consumer`.
    pub queue_max_bytes: usize,
    /// Items that wait for a core's stream and cannot wait elsewhere: sessions that open and close, and
    /// subscriptions that begin and end. Past it the stream is begun anew. What is announced on a new
    /// stream takes no place here.
    pub core_queue: usize,
    /// A session that has taken nothing for so long, while something waits for it, is closed with
    /// `slow_consumer`.
    pub stalled: Duration,
    /// A QUIC connection without a session and without a request for so long is closed.
    pub unused: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 100_000,
            opening: 8_192,
            connections_per_address: 10_000,
            sessions_per_user: 100,
            streams: 16,
            datagram_buffer: 16 * 1024,
            queue_bytes: 256 * 1024,
            queue_frames: 1_024,
            queue_max_bytes: QUEUE_MAX_BYTES,
            // A few hundred MiB; many more than there are sessions, as all of them move when a core is lost.
            core_queue: 1_000_000,
            stalled: STALLED,
            unused: UNUSED,
        }
    }
}
