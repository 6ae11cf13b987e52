//! What carries sessions: WebTransport and WebSocket behind one enum, and HTTP.

pub(crate) mod body;
mod budget;
pub(crate) mod capsule;
pub(crate) mod h3_backend;
pub(crate) mod handshake;
pub(crate) mod http3;
mod in_flight;
mod incoming;
mod low_priority;
pub(crate) mod outlet;
pub(crate) mod rfc6455;
pub(crate) mod streams;
pub(crate) mod websocket;
pub(crate) mod webtransport;

use std::sync::Arc;

use gogochat_proto::close::CloseCode;

pub(crate) use self::incoming::{CallStream, Incoming, close_code};
use self::{outlet::Outlet, streams::TakeDatagram, websocket::WebSocket, webtransport::WebTransport};
use crate::session::Reading;

/// A client's connection, whatever carries it.
pub(crate) enum Transport {
    /// WebSocket over TCP or TLS.
    WebSocket(Box<WebSocket>),
    /// WebTransport over QUIC.
    WebTransport(Box<WebTransport>),
}

impl Transport {
    /// The way out.
    pub(crate) fn outlet(&self) -> &Arc<Outlet> {
        match self {
            Self::WebSocket(it) => it.outlet(),
            Self::WebTransport(it) => it.outlet(),
        }
    }

    /// For metrics: "ws", "wss" or "wt".
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::WebSocket(it) => it.kind(),
            Self::WebTransport(_) => "wt",
        }
    }

    /// The client's address.
    pub(crate) fn address(&self) -> std::net::IpAddr {
        match self {
            Self::WebSocket(it) => it.address(),
            Self::WebTransport(it) => it.address(),
        }
    }

    /// Has the session's datagrams, where it has any, taken where they are read. To be called once.
    pub(crate) fn set_datagrams(&self, datagrams: impl TakeDatagram + 'static) {
        match self {
            Self::WebSocket(_) => {}
            Self::WebTransport(it) => it.set_datagrams(datagrams),
        }
    }

    /// The next of what comes; writes what waits meanwhile. Reads where it may.
    pub(crate) async fn next(&mut self, reading: Reading) -> Incoming {
        match self {
            Self::WebSocket(it) => it.next(reading).await,
            Self::WebTransport(it) => it.next(reading).await,
        }
    }

    /// Sends what waits and closes with the code; bounded in time.
    pub(crate) async fn finish(self, code: Option<CloseCode>) {
        match self {
            Self::WebSocket(it) => it.finish(code).await,
            Self::WebTransport(it) => it.finish(code).await,
        }
    }
}
