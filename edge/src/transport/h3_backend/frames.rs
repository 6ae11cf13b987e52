//! HTTP/3 frames (RFC 9114 section 7), read before h3 sees them, so that it holds no more than it
//! needs:
//!
//! - A frame without a meaning never reaches h3, which would keep it whole. It is skipped as it
//!   comes.
//! - A frame that h3 keeps whole reaches it whole, in one piece. Its length is bounded.
//! - All DATA frames of a request reach h3 as one that never ends. Their payloads pass without
//!   being copied. Small ones are put together, so that a byte a frame costs neither time nor
//!   memory for each.
//! - Trailers, which nobody here reads, are skipped too.

use bytes::{Buf as _, Bytes, BytesMut};
use h3::error::Code;

use super::{
    super::capsule::{put_varint, varint, varint_size},
    guard::Fault,
    section,
};
use crate::limits::quic::{MAX_CONTROL_FRAME, MAX_HEADERS, MAX_STREAM_HEADER};

/// Reads the frames of one stream.
#[derive(Debug)]
pub(super) struct Frames {
    stage: Stage,
    state: State,
    head: Head,
    /// h3 was told that a DATA frame begins.
    in_data: bool,
}

/// Which frames may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// On a control stream: SETTINGS.
    Settings,
    /// On a control stream, after that.
    Control,
    /// On a request's stream: its HEADERS.
    Headers,
    /// DATA, or trailers.
    Body,
    /// Nothing more with a meaning.
    Trailed,
}

#[derive(Debug)]
enum State {
    /// At a frame's type and length.
    Head,
    /// Within a frame that h3 gets whole: what is there of it, what is missing, and what nobody gets
    /// after it.
    Whole { kind: u64, payload: BytesMut, missing: usize, rest: u64 },
    /// Within a DATA frame.
    Data { left: u64 },
    /// Within a frame that nobody gets.
    Skip { left: u64 },
}

/// The type and length of a frame, as far as they have come.
#[derive(Debug, Default, Clone, Copy)]
struct Head {
    bytes: [u8; MAX_STREAM_HEADER],
    length: u8,
}

/// What is known of a stream's next piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// For h3.
    Pass(Bytes),
    /// The same, and the client's SETTINGS.
    Settings(Bytes),
}

impl Frames {
    /// Those of a control stream, after its type.
    pub(super) fn of_control() -> Self {
        Self::at(Stage::Settings)
    }

    /// Those of a request's stream.
    pub(super) fn of_request() -> Self {
        Self::at(Stage::Headers)
    }

    fn at(stage: Stage) -> Self {
        Self { stage, state: State::Head, head: Head::default(), in_data: false }
    }

    /// The next piece of what was read; `None`, and nothing left of `input`, when more has to be read.
    /// `spend` is told the frames and bytes that are skipped.
    ///
    /// # Errors
    /// The connection has to end.
    pub(super) fn next(
        &mut self,
        input: &mut Bytes,
        spend: impl Fn(usize, usize) -> Result<(), Fault>,
    ) -> Result<Option<Piece>, Fault> {
        let mut gathered = BytesMut::new();
        loop {
            match &mut self.state {
                State::Data { left: 0 } | State::Skip { left: 0 } => self.state = State::Head,
                State::Whole { kind, payload, missing: 0, rest } => {
                    let (kind, payload, left) = (*kind, std::mem::take(payload).freeze(), *rest);
                    self.state = State::Skip { left };
                    return whole(kind, payload).map(Some);
                }
                _ if input.is_empty() => break,
                State::Head => {
                    if let Some((kind, length)) = self.head.take(input) {
                        self.state = self.begin(kind, length, input.len(), &spend)?;
                    }
                }
                State::Whole { payload, missing, .. } => {
                    let part = input.split_to(input.len().min(*missing));
                    *missing -= part.len();
                    payload.extend_from_slice(&part);
                }
                State::Skip { left } => {
                    let skipped = bounded(*left, input.len());
                    *left -= skipped as u64;
                    input.advance(skipped);
                    spend(0, skipped)?;
                }
                State::Data { left } => {
                    if !std::mem::replace(&mut self.in_data, true) {
                        return Ok(Some(Piece::Pass(Bytes::from_static(ENDLESS_DATA))));
                    }
                    let size = bounded(*left, input.len());
                    let is_small = size < SMALL;
                    if !is_small && !gathered.is_empty() {
                        break;
                    }
                    *left -= size as u64;
                    let part = input.split_to(size);
                    if !is_small {
                        return Ok(Some(Piece::Pass(part)));
                    }
                    gathered.extend_from_slice(&part);
                }
            }
        }
        Ok((!gathered.is_empty()).then(|| Piece::Pass(gathered.freeze())))
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// It ended within a frame, and the connection has to end (RFC 9114 section 7.1).
    pub(super) fn end(&self) -> Result<(), Fault> {
        let between = matches!(self.state, State::Head | State::Data { left: 0 } | State::Skip { left: 0 });
        if between && self.head.length == 0 {
            return Ok(());
        }
        Err(Fault { code: Code::H3_FRAME_ERROR, why: "a stream ended within a frame" })
    }

    /// A frame begins, of which `here` bytes have come.
    fn begin(
        &mut self,
        kind: u64,
        length: u64,
        here: usize,
        spend: &impl Fn(usize, usize) -> Result<(), Fault>,
    ) -> Result<State, Fault> {
        let unexpected = Fault { code: Code::H3_FRAME_UNEXPECTED, why: "this frame may not come here" };
        let stage = self.stage;
        if kind == WEBTRANSPORT_STREAM {
            return Err(Fault { code: Code::H3_FRAME_ERROR, why: "a WebTransport stream begins as such" });
        }
        match (stage, kind) {
            (Stage::Headers, HEADERS) => {
                self.stage = Stage::Body;
                return Ok(if length <= MAX_HEADERS as u64 {
                    State::keep(kind, length as usize, here)
                } else {
                    // What it says is not needed for the answer, which ends the stream.
                    let payload = BytesMut::from(&*section::too_large(MAX_HEADERS));
                    State::Whole { kind, payload, missing: 0, rest: length }
                });
            }
            (Stage::Body, DATA) if length > 0 => return Ok(State::Data { left: length }),
            (Stage::Settings, kind) if kind != SETTINGS => {
                return Err(Fault { code: Code::H3_MISSING_SETTINGS, why: "SETTINGS come first" });
            }
            _ => {}
        }
        // All others are counted.
        spend(1, 0)?;
        match (stage, kind) {
            // An empty one.
            (Stage::Body, DATA) => Ok(State::Skip { left: 0 }),
            (Stage::Body, HEADERS) => {
                self.stage = Stage::Trailed;
                Ok(State::Skip { left: length })
            }
            (Stage::Settings, _) => {
                self.stage = Stage::Control;
                if length > MAX_CONTROL_FRAME as u64 {
                    return Err(Fault { code: Code::H3_EXCESSIVE_LOAD, why: "SETTINGS are too long" });
                }
                Ok(State::keep(kind, length as usize, here))
            }
            (Stage::Control, CANCEL_PUSH | GOAWAY | MAX_PUSH_ID) => {
                // They have one number each.
                if !(1..=8).contains(&length) {
                    return Err(Fault { code: Code::H3_FRAME_ERROR, why: "a frame of the wrong length" });
                }
                Ok(State::keep(kind, length as usize, here))
            }
            // PUSH_PROMISE is a server's, and the last four were frames of HTTP/2 (RFC 9114 section 7.2.8).
            (_, DATA | HEADERS | CANCEL_PUSH | SETTINGS | PUSH_PROMISE | GOAWAY | MAX_PUSH_ID | 2 | 6 | 8 | 9) => {
                Err(unexpected)
            }
            _ => Ok(State::Skip { left: length }),
        }
    }
}

impl State {
    /// A frame is kept whole; `here` of its bytes have come. No more memory is taken before more comes.
    fn keep(kind: u64, length: usize, here: usize) -> Self {
        Self::Whole { kind, payload: BytesMut::with_capacity(length.min(here)), missing: length, rest: 0 }
    }
}

impl Head {
    /// Takes a type and a length off the front; `None`, and nothing left of the input, while they are
    /// not whole.
    fn take(&mut self, input: &mut Bytes) -> Option<(u64, u64)> {
        if self.length == 0 {
            let mut rest: &[u8] = input;
            if let (Some(kind), Some(length)) = (varint(&mut rest), varint(&mut rest)) {
                input.advance(input.len() - rest.len());
                return Some((kind, length));
            }
        }
        while let Some(byte) = input.first().copied() {
            input.advance(1);
            // Two numbers have at most 16 bytes.
            if let Some(free) = self.bytes.get_mut(usize::from(self.length)) {
                *free = byte;
                self.length += 1;
            }
            let mut rest = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
            if let (Some(kind), Some(length)) = (varint(&mut rest), varint(&mut rest)) {
                self.length = 0;
                return Some((kind, length));
            }
        }
        None
    }
}

/// A frame that h3 gets whole.
fn whole(kind: u64, payload: Bytes) -> Result<Piece, Fault> {
    let payload = if kind == HEADERS { section::readable(payload)? } else { payload };
    let mut frame = BytesMut::with_capacity(varint_size(0xff) * 2 + payload.len());
    put_varint(&mut frame, kind);
    put_varint(&mut frame, payload.len() as u64);
    frame.extend_from_slice(&payload);
    let frame = frame.freeze();
    Ok(if kind == SETTINGS { Piece::Settings(frame) } else { Piece::Pass(frame) })
}

fn bounded(left: u64, here: usize) -> usize {
    usize::try_from(left).map_or(here, |left| left.min(here))
}

/// Payloads of fewer bytes are copied, as each would keep the packet that it came in.
const SMALL: usize = 1_024;
/// The head of a DATA frame of 2^62 - 1 bytes.
const ENDLESS_DATA: &[u8] = &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

// Frame types (RFC 9114 section 11.2.1).
const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;
const CANCEL_PUSH: u64 = 0x3;
const SETTINGS: u64 = 0x4;
const PUSH_PROMISE: u64 = 0x5;
const GOAWAY: u64 = 0x7;
const MAX_PUSH_ID: u64 = 0xd;
/// No frame, but what a stream of WebTransport begins with (draft-ietf-webtrans-http3 section 4.3).
const WEBTRANSPORT_STREAM: u64 = 0x41;

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
