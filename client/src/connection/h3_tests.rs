use super::*;

#[test]
fn variable_length_integers() {
    // RFC 9000 appendix A.1.
    for (bytes, value) in [
        (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
        (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
        (&[0x7b, 0xbd], 15_293),
        (&[0x25], 37),
    ] {
        assert_eq!(varint(bytes), Some((value, bytes.len())));
        let mut out = Vec::new();
        put_varint(&mut out, value);
        assert_eq!(out, bytes);
        assert_eq!(varint(&bytes[..bytes.len() - 1]), None);
    }
}

#[test]
fn the_request_is_what_the_standard_says() {
    let request = connect_request("localhost:8443", "/wt");
    let mut expected = vec![0x01, 0x00, 0x00, 0x00, 0xcf, 0xd7, 0x50, 14];
    expected.extend(b"localhost:8443");
    expected.extend([0x51, 3]);
    expected.extend(b"/wt");
    // Literal names: the length has three bits, then 9 - 7 more.
    expected.extend([0x27, 2]);
    expected.extend(b":protocol");
    expected.push(12);
    expected.extend(b"webtransport");
    expected.extend([0x27, 30 - 7]);
    expected.extend(b"sec-webtransport-http3-draft02");
    expected.extend([1, b'1']);
    // The frame's length takes two bytes.
    let length = expected.len() - 2;
    expected.splice(1..2, (length as u16 | 0x4000).to_be_bytes());
    assert_eq!(request, expected);
}

#[test]
fn a_server_that_takes_sessions_says_so() {
    let settings = |pairs: &[(u64, u64)]| {
        let mut payload = Vec::new();
        for (id, value) in pairs {
            put_varint(&mut payload, *id);
            put_varint(&mut payload, *value);
        }
        let mut out = Vec::new();
        put_tlv(&mut out, SETTINGS, &payload);
        out
    };
    let whole = settings(&[(0x08, 1), (0x33, 1), (0x21, 99), (0x2b60_3742, 1)]);
    let mut reader = Settings::default();
    let (last, first) = whole.split_last().unwrap();
    assert_eq!(reader.push(first), Ok(None));
    assert_eq!(reader.push(&[*last]), Ok(Some(true)));
    assert_eq!(Settings::default().push(&settings(&[(0x08, 1), (0x33, 1)])), Ok(Some(false)));
    assert!(Settings::default().push(&[0x07, 1, 0]).is_err(), "GOAWAY is no beginning");
}

fn answers(bytes: &[u8]) -> Result<Vec<Answer>, Malformed> {
    let mut reader = Answers::default();
    let mut got = Vec::new();
    for byte in bytes {
        reader.push(&[*byte]);
        while let Some(answer) = reader.next()? {
            got.push(answer);
        }
    }
    Ok(got)
}

#[test]
fn responses() {
    let response = |block: &[u8]| {
        let mut out = Vec::new();
        put_tlv(&mut out, HEADERS, block);
        answers(&out)
    };
    let status = |status| Ok(vec![Answer::Status(status)]);
    assert_eq!(response(&[0, 0, 0xc0 | 25]), status(200));
    assert_eq!(response(&[0, 0, 0xff, 68 - 63]), status(403));
    // A field before it; a literal; a literal in Huffman's code: 429 is 011010 00010 011111, padded
    // with ones.
    assert_eq!(response(&[0, 0, 0x51, 1, b'/', 0x5f, 24 - 15, 3, b'4', b'2', b'9']), status(429));
    assert_eq!(response(&[0, 0, 0x5f, 24 - 15, 0x83, 0b0110_1000, 0b0100_1111, 0b1111_1111]), status(429));
    assert_eq!(response(&[0, 0, 0x27, 0, b':', b's', b't', b'a', b't', b'u', b's', 3, b'4', b'0', b'1']), status(401));
    for wrong in [&[0, 0][..], &[1, 0, 0x80], &[0, 0, 0x10], &[0, 0, 0x50, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        assert!(response(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_close_after_unknown_frames_and_capsules() {
    let mut bytes = Vec::new();
    put_tlv(&mut bytes, HEADERS, &[0, 0, 0xc0 | 25]);
    put_tlv(&mut bytes, 0x21 + 0x1f, b"grease");
    put_tlv(&mut bytes, DATA, &[0x3f, 1, 0]);
    bytes.extend(close_session(4005, "signed_out"));
    let expected = vec![Answer::Status(200), Answer::Close(4005, "signed_out".to_owned())];
    assert_eq!(answers(&bytes), Ok(expected));
    assert!(answers(&[0x00, 0x80, 0x01, 0x00, 0x01]).is_err(), "a frame past the limit");
}

proptest::proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = answers(&bytes);
        let _ = status(&bytes);
        let _ = Settings::default().push(&bytes);
    }
}
