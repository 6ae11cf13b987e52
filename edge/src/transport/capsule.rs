//! Capsules on a session's CONNECT stream (RFC 9297 section 3), variable-length integers (RFC 9000 section 16), and error codes of WebTransport.

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use gogochat_proto::close::CloseCode;

/// Reads capsules out of received bytes. Holds at most one capsule that matters; others are skipped whatever their size.
#[derive(Debug, Default)]
pub(crate) struct Capsules {
    buffer: BytesMut,
    /// Bytes of an unknown capsule that are still to come.
    skip: u64,
}

/// A capsule breaks its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidCapsule;

impl Capsules {
    /// Takes received bytes; `true` once the client has closed the session.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<bool, InvalidCapsule> {
        self.buffer.extend_from_slice(bytes);
        loop {
            let skipped = self.skip.min(self.buffer.len() as u64);
            self.buffer.advance(usize::try_from(skipped).unwrap_or(self.buffer.len()));
            self.skip -= skipped;
            let mut rest: &[u8] = &self.buffer;
            let (Some(kind), Some(length)) = (varint(&mut rest), varint(&mut rest)) else {
                if self.buffer.is_empty() {
                    self.buffer = BytesMut::new();
                }
                return Ok(false);
            };
            if kind == CLOSE_SESSION {
                if !(4..=4 + MAX_REASON).contains(&length) {
                    return Err(InvalidCapsule);
                }
                // The code and reason are the client's own affair; that it is over is known before they are whole.
                return Ok(true);
            }
            let header = self.buffer.len() - rest.len();
            self.buffer.advance(header);
            self.skip = length;
        }
    }
}

/// The capsule that closes a session with a code.
pub(crate) fn close_session(code: CloseCode) -> Bytes {
    let reason = code.reason().as_bytes();
    let mut out = BytesMut::new();
    put_varint(&mut out, CLOSE_SESSION);
    put_varint(&mut out, 4 + reason.len() as u64);
    out.put_u32(u32::from(code.code()));
    out.put_slice(reason);
    out.freeze()
}

/// The HTTP/3 error code that stands for an application's error code (draft-ietf-webtrans-http3 section 4.3).
pub(crate) fn http_code(code: CloseCode) -> quinn::VarInt {
    let n = u32::from(code.code());
    // Far below 2^62.
    quinn::VarInt::from_u64(0x52e4_a40f_a8db + u64::from(n) + u64::from(n / 0x1e)).unwrap_or(quinn::VarInt::MAX)
}

/// Takes a variable-length integer off the front; `None`, and nothing taken, while it is not whole.
pub(crate) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let first = *bytes.first()?;
    let size = varint_size(first);
    let (number, rest) = bytes.split_at_checked(size)?;
    *bytes = rest;
    Some(number.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)) & mask(size))
}

/// The bytes of a variable-length integer that begins with this one.
pub(crate) fn varint_size(first: u8) -> usize {
    1 << (first >> 6)
}

/// Appends a variable-length integer in its shortest form.
pub(crate) fn put_varint(out: &mut BytesMut, value: u64) {
    match value {
        0..0x40 => out.put_u8(value as u8),
        0x40..0x4000 => out.put_u16(value as u16 | 0x4000),
        0x4000..0x4000_0000 => out.put_u32(value as u32 | 0x8000_0000),
        _ => out.put_u64(value & mask(8) | 0xc000_0000_0000_0000),
    }
}

fn mask(size: usize) -> u64 {
    match size {
        1 => 0x3f,
        2 => 0x3fff,
        4 => 0x3fff_ffff,
        _ => 0x3fff_ffff_ffff_ffff,
    }
}

/// CLOSE_WEBTRANSPORT_SESSION.
const CLOSE_SESSION: u64 = 0x2843;
const MAX_REASON: u64 = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_round_trip(value in 0..1_u64 << 62) {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            prop_assert_eq!(varint_size(out[0]), out.len());
            prop_assert_eq!(varint(&mut &out[..out.len() - 1]), None);
            let mut rest: &[u8] = &out;
            prop_assert_eq!(varint(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn unknown_capsules_are_skipped_however_they_are_cut(
            sizes in prop::collection::vec((0x40_u64..0x2000, 0..3000_usize), 0..8),
            cut in 1..700_usize,
        ) {
            let mut bytes = BytesMut::new();
            for (kind, size) in sizes {
                put_varint(&mut bytes, kind);
                put_varint(&mut bytes, size as u64);
                bytes.put_bytes(0x28, size);
            }
            let mut capsules = Capsules::default();
            for piece in bytes.chunks(cut) {
                prop_assert_eq!(capsules.push(piece), Ok(false));
                prop_assert!(capsules.buffer.len() < 16);
            }
            prop_assert_eq!(capsules.push(&close_session(CloseCode::Done)), Ok(true));
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Capsules::default().push(&bytes);
        }
    }

    #[test]
    fn codes_as_the_draft_has_them() {
        assert_eq!(http_code(CloseCode::ProtocolError).into_inner(), 0x52e4_a40f_a8db + 4000 + 4000 / 0x1e);
        let capsule = close_session(CloseCode::Timeout);
        assert_eq!(&capsule[..7], &[0x68, 0x43, 11, 0, 0, 0x0f, 0xa2]);
        assert_eq!(&capsule[7..], b"timeout");
    }
}
