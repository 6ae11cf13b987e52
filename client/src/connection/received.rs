//! What a transport has brought.

use bytes::Bytes;

/// Bytes of frames, by the way that they came.
pub(super) enum Received {
    /// Bytes of delimited frames.
    Bytes(Bytes),
    /// The same, of the second stream.
    Low(Bytes),
    /// The second stream was ended or reset: what was begun on it is lost, and another begins anew.
    LowEnded,
    /// One frame, not delimited, that overtook the others.
    Datagram(Bytes),
}
