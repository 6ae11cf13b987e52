//! What can go wrong, by operation.

use std::{io, time::Duration};

use gogochat_proto::{close::CloseCode, error::ErrorCode, v1};

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host has no address.
    #[error("{0} has no address")]
    Unknown(String),
    /// The socket could not be made or connected.
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    /// The TLS settings are of no use.
    #[error("TLS: {0}")]
    Tls(#[source] rustls::Error),
    /// QUIC could not be started.
    #[error("QUIC: {0}")]
    Quic(#[from] quinn::ConnectError),
    /// The QUIC connection failed.
    #[error("QUIC: {0}")]
    QuicConnection(#[from] quinn::ConnectionError),
    /// The WebSocket handshake failed.
    #[error("WebSocket: {0}")]
    WebSocket(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    /// The server answered the request for a session with another status than 200 (or 101).
    #[error("the server answered with HTTP status {0}")]
    Refused(u16),
    /// What answers speaks HTTP/3 but no WebTransport, or not this protocol.
    #[error("not a gogochat server: {0}")]
    Foreign(&'static str),
    /// WebTransport needs a secure target.
    #[error("WebTransport needs an https target")]
    NotSecure,
    /// Opened, and closed before Welcome.
    #[error("{0}")]
    Closed(#[from] Closed),
    /// Nothing came in time.
    #[error("no answer in time")]
    TimedOut,
}

/// Why a session has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("session closed: {code} {reason}")]
pub struct Closed {
    /// The close code: of [`CloseCode`] when a gogochat peer closed, the transport's own number or
    /// 0 when it broke.
    pub code: u16,
    /// A stable name with a code of [`CloseCode`], else words for a log.
    pub reason: String,
    /// Whether to connect again with the token one has.
    pub reconnect: bool,
    /// Before that, connecting again is of no use.
    pub retry_after: Duration,
}

impl Closed {
    /// The transport broke without a word: connect again.
    pub(crate) fn broken(reason: impl ToString) -> Self {
        Self { code: 0, reason: reason.to_string(), reconnect: true, retry_after: Duration::ZERO }
    }

    pub(crate) fn with_code(code: u32, reason: impl ToString) -> Self {
        let code = u16::try_from(code).unwrap_or_default();
        let known = CloseCode::from_code(code);
        let (reconnect, retry_after_ms) = known.map_or((true, 0), |code| (code.reconnect(), code.retry_after_ms()));
        Self { code, reason: reason.to_string(), reconnect, retry_after: millis(retry_after_ms) }
    }

    /// The code, when it is one of gogochat's.
    #[must_use]
    pub fn close_code(&self) -> Option<CloseCode> {
        CloseCode::from_code(self.code)
    }
}

impl From<CloseCode> for Closed {
    fn from(code: CloseCode) -> Self {
        Self::with_code(code.code().into(), code.reason())
    }
}

impl From<v1::Close> for Closed {
    fn from(close: v1::Close) -> Self {
        let code = u16::try_from(close.code).unwrap_or_default();
        let retry_after = millis(close.retry_after_ms);
        Self { code, reason: close.reason, reconnect: close.reconnect, retry_after }
    }
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs().into())
}

/// Why a call has no answer to give.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The server refused it.
    #[error("{0}")]
    Refused(#[source] v1::Error),
    /// The session ended first: whether the call took effect is unknown.
    #[error("{0}")]
    Closed(#[from] Closed),
    /// No reply came in time: whether the call took effect is unknown.
    #[error("no reply in time")]
    TimedOut,
    /// The reply is not the method's response.
    #[error("the reply is not the method's response")]
    Malformed,
}

impl CallError {
    /// The stable code of a refusal.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(error) => ErrorCode::from_name(&error.code),
            _ => None,
        }
    }
}

/// Why a REST call failed.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The server refused it.
    #[error("{0}")]
    Refused(#[source] v1::Error),
    /// The server could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection failed half-way: whether the call took effect is unknown.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// The answer is not what the method returns.
    #[error("HTTP status {status}: {body}")]
    Foreign {
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
}

impl RestError {
    /// The stable code of a refusal.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(error) => ErrorCode::from_name(&error.code),
            _ => None,
        }
    }
}
