//! A server's frame as the bytes that each transport carries.

use std::sync::OnceLock;

use bytes::{BufMut as _, Bytes, BytesMut};
use gogochat_proto::{close::CloseCode, json, method::Method, v1};
use prost::Message as _;

/// How a transport carries frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Length, frame: a WebTransport stream.
    Stream,
    /// A WebSocket binary message with length and frame.
    Binary,
    /// A WebSocket text message with the frame in JSON.
    Text,
}

/// A frame encoded once for all who get it: each format's bytes are made at most once, and shared.
#[derive(Debug)]
pub(crate) struct SharedFrame {
    /// WebSocket header, length, frame.
    message: Bytes,
    /// Where length and frame begin.
    length_at: usize,
    frame_at: usize,
    text: OnceLock<Bytes>,
}

impl SharedFrame {
    /// Takes an encoded ServerFrame.
    pub(crate) fn new(encoded: &[u8]) -> Self {
        let delimited = encoded.len() + prost::length_delimiter_len(encoded.len());
        let mut message = BytesMut::with_capacity(delimited + MAX_HEADER);
        header(&mut message, BINARY, delimited);
        let length_at = message.len();
        // The buffer grows, so this cannot fail.
        let _ = prost::encode_length_delimiter(encoded.len(), &mut message);
        let frame_at = message.len();
        message.put_slice(encoded);
        Self { message: message.freeze(), length_at, frame_at, text: OnceLock::new() }
    }

    /// The bytes for a transport.
    pub(crate) fn bytes(&self, format: Format) -> Bytes {
        match format {
            Format::Stream => self.message.slice(self.length_at..),
            Format::Binary => self.message.clone(),
            Format::Text => self.text.get_or_init(|| text(&self.encoded(), None)).clone(),
        }
    }

    /// The frame alone, as a datagram carries it.
    pub(crate) fn encoded(&self) -> Bytes {
        self.message.slice(self.frame_at..)
    }
}

/// A frame for one session. `method` is that of the call which a reply answers.
pub(crate) fn encode(format: Format, frame: impl Into<v1::ServerFrame>, method: Option<&'static Method>) -> Bytes {
    let frame: v1::ServerFrame = frame.into();
    match format {
        Format::Stream => gogochat_proto::frame::encode(&frame),
        Format::Binary => {
            let length = frame.encoded_len();
            let delimited = length + prost::length_delimiter_len(length);
            let mut out = BytesMut::with_capacity(delimited + MAX_HEADER);
            header(&mut out, BINARY, delimited);
            let _ = frame.encode_length_delimited(&mut out);
            out.freeze()
        }
        Format::Text => text(&frame.encode_to_vec(), method),
    }
}

/// A WebSocket control frame (RFC 6455 section 5.5). Payloads over 125 bytes are cut.
pub(crate) fn control(opcode: u8, payload: &[u8]) -> Bytes {
    let payload = payload.get(..125).unwrap_or(payload);
    let mut out = BytesMut::with_capacity(payload.len() + 2);
    header(&mut out, opcode, payload.len());
    out.put_slice(payload);
    out.freeze()
}

/// The WebSocket close frame of a code (RFC 6455 section 5.5.1).
pub(crate) fn close_message(code: CloseCode) -> Bytes {
    let mut payload = code.code().to_be_bytes().to_vec();
    payload.extend_from_slice(code.reason().as_bytes());
    control(CLOSE, &payload)
}

fn text(encoded: &[u8], method: Option<&'static Method>) -> Bytes {
    // What we encoded ourselves can be read; a core's bytes that cannot are left out as an empty object.
    let json = json::server_frame_to_json(encoded, |_| method).unwrap_or_else(|_| "{}".to_owned());
    let mut out = BytesMut::with_capacity(json.len() + MAX_HEADER);
    header(&mut out, TEXT, json.len());
    out.put_slice(json.as_bytes());
    out.freeze()
}

/// The header of a whole, unmasked message (RFC 6455 section 5.2).
fn header(out: &mut BytesMut, opcode: u8, length: usize) {
    out.put_u8(FIN | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => out.put_u8(short),
        (_, Ok(medium)) => {
            out.put_u8(126);
            out.put_u16(medium);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
/// The opcode of a close.
pub(crate) const CLOSE: u8 = 8;
/// The opcode of a pong.
pub(crate) const PONG: u8 = 10;
const MAX_HEADER: usize = 10;

#[cfg(test)]
mod tests {
    use gogochat_proto::{frame, v1::server_frame::Frame};

    use super::*;

    #[test]
    fn shared_and_own_bytes_are_the_same() {
        for length in [0, 10, 125, 126, 200, 65_535, 65_536, 70_000] {
            let reply = || Frame::Reply(v1::Reply { id: 7, body: Bytes::from(vec![1; length]), error: None });
            let encoded = v1::ServerFrame::from(reply()).encode_to_vec();
            let shared = SharedFrame::new(&encoded);
            for format in [Format::Stream, Format::Binary] {
                assert_eq!(shared.bytes(format), encode(format, reply(), None));
            }
            assert_eq!(shared.bytes(Format::Stream), frame::delimit(&encoded));
            assert_eq!(shared.encoded(), encoded);
        }
    }

    #[test]
    fn text_is_a_json_message() {
        let bytes = encode(Format::Text, Frame::Ping(v1::Ping { nonce: 5 }), None);
        assert_eq!(bytes[0], 0x81);
        let value: serde_json::Value = serde_json::from_slice(&bytes[2..]).unwrap();
        assert_eq!(value["ping"]["nonce"], "5");
    }

    #[test]
    fn control_frames_are_short() {
        assert_eq!(control(PONG, &[9; 300]).len(), 127);
        assert_eq!(&close_message(CloseCode::Timeout)[..4], &[0x88, 9, 0x0f, 0xa2]);
    }
}
