//! Reads a PROXY header. No library does it, because the bytes behind the header have to stay in
//! the socket. So finding the end of a header that has arrived in part matters as much as what it
//! says.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use bytes::Buf as _;

use super::error::HeaderError;
use crate::limits::tcp::PROXY_HEADER_BYTES;

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Its bytes.
    pub(super) length: usize,
    /// Where the connection comes from; `None`: from the gateway itself, or from where it cannot tell.
    pub(super) source: Option<SocketAddr>,
}

/// The header that the bytes begin with; `None`: they are all of a header that is not whole yet.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let begins = |mark: &[u8]| bytes.iter().zip(mark).all(|(byte, wanted)| byte == wanted);
    if begins(LINE_MARK) {
        line(bytes)
    } else if begins(BLOCK_MARK) {
        block(bytes)
    } else {
        Err(HeaderError::Missing)
    }
}

/// Version 1, a line (section 2.1).
fn line(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let Some(end) = bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return if bytes.len() < MAX_LINE { Ok(None) } else { Err(HeaderError::TooLong) };
    };
    let length = end + 1;
    let told = bytes.get(LINE_MARK.len()..length).and_then(|told| str::from_utf8(told).ok()?.strip_suffix("\r\n"));
    let mut words = told.ok_or(HeaderError::Malformed)?.split(' ');
    let source = match words.next() {
        // Whatever follows is to be passed over.
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(source::<Ipv4Addr>(words).ok_or(HeaderError::Malformed)?),
        Some("TCP6") => Some(source::<Ipv6Addr>(words).ok_or(HeaderError::Malformed)?),
        _ => return Err(HeaderError::Malformed),
    };
    Ok(Some(Header { length, source }))
}

/// The source in `SOURCE DESTINATION SOURCE_PORT DESTINATION_PORT`.
fn source<'a, A: FromStr + Into<IpAddr>>(mut words: impl Iterator<Item = &'a str>) -> Option<SocketAddr> {
    let mut next = || words.next();
    let (source, _) = (next()?.parse::<A>().ok()?, next()?.parse::<A>().ok()?);
    let (source_port, _) = (port(next()?)?, port(next()?)?);
    next().is_none().then(|| SocketAddr::new(source.into(), source_port))
}

/// A port in digits alone, without zeros before it.
fn port(word: &str) -> Option<u16> {
    word.parse().ok().filter(|port: &u16| port.to_string() == word)
}

/// Version 2, a block (section 2.2).
fn block(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<BLOCK_FIXED>() else { return Ok(None) };
    let [.., command, family, high, low] = *fixed;
    let following = usize::from(u16::from_be_bytes([high, low]));
    let (addresses, source): (usize, ReadSource) = match (command, family) {
        // Of the gateway's own, such as a health check, whatever stands there of addresses.
        (LOCAL, _) | (PROXY, UNSPECIFIED) => (0, |_| None),
        (PROXY, TCP_OVER_IPV4) => (2 * (4 + 2), over_ipv4),
        (PROXY, TCP_OVER_IPV6) => (2 * (16 + 2), over_ipv6),
        (PROXY, UDP_OVER_IPV4 | UDP_OVER_IPV6 | UNIX_STREAM | UNIX_DATAGRAM) => return Err(HeaderError::NotTcp),
        _ => return Err(HeaderError::Malformed),
    };
    if following < addresses {
        return Err(HeaderError::Malformed);
    }
    let length = BLOCK_FIXED + following;
    if length > MAX_HEADER {
        return Err(HeaderError::TooLong);
    }
    // What stands behind the addresses (TLVs) is of no interest here.
    let header = rest.get(..following).map(|rest| Header { length, source: source(rest) });
    Ok(header)
}

/// Reads the source from the addresses.
type ReadSource = fn(&[u8]) -> Option<SocketAddr>;

/// Source, destination and their ports.
fn over_ipv4(mut addresses: &[u8]) -> Option<SocketAddr> {
    let source = Ipv4Addr::from_bits(addresses.try_get_u32().ok()?);
    let _destination = addresses.try_get_u32().ok()?;
    Some((source, addresses.try_get_u16().ok()?).into())
}

fn over_ipv6(mut addresses: &[u8]) -> Option<SocketAddr> {
    let source = Ipv6Addr::from_bits(addresses.try_get_u128().ok()?);
    let _destination = addresses.try_get_u128().ok()?;
    Some((source, addresses.try_get_u16().ok()?).into())
}

/// What version 1 begins with.
const LINE_MARK: &[u8] = b"PROXY ";
/// The longest line, its end included.
const MAX_LINE: usize = 107;
/// What version 2 begins with.
const BLOCK_MARK: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// That, a byte of version and command, one of family and transport, two of the length of what follows.
const BLOCK_FIXED: usize = 16;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const UDP_OVER_IPV4: u8 = 0x12;
const TCP_OVER_IPV6: u8 = 0x21;
const UDP_OVER_IPV6: u8 = 0x22;
const UNIX_STREAM: u8 = 0x31;
const UNIX_DATAGRAM: u8 = 0x32;
/// Far more than gateways have to tell; version 2 could say 65,551.
pub(super) const MAX_HEADER: usize = PROXY_HEADER_BYTES;

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
