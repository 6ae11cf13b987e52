//! Frames on a stream of bytes: each is preceded by its length, a protobuf varint. A WebSocket binary message holds one or more in the same form.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message;

use crate::{
    limits::MAX_FRAME,
    v1::{ClientFrame, ServerFrame, client_frame, server_frame},
};

/// A frame with its length in front, ready to be written.
#[must_use]
pub fn encode(frame: &impl Message) -> Bytes {
    Bytes::from(frame.encode_length_delimited_to_vec())
}

/// An encoded frame with its length put in front.
#[must_use]
pub fn delimit(encoded: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(encoded.len() + 5);
    // A varint of a length below 2^35 fits the five bytes.
    let _ = prost::encoding::encode_length_delimiter(encoded.len(), &mut out);
    out.put_slice(encoded);
    out.freeze()
}

/// Why the bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length in front says more than 64 KiB.
    #[error("a frame of {0} bytes: the limit is {MAX_FRAME}")]
    TooLarge(u64),
    /// The length is no varint, or the frame no message.
    #[error("not a frame")]
    Malformed,
}

/// Cuts received bytes into frames. Holds at most one frame, whatever comes.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Takes received bytes; call [`Self::next`] until it gives `None` before the next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, without its length.
    ///
    /// # Errors
    /// The bytes cannot become a frame; the decoder is of no use after that.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((length, prefix)) = varint(&self.buffer)? else { return Ok(None) };
        let length = usize::try_from(length).ok().filter(|l| *l <= MAX_FRAME).ok_or(FrameError::TooLarge(length))?;
        if self.buffer.len() - prefix < length {
            return Ok(None);
        }
        self.buffer.advance(prefix);
        let frame = self.buffer.split_to(length).freeze();
        if self.buffer.is_empty() {
            // An idle session keeps no buffer.
            self.buffer = BytesMut::new();
        }
        Ok(Some(frame))
    }

    /// Whether a frame has been begun and not finished.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }
}

/// A varint at the start of `bytes` and its size; `None` while it is not whole.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 5 { Err(FrameError::Malformed) } else { Ok(None) }
}

/// A client's frame from its bytes.
///
/// # Errors
/// [`FrameError::Malformed`] when they are none, or one of an unknown kind.
pub fn client_frame(bytes: Bytes) -> Result<client_frame::Frame, FrameError> {
    ClientFrame::decode(bytes).ok().and_then(|f| f.frame).ok_or(FrameError::Malformed)
}

/// A server's frame from its bytes; `None` for a kind that this client does not know yet.
///
/// # Errors
/// [`FrameError::Malformed`] when they are none.
pub fn server_frame(bytes: Bytes) -> Result<Option<server_frame::Frame>, FrameError> {
    ServerFrame::decode(bytes).map(|f| f.frame).map_err(|_| FrameError::Malformed)
}

impl From<client_frame::Frame> for ClientFrame {
    fn from(frame: client_frame::Frame) -> Self {
        Self { frame: Some(frame) }
    }
}

impl From<server_frame::Frame> for ServerFrame {
    fn from(frame: server_frame::Frame) -> Self {
        Self { frame: Some(frame) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ping(nonce: u64) -> ClientFrame {
        client_frame::Frame::Ping(crate::v1::Ping { nonce }).into()
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_frames(nonces in prop::collection::vec(any::<u64>(), 1..20), cut in 1..9_usize) {
            let bytes: Vec<u8> = nonces.iter().flat_map(|n| encode(&ping(*n))).collect();
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                while let Some(frame) = decoder.next().unwrap() {
                    match client_frame(frame).unwrap() {
                        client_frame::Frame::Ping(ping) => got.push(ping.nonce),
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
            }
            prop_assert!(!decoder.is_partial());
            prop_assert_eq!(got, nonces);
        }

        #[test]
        fn hostile_bytes_never_panic_and_are_bounded(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(frame)) = decoder.next() {
                let _ = client_frame(frame);
            }
        }
    }

    #[test]
    fn the_limit_and_past_it() {
        let mut decoder = Decoder::default();
        decoder.push(&delimit(&vec![0; MAX_FRAME]));
        assert_eq!(decoder.next().unwrap().unwrap().len(), MAX_FRAME);
        decoder.push(&delimit(&vec![0; MAX_FRAME + 1])[..3]);
        assert_eq!(decoder.next(), Err(FrameError::TooLarge(MAX_FRAME as u64 + 1)));
        let mut decoder = Decoder::default();
        decoder.push(&[0xff; 5]);
        assert_eq!(decoder.next(), Err(FrameError::Malformed));
    }
}
