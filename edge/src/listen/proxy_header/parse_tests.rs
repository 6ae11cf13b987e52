//! Headers as another implementation writes and reads them, and such as nobody should send.

use ppp::{
    v1,
    v2::{self, Builder, Command, Protocol, Version},
};
use proptest::prelude::*;

use super::*;

fn told(bytes: &[u8]) -> SocketAddr {
    let header = parse(bytes).unwrap().unwrap();
    assert_eq!(header.length, bytes.len());
    header.source.unwrap()
}

fn is_local(bytes: &[u8]) -> bool {
    parse(bytes).unwrap() == Some(Header { length: bytes.len(), source: None })
}

/// A block with these two bytes, and what follows.
fn block(command: u8, family: u8, length: usize, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(length).unwrap().to_be_bytes();
    [BLOCK_MARK, &[command, family], &length, rest].concat()
}

#[test]
fn the_examples_of_the_specification_and_of_gateways() {
    assert_eq!(told(b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), "192.168.0.1:56324".parse().unwrap());
    let longest =
        "PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".replace("f...f", "ffff:ffff:ffff:ffff:ffff:ffff");
    assert_eq!(longest.len(), 104);
    assert_eq!(told(longest.as_bytes()).port(), 65_535);
    let longest = longest.replace("TCP6", "UNKNOWN");
    assert_eq!(longest.len(), MAX_LINE);
    for line in [longest.as_str(), "PROXY UNKNOWN\r\n", "PROXY UNKNOWN what ever  stands here\t\r\n"] {
        assert!(is_local(line.as_bytes()), "{line}");
    }
    // From HAProxy, as it was seen on the wire.
    let seen = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xac\x13\0\x01\xac\x13\0\x03\xa6\x52\0\x50";
    assert_eq!(told(seen), "172.19.0.1:42578".parse().unwrap());
}

#[test]
fn what_is_a_gateways_own_is_of_no_other_address() {
    let v4 = [&[192, 0, 2, 1, 192, 0, 2, 2, 0, 80, 1, 187][..], &[4, 0, 1, 42]].concat();
    assert!(is_local(&block(LOCAL, UNSPECIFIED, 0, &[])));
    assert!(is_local(&block(LOCAL, TCP_OVER_IPV4, v4.len(), &v4)));
    // Of LOCAL nothing counts but its length.
    assert!(is_local(&block(LOCAL, UNIX_STREAM, 3, &[1, 2, 3])));
    assert!(is_local(&block(PROXY, UNSPECIFIED, v4.len(), &v4)));
}

#[test]
fn lines_that_are_none() {
    let wrong = [
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1/8 192.0.2.2 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 2001:db8::1%eth0 2001:db8::2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY UNKNOWN\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
    ];
    for line in wrong {
        assert!(matches!(parse(line.as_bytes()), Err(HeaderError::Malformed)), "{line:?}");
    }
    assert!(matches!(parse(b"PROXY UNKNOWN \xff\xfe\r\n"), Err(HeaderError::Malformed)));
}

#[test]
fn a_line_ends_within_107_bytes() {
    let line = |size: usize| format!("PROXY UNKNOWN {}", "x".repeat(size - 14)).into_bytes();
    assert_eq!(parse(&line(MAX_LINE - 1)).unwrap(), None);
    assert!(is_local(&[line(MAX_LINE - 2), b"\r\n".into()].concat()));
    for rest in [&b""[..], b"\r\n", b"\n"] {
        assert!(matches!(parse(&[line(MAX_LINE), rest.into()].concat()), Err(HeaderError::TooLong)));
    }
}

#[test]
fn blocks_that_are_none() {
    let malformed = [
        // Of a version, a command, a family or a transport that is not known.
        block(0x11, TCP_OVER_IPV4, 12, &[]),
        block(0x22, TCP_OVER_IPV4, 12, &[]),
        block(PROXY, 0x41, 12, &[]),
        block(PROXY, 0x13, 12, &[]),
        block(PROXY, 0x10, 12, &[]),
        // Too short for its addresses.
        block(PROXY, TCP_OVER_IPV4, 11, &[0; 11]),
        block(PROXY, TCP_OVER_IPV4, 0, &[0; 12]),
        block(PROXY, TCP_OVER_IPV6, 35, &[0; 35]),
        block(PROXY, TCP_OVER_IPV6, 12, &[0; 36]),
    ];
    for block in malformed {
        assert!(matches!(parse(&block), Err(HeaderError::Malformed)), "{block:?}");
    }
    for family in [UNIX_STREAM, UNIX_DATAGRAM, UDP_OVER_IPV4, UDP_OVER_IPV6] {
        assert!(matches!(parse(&block(PROXY, family, 216, &[0; 216])), Err(HeaderError::NotTcp)));
    }
    for command in [LOCAL, PROXY] {
        assert_eq!(parse(&block(command, TCP_OVER_IPV4, MAX_HEADER - BLOCK_FIXED, &[])).unwrap(), None);
        // Nobody waits for what would be too long.
        let past = block(command, TCP_OVER_IPV4, MAX_HEADER - BLOCK_FIXED + 1, &[]);
        assert!(matches!(parse(&past), Err(HeaderError::TooLong)));
    }
}

#[test]
fn something_else_is_noticed_at_its_first_byte() {
    for other in
        [&b"\x16\x03\x01"[..], b"GET / HTTP/1.1\r\n", b"\r\n\r\n\0\r\nQUIT\r", b"\r\nG", b"PROXI", b"PRI * HTTP/2.0"]
    {
        assert!(matches!(parse(other), Err(HeaderError::Missing)), "{other:?}");
    }
}

fn addresses() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = any::<[(u32, u16); 2]>().prop_map(|pair| pair.map(|(ip, port)| (Ipv4Addr::from(ip), port).into()));
    let v6 = any::<[(u128, u16); 2]>().prop_map(|pair| pair.map(|(ip, port)| (Ipv6Addr::from(ip), port).into()));
    prop_oneof![v4, v6].prop_map(|[source, destination]| (source, destination))
}

/// A header of either version as ppp writes it, and the source that it tells.
fn header() -> impl Strategy<Value = (Vec<u8>, SocketAddr)> {
    let tlvs = prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..64)), 0..4);
    (addresses(), any::<bool>(), tlvs).prop_map(|((source, destination), line, tlvs)| {
        if line {
            return (v1::Addresses::from((source, destination)).to_string().into_bytes(), source);
        }
        let block = Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, (source, destination));
        let block = tlvs.iter().try_fold(block, |block, (kind, value)| block.write_tlv(*kind, value.as_slice()));
        (block.and_then(Builder::build).unwrap(), source)
    })
}

/// What ppp takes it for: the header's length, and the source of a TCP connection.
fn oracle(bytes: &[u8]) -> Option<(usize, SocketAddr)> {
    if let Ok(header) = v2::Header::try_from(bytes) {
        let source: SocketAddr = match header.addresses {
            v2::Addresses::IPv4(ip) => (ip.source_address, ip.source_port).into(),
            v2::Addresses::IPv6(ip) => (ip.source_address, ip.source_port).into(),
            _ => return None,
        };
        return (header.command == Command::Proxy && header.protocol == Protocol::Stream)
            .then_some((header.as_bytes().len(), source));
    }
    let header = v1::Header::try_from(bytes).ok()?;
    let source = match header.addresses {
        v1::Addresses::Tcp4(ip) => (ip.source_address, ip.source_port).into(),
        v1::Addresses::Tcp6(ip) => (ip.source_address, ip.source_port).into(),
        v1::Addresses::Unknown => return None,
    };
    Some((header.header.len(), source))
}

proptest! {
    #[test]
    fn what_another_writes_is_read_wherever_it_is_cut((header, source) in header(), after in prop::collection::vec(any::<u8>(), 0..64)) {
        for cut in 0..header.len() {
            prop_assert_eq!(parse(&header[..cut]).unwrap(), None);
        }
        let expected = Header { length: header.len(), source: Some(source) };
        prop_assert_eq!(parse(&[header, after].concat()).unwrap(), Some(expected));
    }

    /// What is damaged anywhere is refused, or says what another reads from it too.
    #[test]
    fn what_is_believed_another_believes((mut header, _) in header(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)) {
        for (at, byte) in damage {
            let at = at.index(header.len());
            header[at] = byte;
        }
        if let Ok(Some(Header { length, source: Some(source) })) = parse(&header) {
            prop_assert_eq!(oracle(&header), Some((length, source)));
        }
    }

    /// More bytes never make good what was refused, and never change what was read.
    #[test]
    fn the_first_word_stands(
        mark in prop::sample::select(vec![&b""[..], LINE_MARK, b"PROXY TCP4 ", BLOCK_MARK, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [mark, &rest].concat();
        let whole = parse(&bytes);
        for cut in 0..bytes.len() {
            match parse(&bytes[..cut]) {
                Ok(None) => {}
                Ok(header) => prop_assert_eq!(header, whole.as_ref().ok().copied().flatten()),
                Err(_) => prop_assert!(whole.is_err()),
            }
        }
    }

    #[test]
    fn nothing_waits_for_more_than_the_bound(bytes in prop::collection::vec(any::<u8>(), MAX_HEADER), mark in prop::sample::select(vec![LINE_MARK, BLOCK_MARK])) {
        prop_assert_ne!(parse(&[mark, &bytes].concat()).ok(), Some(None));
    }
}
