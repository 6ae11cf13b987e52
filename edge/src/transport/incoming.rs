//! What a client's connection gives, whatever carries it.

use gogochat_proto::{
    close::CloseCode,
    frame::FrameError,
    v1::{self, client_frame},
};

/// What a client's connection gives.
pub(crate) enum Incoming {
    /// A frame of the session's own stream.
    Frame(client_frame::Frame),
    /// A call whose body is not its method's request: its id, and what its reply says.
    Unreadable(u32, v1::Error),
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

/// The close code for bytes that are no frame.
pub(crate) fn close_code(error: FrameError) -> CloseCode {
    match error {
        FrameError::TooLarge(_) => CloseCode::FrameTooLarge,
        FrameError::Malformed => CloseCode::ProtocolError,
    }
}

/// Bytes that wait for a slow client at which nothing more is read from it.
pub(crate) const PAUSE_READING: usize = 256 * 1024;
