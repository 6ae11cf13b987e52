//! Field sections (RFC 9204 section 4.5), read as far as is needed before h3 reads them.
//!
//! h3 knows two values of `:protocol` and resets a request with any other. So a value that it does
//! not know is replaced by one that it knows. `webtransport-h3`, of the drafts from 15 on, becomes
//! `webtransport`. Every other value becomes `connect-udp`, which this server does not serve
//! either. No name or value has to be decoded for that, because a string has only one Huffman form.

use bytes::{BufMut as _, Bytes, BytesMut};
use h3::error::Code;

use super::guard::Fault;

/// A request's field section as h3 can read it. `:protocol` is `webtransport`, or `connect-udp` for any
/// other protocol.
///
/// # Errors
/// It is no field section, or refers to a dynamic table, which was announced to be empty.
pub(super) fn readable(section: Bytes) -> Result<Bytes, Fault> {
    let mut rest: &[u8] = &section;
    let required_inserts = integer(&mut rest, 8)?;
    let _base = integer(&mut rest, 7)?;
    if required_inserts != 0 {
        return Err(BROKEN);
    }
    let mut rewritten: Option<BytesMut> = None;
    while !rest.is_empty() {
        let from = section.len() - rest.len();
        let is_protocol = line(&mut rest)?;
        let to = section.len() - rest.len();
        let bytes = section.get(from..to).unwrap_or_default();
        if let Some(protocol) = is_protocol {
            let out = rewritten.get_or_insert_with(|| BytesMut::from(section.get(..from).unwrap_or_default()));
            put_protocol(out, if protocol == Protocol::WebTransport { WEBTRANSPORT } else { OTHER });
        } else if let Some(out) = &mut rewritten {
            out.put_slice(bytes);
        }
    }
    Ok(rewritten.map_or(section, BytesMut::freeze))
}

/// A field section past the size that was announced, whatever it is: h3 answers it with 431.
pub(super) fn too_large(limit: usize) -> Bytes {
    // No dynamic table; then the longest line of the static table over and over:
    // "strict-transport-security: max-age=31536000; includesubdomains; preload".
    const LINE: u8 = 0b1100_0000 | 58;
    const SIZE: usize = 25 + 44 + 32;
    let mut section = BytesMut::zeroed(2);
    section.put_bytes(LINE, limit / SIZE + 1);
    section.freeze()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    WebTransport,
    Other,
}

/// Takes a field line off the front; the protocol, where it is that of `:protocol`.
fn line(rest: &mut &[u8]) -> Result<Option<Protocol>, Fault> {
    let first = *rest.first().ok_or(BROKEN)?;
    match first {
        // Indexed, of the static table.
        0b1100_0000.. => _ = integer(rest, 6)?,
        // A literal with a name of the static table, in which `:protocol` is not.
        0b0101_0000..=0b0101_1111 | 0b0111_0000..=0b0111_1111 => {
            integer(rest, 4)?;
            string(rest, 7)?;
        }
        // A literal with a literal name.
        0b0010_0000..=0b0011_1111 => {
            let name = string(rest, 3)?;
            let value = string(rest, 7)?;
            if PROTOCOL.contains(&name) {
                let known = TOKENS.contains(&value);
                return Ok(Some(if known { Protocol::WebTransport } else { Protocol::Other }));
            }
        }
        // All others refer to the dynamic table.
        _ => return Err(BROKEN),
    }
    Ok(None)
}

/// Takes a string off the front: whether it is in Huffman's form, and its bytes. Its length has a prefix
/// of `bits`.
fn string<'a>(rest: &mut &'a [u8], bits: u32) -> Result<(bool, &'a [u8]), Fault> {
    let huffman = rest.first().ok_or(BROKEN)? & (1 << bits) != 0;
    let length = usize::try_from(integer(rest, bits)?).map_err(|_| BROKEN)?;
    let (bytes, after) = rest.split_at_checked(length).ok_or(BROKEN)?;
    *rest = after;
    Ok((huffman, bytes))
}

/// Takes an integer with a prefix of `bits` off the front (RFC 7541 section 5.1).
fn integer(rest: &mut &[u8], bits: u32) -> Result<u64, Fault> {
    let (first, mut after) = rest.split_first().ok_or(BROKEN)?;
    let most = u64::from(u8::MAX >> (8 - bits));
    let mut value = u64::from(*first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (byte, left) = after.split_first().ok_or(BROKEN)?;
            after = left;
            // No number here can be longer than a frame.
            if shift > 21 {
                return Err(BROKEN);
            }
            value += u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = after;
    Ok(value)
}

/// Appends a literal line.
fn put_protocol(out: &mut BytesMut, value: &[u8]) {
    // A length of 9 is 7 in the prefix, and 2.
    out.put_slice(&[0b0010_0111, 2]);
    out.put_slice(b":protocol");
    out.put_u8(value.len() as u8);
    out.put_slice(value);
}

const WEBTRANSPORT: &[u8] = b"webtransport";
const OTHER: &[u8] = b"connect-udp";
/// ":protocol", as it is and in Huffman's form (RFC 7541 appendix B).
const PROTOCOL: [(bool, &[u8]); 2] = [(false, b":protocol"), (true, &[0xb9, 0x5d, 0x87, 0x49, 0xc8, 0x7a, 0x3f])];
/// The tokens of WebTransport: of the drafts to 14, and from 15 on.
const TOKENS: [(bool, &[u8]); 4] = [
    (false, WEBTRANSPORT),
    (true, &[0xf0, 0x58, 0xd3, 0x60, 0xea, 0x45, 0x67, 0xb1, 0x3f]),
    (false, b"webtransport-h3"),
    (true, &[0xf0, 0x58, 0xd3, 0x60, 0xea, 0x45, 0x67, 0xb1, 0x2b, 0x4e, 0xcf]),
];
const BROKEN: Fault = Fault { code: Code::QPACK_DECOMPRESSION_FAILED, why: "a field section cannot be read" };

#[cfg(test)]
#[path = "section_tests.rs"]
mod tests;
