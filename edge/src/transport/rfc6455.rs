//! The reading side of a WebSocket server (RFC 6455): bytes in, messages out. Holds at most one
//! message, and nothing while idle.

use bytes::{Buf as _, Bytes, BytesMut};
use gogochat_proto::{
    close::CloseCode,
    limits::{MAX_FRAME, MAX_JSON},
};

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// A binary message.
    Binary(Bytes),
    /// A text message: UTF-8.
    Text(Bytes),
    /// A ping, to be answered with a pong of the same payload.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// A small piece of a message that is not whole yet: it costs as much as a message does.
    Fragment,
    /// A close: the last message. Its code and reason, or nothing (section 5.5.1).
    Close(Bytes),
}

/// Cuts received bytes into messages.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    /// The largest message, in bytes.
    limit: usize,
    /// A message whose last fragment has not come.
    fragments: Option<(u8, BytesMut)>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), limit: MAX_MESSAGE, fragments: None }
    }
}

impl Decoder {
    /// Takes larger messages from now on: JSON of a client that has said Hello.
    pub(crate) fn take_large(&mut self) {
        self.limit = MAX_JSON;
    }

    /// Takes received bytes; call [`Self::next`] until it gives `None` before the next.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message.
    ///
    /// # Errors
    /// The code to close with; the decoder is of no use after that.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, CloseCode> {
        while let Some(frame) = self.frame()? {
            if let Some(message) = self.message(frame)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Whether a message has been begun and not finished.
    pub(crate) fn is_partial(&self) -> bool {
        !self.buffer.is_empty() || self.fragments.is_some()
    }

    fn message(&mut self, frame: Frame) -> Result<Option<Message>, CloseCode> {
        match (frame.opcode, &mut self.fragments) {
            (CLOSE, _) => close(frame.payload.freeze()).map(Some),
            (PING, _) => Ok(Some(Message::Ping(frame.payload.freeze()))),
            (PONG, _) => Ok(Some(Message::Pong)),
            (TEXT | BINARY, None) if frame.fin => whole(frame.opcode, frame.payload.freeze()).map(Some),
            (TEXT | BINARY, fragments @ None) => {
                let size = frame.payload.len();
                *fragments = Some((frame.opcode, frame.payload));
                Ok(piece(size))
            }
            (CONTINUATION, Some((_, message))) => {
                if message.len() + frame.payload.len() > self.limit {
                    return Err(CloseCode::FrameTooLarge);
                }
                message.extend_from_slice(&frame.payload);
                match self.fragments.take_if(|_| frame.fin) {
                    Some((opcode, message)) => whole(opcode, message.freeze()).map(Some),
                    None => Ok(piece(frame.payload.len())),
                }
            }
            _ => Err(CloseCode::ProtocolError),
        }
    }

    fn frame(&mut self) -> Result<Option<Frame>, CloseCode> {
        let Some(header) = Header::read(&self.buffer, self.limit)? else { return Ok(None) };
        if self.buffer.len() - header.size < header.length {
            return Ok(None);
        }
        self.buffer.advance(header.size);
        let mut payload = self.buffer.split_to(header.length);
        for (byte, mask) in payload.iter_mut().zip(header.mask.iter().cycle()) {
            *byte ^= mask;
        }
        if self.buffer.is_empty() {
            // An idle connection keeps no buffer.
            self.buffer = BytesMut::new();
        }
        Ok(Some(Frame { fin: header.fin, opcode: header.opcode, payload }))
    }
}

struct Frame {
    fin: bool,
    opcode: u8,
    payload: BytesMut,
}

/// A frame's header (RFC 6455 section 5.2).
struct Header {
    fin: bool,
    opcode: u8,
    length: usize,
    mask: [u8; 4],
    size: usize,
}

impl Header {
    /// Reads it and checks all that it alone shows; `None` while it is not whole.
    fn read(mut bytes: &[u8], limit: usize) -> Result<Option<Self>, CloseCode> {
        let total = bytes.len();
        let (Ok(first), Ok(second)) = (bytes.try_get_u8(), bytes.try_get_u8()) else { return Ok(None) };
        let (fin, opcode, short) = (first & 0x80 != 0, first & 0x0f, second & 0x7f);
        // No extension was agreed on, so the reserved bits are 0; a client masks; a control frame is
        // short and whole.
        let is_control = opcode & 8 != 0;
        if first & 0x70 != 0 || second & 0x80 == 0 || (is_control && (!fin || short > 125)) {
            return Err(CloseCode::ProtocolError);
        }
        if !matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
            return Err(CloseCode::ProtocolError);
        }
        let length = match short {
            126 => bytes.try_get_u16().map(u64::from),
            127 => bytes.try_get_u64(),
            short => Ok(u64::from(short)),
        };
        let Ok(length) = length else { return Ok(None) };
        let length = usize::try_from(length).ok().filter(|length| *length <= limit).ok_or(CloseCode::FrameTooLarge)?;
        let Ok(mask) = bytes.try_get_u32() else { return Ok(None) };
        Ok(Some(Self { fin, opcode, length, mask: mask.to_be_bytes(), size: total - bytes.len() }))
    }
}

fn piece(size: usize) -> Option<Message> {
    (size < SMALL_PIECE).then_some(Message::Fragment)
}

fn whole(opcode: u8, payload: Bytes) -> Result<Message, CloseCode> {
    if opcode == BINARY {
        return Ok(Message::Binary(payload));
    }
    // RFC 6455 section 8.1.
    std::str::from_utf8(&payload).map_err(|_| CloseCode::ProtocolError)?;
    Ok(Message::Text(payload))
}

/// A close says nothing, or a code that may stand on the wire and a reason in UTF-8 (RFC 6455 sections
/// 5.5.1, 7.4).
fn close(payload: Bytes) -> Result<Message, CloseCode> {
    let is_good = match payload.split_first_chunk() {
        Some((code, reason)) => {
            matches!(u16::from_be_bytes(*code), 1000..=1003 | 1007..=1014 | 3000..=4999)
                && std::str::from_utf8(reason).is_ok()
        }
        None => payload.is_empty(),
    };
    if is_good { Ok(Message::Close(payload)) } else { Err(CloseCode::ProtocolError) }
}

/// A frame of the largest size with its length. Before Hello that is enough for JSON too.
const MAX_MESSAGE: usize = MAX_FRAME + 3;
/// Larger pieces are bounded by the size of a message.
const SMALL_PIECE: usize = 1_024;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

#[cfg(test)]
#[path = "rfc6455_tests.rs"]
mod tests;
