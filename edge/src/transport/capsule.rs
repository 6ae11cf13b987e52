//! Capsules on a session's CONNECT stream (RFC 9297 section 3), variable-length integers (RFC 9000
//! section 16), and error codes of WebTransport.

use std::time::Instant;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use gogochat_proto::close::CloseCode;

use super::budget::Budget;
use crate::limits::quic::MAX_STREAM_HEADER;

/// Reads capsules out of received bytes. Holds at most the head of one; all but one kind are skipped as
/// they come, within a budget.
#[derive(Debug)]
pub(crate) struct Capsules {
    buffer: BytesMut,
    /// Bytes of an unknown capsule that are still to come.
    skip: u64,
    budget: Budget,
}

/// The client has to be told that its session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CapsuleError {
    /// A capsule breaks its rules.
    Invalid,
    /// Too many, or too much, without a meaning.
    TooMany,
}

impl Capsules {
    /// Those of a session that has just begun.
    pub(crate) fn new(now: Instant) -> Self {
        Self { buffer: BytesMut::new(), skip: 0, budget: Budget::new(now) }
    }

    /// Takes received bytes; `true` once the client has closed the session.
    pub(crate) fn push(&mut self, mut bytes: Bytes, now: Instant) -> Result<bool, CapsuleError> {
        loop {
            let skipped = usize::try_from(self.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
            bytes.advance(skipped);
            self.skip -= skipped as u64;
            self.budget.spend(0, skipped, now).map_err(|_| CapsuleError::TooMany)?;
            let Some((kind, length)) = self.head(&mut bytes) else { return Ok(false) };
            if kind == CLOSE_SESSION {
                if !(4..=4 + MAX_REASON).contains(&length) {
                    return Err(CapsuleError::Invalid);
                }
                // The code and reason are the client's own affair; that it is over is known before they
                // are whole.
                return Ok(true);
            }
            self.budget.spend(1, 0, now).map_err(|_| CapsuleError::TooMany)?;
            self.skip = length;
        }
    }

    /// Takes a capsule's type and length; `None`, and nothing left of `bytes`, while they are not whole.
    fn head(&mut self, bytes: &mut Bytes) -> Option<(u64, u64)> {
        let held = self.buffer.len();
        // Two numbers have at most 16 bytes.
        self.buffer.extend_from_slice(bytes.get(..bytes.len().min(MAX_STREAM_HEADER - held)).unwrap_or_default());
        let mut rest: &[u8] = &self.buffer;
        let Some(head) = varint(&mut rest).zip(varint(&mut rest)) else {
            bytes.clear();
            if self.buffer.is_empty() {
                self.buffer = BytesMut::new();
            }
            return None;
        };
        bytes.advance(self.buffer.len() - rest.len() - held);
        self.buffer.clear();
        Some(head)
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
    use crate::limits::quic::{SKIPPED_BYTES, SKIPPED_FRAMES};

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
            let now = Instant::now();
            let mut capsules = Capsules::new(now);
            for piece in bytes.chunks(cut) {
                prop_assert_eq!(capsules.push(Bytes::copy_from_slice(piece), now), Ok(false));
                prop_assert!(capsules.buffer.len() < 16);
            }
            prop_assert_eq!(capsules.push(close_session(CloseCode::Done), now), Ok(true));
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let now = Instant::now();
            let _ = Capsules::new(now).push(bytes.into(), now);
        }
    }

    #[test]
    fn what_is_skipped_is_bounded() {
        let now = Instant::now();
        let mut many = Capsules::new(now);
        let empty = Bytes::from_static(&[0x21, 0]);
        assert!((0..SKIPPED_FRAMES).all(|_| many.push(empty.clone(), now) == Ok(false)));
        assert_eq!(many.push(empty, now), Err(CapsuleError::TooMany));
        let mut large = Capsules::new(now);
        assert_eq!(
            large.push(Bytes::from_static(&[0x21, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), now),
            Ok(false)
        );
        assert_eq!(large.push(vec![0; SKIPPED_BYTES].into(), now), Ok(false));
        assert_eq!(large.push(vec![0; 1].into(), now), Err(CapsuleError::TooMany));
    }

    #[test]
    fn codes_as_the_draft_has_them() {
        assert_eq!(http_code(CloseCode::ProtocolError).into_inner(), 0x52e4_a40f_a8db + 4000 + 4000 / 0x1e);
        let capsule = close_session(CloseCode::Timeout);
        assert_eq!(&capsule[..7], &[0x68, 0x43, 11, 0, 0, 0x0f, 0xa2]);
        assert_eq!(&capsule[7..], b"timeout");
    }
}
