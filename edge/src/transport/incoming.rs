//! What a client's connection gives, whatever carries it.

use std::sync::Arc;

use gogochat_proto::{
    close::CloseCode,
    frame::FrameError,
    v1::{self, client_frame},
};

use super::low_priority::LowPriority;
use crate::session::Reading;

/// What a client's connection gives.
pub(crate) enum Incoming {
    /// A frame of the session's own stream.
    Frame(client_frame::Frame),
    /// A call whose body is not its method's request: its id, and what its reply says.
    Unreadable(u32, v1::Error),
    /// A frame of the transport's own was taken: a ping or a pong of WebSocket, or a small piece of a
    /// message.
    Control,
    /// The client opened a further stream for calls.
    CallStream(CallStream),
    /// All that has come was given; `true` when it ends within a frame.
    Idle(bool),
    /// Nothing was read: it is to be asked anew whether anything may be.
    Held,
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
    /// By which replies go, so that they do not hold up what is live.
    pub(crate) low: Arc<LowPriority>,
}

/// The close code for bytes that are no frame.
pub(crate) fn close_code(error: FrameError) -> CloseCode {
    match error {
        FrameError::TooLarge(_) => CloseCode::FrameTooLarge,
        FrameError::Malformed => CloseCode::ProtocolError,
    }
}

/// Waits until the client is to be read again; for ever, where time alone does not tell.
pub(super) async fn held(reading: Reading) {
    match reading {
        // Boxed: it is seldom needed, and every connection has room for it.
        Reading::Until(at) => Box::pin(tokio::time::sleep_until(at.into())).await,
        Reading::On | Reading::Held => std::future::pending().await,
    }
}
