use proptest::prelude::*;

use super::*;

/// A literal line with a literal name, without Huffman.
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_integer(&mut out, 0b0010_0000, 3, name.len());
    out.extend(name);
    put_integer(&mut out, 0, 7, value.len());
    out.extend(value);
    out
}

fn put_integer(out: &mut Vec<u8>, flags: u8, bits: u32, value: usize) {
    let most = usize::from(u8::MAX >> (8 - bits));
    if value < most {
        return out.push(flags | value as u8);
    }
    out.push(flags | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(rest as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

fn section(lines: &[&[u8]]) -> Bytes {
    [&[0, 0][..], &lines.concat()].concat().into()
}

/// A whole CONNECT: `:method CONNECT`, `:scheme https`, `:authority a`, `:path /`, and this line.
fn connect(protocol: &[u8]) -> Bytes {
    section(&[&[0xc0 | 15, 0xc0 | 23, 0x50, 1, b'a', 0xc0 | 1], protocol, &literal(b"origin", b"https://a")])
}

#[test]
fn both_tokens_are_webtransport() {
    let expected = connect(&literal(b":protocol", b"webtransport"));
    assert_eq!(readable(expected.clone()).unwrap(), expected);
    assert_eq!(readable(connect(&literal(b":protocol", b"webtransport-h3"))).unwrap(), expected);
    for (huffman, token) in TOKENS {
        let mut line = vec![0b0010_1000 | PROTOCOL[1].1.len() as u8];
        // Seven bytes do not fit the prefix of three bits.
        line.push(0);
        line.extend(PROTOCOL[1].1);
        line.push(if huffman { 0x80 } else { 0 } | token.len() as u8);
        line.extend(token);
        assert_eq!(readable(connect(&line)).unwrap(), expected);
    }
}

#[test]
fn any_other_protocol_is_one_that_h3_knows() {
    let expected = connect(&literal(b":protocol", b"connect-udp"));
    for other in [&b"websocket"[..], b"webtransport-h4", b"", b"WebTransport", &[0xff, 0xfe], &[b'x'; 9_000]] {
        assert_eq!(readable(connect(&literal(b":protocol", other))).unwrap(), expected);
    }
}

#[test]
fn the_dynamic_table_is_empty() {
    for broken in [
        &[][..],
        &[0],
        // Inserts are required.
        &[2, 0, 0x80],
        // Indexed, in the dynamic table, and past its base; literals with such names.
        &[0, 0, 0x80],
        &[0, 0, 0x10],
        &[0, 0, 0x40, 1, b'a'],
        &[0, 0, 0x00, 1, b'a'],
        // Cut short, or longer than there are bytes.
        &[0, 0, 0xff],
        &[0, 0, 0x50, 2, b'a'],
        &[0, 0, 0x27],
        &[0, 0, 0x27, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    ] {
        assert_eq!(readable(Bytes::from_static(broken)), Err(BROKEN), "{broken:?}");
    }
}

proptest! {
    #[test]
    fn what_names_no_protocol_stays(
        lines in prop::collection::vec(
            prop_oneof![
                (0_u8..60).prop_map(|index| vec![0xc0 | index]),
                ("[a-z-]{1,40}", prop::collection::vec(any::<u8>(), 0..300))
                    .prop_map(|(name, value)| literal(name.as_bytes(), &value)),
                (0_u8..15, prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(name, value)| {
                    let mut line = vec![0x50 | name];
                    put_integer(&mut line, 0x80, 7, value.len());
                    line.extend(value);
                    line
                }),
            ],
            0..20,
        )
    ) {
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        let section = section(&lines);
        prop_assert_eq!(readable(section.clone()).unwrap(), section);
    }

    #[test]
    fn hostile_bytes_never_panic_and_are_bounded(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(out) = readable(bytes.clone().into()) {
            // Each line of at least eleven bytes may become one of 24.
            prop_assert!(out.len() <= 3 * bytes.len() + 24);
        }
    }
}

#[test]
fn a_section_past_the_limit_is_small_itself() {
    assert!(too_large(16 * 1024).len() < 200);
}
