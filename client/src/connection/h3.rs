//! As much of HTTP/3 (RFC 9114), QPACK (RFC 9204), capsules (RFC 9297) and WebTransport over HTTP/3
//! (draft-ietf-webtrans-http3-02 to -07) as a client's one session needs. No I/O: bytes in, meaning
//! out.
//!
//! No dynamic table is announced, so the server sends static references and literals alone, and
//! neither side needs QPACK streams.

use bytes::{Buf as _, BufMut, Bytes, BytesMut};

/// The type of a control stream.
pub(super) const CONTROL_STREAM: u64 = 0x00;
/// The type of a client's or server's bidirectional WebTransport stream; the session id follows.
pub(super) const BIDI_STREAM: u64 = 0x41;
/// HTTP/3's code for "no error".
pub(super) const H3_NO_ERROR: u32 = 0x100;

const DATA: u64 = 0x00;
const HEADERS: u64 = 0x01;
const SETTINGS: u64 = 0x04;
const SETTING_CONNECT_PROTOCOL: u64 = 0x08;
const SETTING_DATAGRAM: u64 = 0x33;
/// Drafts 02 to 06, and what drafts 07 and later call it.
const SETTING_WEBTRANSPORT: [u64; 4] = [0x2b60_3742, 0xc671_706a, 0x14e9_cd29, 0x2c7c_f000];
const CLOSE_SESSION: u64 = 0x2843;
/// A frame, a capsule: the server's own limit on header sections, generously.
const MAX_LENGTH: u64 = 64 * 1024;

/// Why bytes from the server are of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// Writes a variable-length integer (RFC 9000 section 16).
pub(super) fn put_varint(out: &mut impl BufMut, value: u64) {
    match value {
        0..=0x3f => out.put_u8(value as u8),
        0x40..=0x3fff => out.put_u16(value as u16 | 0x4000),
        0x4000..=0x3fff_ffff => out.put_u32(value as u32 | 0x8000_0000),
        _ => out.put_u64(value | 0xc000_0000_0000_0000),
    }
}

/// The variable-length integer at the start of `bytes`, and its size; `None` while it is not whole.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let size = 1_usize << (bytes.first()? >> 6);
    let value = bytes.get(..size)?.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    // The two bits in front say the size.
    Some((value & (u64::MAX >> (66 - 8 * size)), size))
}

/// What the client's control stream begins with.
pub(super) fn control_stream() -> Vec<u8> {
    let mut settings = Vec::new();
    for (id, value) in [(SETTING_DATAGRAM, 1), (SETTING_WEBTRANSPORT[0], 1)] {
        put_varint(&mut settings, id);
        put_varint(&mut settings, value);
    }
    let mut out = vec![CONTROL_STREAM as u8];
    put_tlv(&mut out, SETTINGS, &settings);
    out
}

/// The extended CONNECT (RFC 9220) that asks for a session.
pub(super) fn connect_request(authority: &str, path: &str) -> Vec<u8> {
    // Required insert count and base: 0, nothing dynamic.
    let mut block = vec![0, 0];
    // Static table: 15 is `:method CONNECT`, 23 `:scheme https`, 0 the name `:authority`, 1 the name `:path`.
    block.extend([0xc0 | 15, 0xc0 | 23]);
    block.push(0x50);
    put_string(&mut block, 7, 0, authority);
    block.push(0x51);
    put_string(&mut block, 7, 0, path);
    for (name, value) in [(":protocol", "webtransport"), ("sec-webtransport-http3-draft02", "1")] {
        put_string(&mut block, 3, 0x20, name);
        put_string(&mut block, 7, 0, value);
    }
    let mut out = Vec::new();
    put_tlv(&mut out, HEADERS, &block);
    out
}

/// The end of a session, for its CONNECT stream: a capsule in a DATA frame.
pub(super) fn close_session(code: u32, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    let mut capsule = Vec::new();
    put_tlv(&mut capsule, CLOSE_SESSION, &payload);
    let mut out = Vec::new();
    put_tlv(&mut out, DATA, &capsule);
    out
}

fn put_tlv(out: &mut Vec<u8>, kind: u64, payload: &[u8]) {
    put_varint(out, kind);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

/// Cuts type-length-value: HTTP/3 frames and capsules have that form both.
#[derive(Debug, Default)]
struct Tlv {
    buffer: BytesMut,
}

impl Tlv {
    fn next(&mut self) -> Result<Option<(u64, Bytes)>, Malformed> {
        let Some((kind, type_size)) = varint(&self.buffer) else { return Ok(None) };
        let Some((length, length_size)) = varint(self.buffer.get(type_size..).unwrap_or_default()) else {
            return Ok(None);
        };
        if length > MAX_LENGTH {
            return Err(Malformed("a frame or capsule over 64 KiB"));
        }
        let header = type_size + length_size;
        if self.buffer.len() < header + length as usize {
            return Ok(None);
        }
        self.buffer.advance(header);
        let payload = self.buffer.split_to(length as usize).freeze();
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(Some((kind, payload)))
    }
}

/// Reads the server's control stream as far as its SETTINGS.
#[derive(Debug, Default)]
pub(super) struct Settings {
    frames: Tlv,
}

impl Settings {
    /// Whether the server takes WebTransport sessions, once it has said so.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<bool>, Malformed> {
        self.frames.buffer.extend_from_slice(bytes);
        let Some((kind, payload)) = self.frames.next()? else { return Ok(None) };
        if kind != SETTINGS {
            return Err(Malformed("the control stream does not begin with SETTINGS"));
        }
        let (mut connect, mut datagram, mut session) = (false, false, false);
        let mut rest = payload.as_ref();
        while !rest.is_empty() {
            let id = take_varint(&mut rest)?;
            let value = take_varint(&mut rest)?;
            match id {
                SETTING_CONNECT_PROTOCOL => connect = value == 1,
                SETTING_DATAGRAM => datagram = value == 1,
                id if SETTING_WEBTRANSPORT.contains(&id) => session |= value > 0,
                _ => {}
            }
        }
        Ok(Some(connect && datagram && session))
    }
}

/// What the server says on the CONNECT stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The status of the response.
    Status(u16),
    /// The session is over.
    Close(u32, String),
}

/// Reads the CONNECT stream: the response, then capsules in DATA frames.
#[derive(Debug, Default)]
pub(super) struct Answers {
    frames: Tlv,
    capsules: Tlv,
}

impl Answers {
    /// Takes received bytes; call [`Self::next`] until it gives `None`.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.frames.buffer.extend_from_slice(bytes);
    }

    /// The next answer in what was received.
    pub(super) fn next(&mut self) -> Result<Option<Answer>, Malformed> {
        loop {
            while let Some((kind, mut payload)) = self.capsules.next()? {
                if kind == CLOSE_SESSION {
                    let code = payload.try_get_u32().map_err(|_| Malformed("a close capsule without a code"))?;
                    return Ok(Some(Answer::Close(code, String::from_utf8_lossy(&payload).into_owned())));
                }
            }
            match self.frames.next()? {
                Some((HEADERS, block)) => return status(&block).map(|status| Some(Answer::Status(status))),
                Some((DATA, data)) => self.capsules.buffer.extend_from_slice(&data),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

/// The `:status` of a field section.
fn status(block: &[u8]) -> Result<u16, Malformed> {
    let mut rest = block;
    let insert_count = take_integer(&mut rest, 8)?.1;
    take_integer(&mut rest, 7)?;
    if insert_count != 0 {
        return Err(Malformed("a field section with a dynamic table"));
    }
    while let Some(first) = rest.first().copied() {
        if first & 0x80 != 0 {
            let (_, index) = take_integer(&mut rest, 6)?;
            if let Some((_, status)) = STATIC_STATUS.iter().find(|(known, _)| first & 0x40 != 0 && *known == index) {
                return Ok(*status);
            }
        } else if first & 0x40 != 0 {
            let (_, index) = take_integer(&mut rest, 4)?;
            let value = take_string(&mut rest, 7)?;
            if first & 0x10 != 0 && STATIC_STATUS.iter().any(|(known, _)| *known == index) {
                return digits(&value);
            }
        } else if first & 0x20 != 0 {
            let name = take_string(&mut rest, 3)?;
            let value = take_string(&mut rest, 7)?;
            if name == (false, b":status".as_slice()) {
                return digits(&value);
            }
        } else {
            return Err(Malformed("a field line with a dynamic table"));
        }
    }
    Err(Malformed("a response without a status"))
}

/// Entries of QPACK's static table (RFC 9204 appendix A).
const STATIC_STATUS: [(u64, u16); 14] = [
    (24, 103),
    (25, 200),
    (26, 304),
    (27, 404),
    (28, 503),
    (63, 100),
    (64, 204),
    (65, 206),
    (66, 302),
    (67, 400),
    (68, 403),
    (69, 421),
    (70, 425),
    (71, 500),
];

/// A number in text, plain or in Huffman's code (RFC 7541 appendix B: 0 to 2 have five bits, 3 to 9 six).
fn digits((huffman, text): &(bool, &[u8])) -> Result<u16, Malformed> {
    let malformed = Malformed("a status that is no number");
    if !huffman {
        return std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(malformed);
    }
    let bits = text.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut left = 8 * text.len();
    if left > 64 {
        return Err(malformed);
    }
    let mut value = 0_u16;
    let mut take = |count: usize| {
        left = left.checked_sub(count)?;
        Some(bits >> left & ((1 << count) - 1))
    };
    for _ in 0..3 {
        let five = take(5).ok_or(malformed)?;
        let digit = if five < 3 { five } else { (five << 1 | take(1).ok_or(malformed)?).wrapping_sub(0x19 - 3) };
        let digit = u16::try_from(digit).ok().filter(|digit| *digit < 10).ok_or(malformed)?;
        value = value * 10 + digit;
    }
    Ok(value)
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let (value, size) = varint(rest).ok_or(Malformed("cut short"))?;
    rest.advance(size);
    Ok(value)
}

/// An integer with a prefix of so many bits (RFC 9204 section 4.1.1), and the byte it began in.
fn take_integer(rest: &mut &[u8], prefix: u32) -> Result<(u8, u64), Malformed> {
    let short = Malformed("cut short");
    let first = rest.try_get_u8().map_err(|_| short)?;
    let mask = u8::MAX >> (8 - prefix);
    let mut value = u64::from(first & mask);
    if first & mask == mask {
        for shift in (0..=28).step_by(7) {
            let byte = rest.try_get_u8().map_err(|_| short)?;
            value += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((first, value));
            }
        }
        return Err(Malformed("an integer over 32 bits"));
    }
    Ok((first, value))
}

/// A string whose length has a prefix of so many bits below the Huffman flag; the flag and the bytes.
fn take_string<'a>(rest: &mut &'a [u8], prefix: u32) -> Result<(bool, &'a [u8]), Malformed> {
    let (first, length) = take_integer(rest, prefix)?;
    let bytes = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (text, after) = bytes.ok_or(Malformed("cut short"))?;
    *rest = after;
    Ok((first >> prefix & 1 == 1, text))
}

/// A string without Huffman's code; `flags` are the bits above its length.
fn put_string(out: &mut Vec<u8>, prefix: u32, flags: u8, text: &str) {
    let mask = u8::MAX >> (8 - prefix);
    match u8::try_from(text.len()).ok().filter(|length| *length < mask) {
        Some(length) => out.push(flags | length),
        None => {
            out.push(flags | mask);
            let mut rest = text.len() - usize::from(mask);
            while rest >= 0x80 {
                out.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            out.push(rest as u8);
        }
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
#[path = "h3_tests.rs"]
mod tests;
