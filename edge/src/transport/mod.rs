//! What carries sessions: WebTransport and WebSocket behind one enum, and HTTP.

pub(crate) mod capsule;
pub(crate) mod h3_backend;
pub(crate) mod handshake;
pub(crate) mod http;
pub(crate) mod origin;
pub(crate) mod outlet;
pub(crate) mod rfc6455;
pub(crate) mod streams;
pub(crate) mod websocket;
pub(crate) mod webtransport;

use std::sync::Arc;

use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    frame::FrameError,
    v1::{self, client_frame},
};

use self::{outlet::Outlet, websocket::WebSocketLink, webtransport::WebTransportLink};

/// A client's connection, whatever carries it.
pub(crate) enum Link {
    /// WebSocket over TCP or TLS.
    WebSocket(Box<WebSocketLink>),
    /// WebTransport over QUIC.
    WebTransport(Box<WebTransportLink>),
}

/// What a client's connection gives.
pub(crate) enum Incoming {
    /// A frame of the session's own stream.
    Frame(client_frame::Frame),
    /// A call whose body is not its method's request: its id, and what its reply says.
    Unreadable(u32, v1::Error),
    /// A frame that came as a datagram.
    Datagram(Bytes),
    /// The client opened a further stream for calls.
    CallStream(CallStream),
    /// All that has come was given; `true` when it ends within a frame.
    Idle(bool),
    /// What came breaks the protocol.
    Broken(CloseCode),
    /// The edge itself decided to end the session.
    Ended(CloseCode),
    /// The client is gone.
    Gone,
}

/// A further stream of a client: calls come, replies go.
pub(crate) struct CallStream {
    /// What comes.
    pub(crate) recv: quinn::RecvStream,
    /// What goes.
    pub(crate) send: quinn::SendStream,
}

impl Link {
    /// The way out.
    pub(crate) fn outlet(&self) -> &Arc<Outlet> {
        match self {
            Self::WebSocket(link) => link.outlet(),
            Self::WebTransport(link) => link.outlet(),
        }
    }

    /// For metrics: "ws", "wss" or "wt".
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::WebSocket(link) => link.kind(),
            Self::WebTransport(_) => "wt",
        }
    }

    /// The client's address.
    pub(crate) fn address(&self) -> std::net::IpAddr {
        match self {
            Self::WebSocket(link) => link.address(),
            Self::WebTransport(link) => link.address(),
        }
    }

    /// The next of what comes; writes what waits meanwhile. While `hold`, nothing is read.
    pub(crate) async fn next(&mut self, hold: bool) -> Incoming {
        match self {
            Self::WebSocket(link) => link.next(hold).await,
            Self::WebTransport(link) => link.next(hold).await,
        }
    }

    /// Sends what waits and closes with the code; bounded in time.
    pub(crate) async fn finish(self, code: Option<CloseCode>) {
        match self {
            Self::WebSocket(link) => link.finish(code).await,
            Self::WebTransport(link) => link.finish(code).await,
        }
    }
}

/// The close code for bytes that are no frame.
pub(crate) fn close_code(error: FrameError) -> CloseCode {
    match error {
        FrameError::TooLarge(_) => CloseCode::FrameTooLarge,
        FrameError::Malformed => CloseCode::ProtocolError,
    }
}

/// Bytes that wait for a slow client at which nothing more is read from it.
pub(crate) const PAUSE_READING: usize = 256 * 1024;
