use bytes::BufMut as _;
use proptest::prelude::*;

use super::*;

/// A client's frame.
fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        short @ 0..=125 => out.put_u8(0x80 | short as u8),
        medium @ 126..=0xffff => {
            out.put_u8(0x80 | 126);
            out.put_u16(medium as u16);
        }
        long => {
            out.put_u8(0x80 | 127);
            out.put_u64(long as u64);
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

fn decode(bytes: &[u8]) -> Result<Vec<Message>, CloseCode> {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    let mut found = Vec::new();
    while let Some(message) = decoder.next()? {
        found.push(message);
    }
    found.retain(|message| *message != Message::Fragment);
    Ok(found)
}

proptest! {
    #[test]
    fn any_cutting_and_any_fragments_give_the_same_messages(
        messages in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..400), 1..5_usize, any::<[u8; 4]>()), 1..8),
        cut in 1..50_usize,
    ) {
        let mut bytes = Vec::new();
        for (payload, fragments, mask) in &messages {
            let size = payload.len().div_ceil(*fragments).max(1);
            let pieces: Vec<_> = if payload.is_empty() { vec![&[][..]] } else { payload.chunks(size).collect() };
            let last = pieces.len() - 1;
            for (index, piece) in pieces.into_iter().enumerate() {
                let opcode = if index == 0 { 2 } else { 0 };
                bytes.extend(frame(if index == last { 0x80 | opcode } else { opcode }, piece, *mask));
                // A control frame may come between fragments.
                bytes.extend(frame(0x8a, b"", *mask));
            }
        }
        let mut decoder = Decoder::default();
        let mut got = Vec::new();
        for piece in bytes.chunks(cut) {
            decoder.push(piece);
            while let Some(message) = decoder.next().unwrap() {
                match message {
                    Message::Binary(payload) => got.push(payload.to_vec()),
                    Message::Pong | Message::Fragment => {}
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
        prop_assert!(!decoder.is_partial());
        prop_assert_eq!(got, messages.into_iter().map(|(payload, ..)| payload).collect::<Vec<_>>());
    }

    #[test]
    fn hostile_bytes_never_panic_and_are_bounded(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn text_is_utf8(payload in prop::collection::vec(any::<u8>(), 0..100)) {
        let result = decode(&frame(0x81, &payload, [1, 2, 3, 4]));
        match std::str::from_utf8(&payload) {
            Ok(_) => prop_assert_eq!(result.unwrap(), [Message::Text(payload.into())]),
            Err(_) => prop_assert_eq!(result, Err(CloseCode::ProtocolError)),
        }
    }
}

#[test]
fn the_limit_and_past_it() {
    let whole = frame(0x82, &vec![1; MAX_MESSAGE], [0; 4]);
    assert_eq!(decode(&whole).unwrap().len(), 1);
    // Refused by its header alone.
    assert_eq!(decode(&frame(0x82, &vec![1; MAX_MESSAGE + 1], [0; 4])[..10]), Err(CloseCode::FrameTooLarge));
    let mut fragments = frame(0x02, &vec![1; MAX_MESSAGE], [0; 4]);
    fragments.extend(frame(0x80, b"x", [0; 4]));
    assert_eq!(decode(&fragments), Err(CloseCode::FrameTooLarge));
    let huge = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(decode(&huge), Err(CloseCode::FrameTooLarge));
}

#[test]
fn json_may_be_larger_behind_its_hello() {
    let next = |bytes: &[u8]| {
        let mut decoder = Decoder::default();
        decoder.take_large();
        decoder.push(bytes);
        decoder.next()
    };
    assert!(next(&frame(0x81, &vec![b'x'; MAX_JSON], [0; 4])).unwrap().is_some());
    assert_eq!(next(&frame(0x81, &vec![b'x'; MAX_JSON + 1], [0; 4])[..14]), Err(CloseCode::FrameTooLarge));
    let mut fragments = frame(0x01, &vec![b'x'; MAX_JSON], [0; 4]);
    fragments.extend(frame(0x80, b"x", [0; 4]));
    assert_eq!(next(&fragments), Err(CloseCode::FrameTooLarge));
}

#[test]
fn what_section_5_forbids() {
    let mask = [9; 4];
    for (what, bytes) in [
        ("unmasked", vec![0x82, 1, 0]),
        ("a reserved bit", frame(0xc2, b"", mask)),
        ("an unknown opcode", frame(0x83, b"", mask)),
        ("an unknown control opcode", frame(0x8b, b"", mask)),
        ("a long ping", frame(0x89, &[0; 126], mask)),
        ("a fragmented ping", frame(0x09, b"", mask)),
        ("a continuation of nothing", frame(0x80, b"", mask)),
        ("a message within a message", [frame(0x02, b"a", mask), frame(0x82, b"b", mask)].concat()),
    ] {
        assert_eq!(decode(&bytes), Err(CloseCode::ProtocolError), "{what}");
    }
}

#[test]
fn control_frames() {
    let bytes = [frame(0x89, b"hi", [5; 4]), frame(0x8a, b"", [5; 4]), frame(0x88, &[3, 0xe8], [5; 4])].concat();
    assert_eq!(
        decode(&bytes).unwrap(),
        [Message::Ping("hi".into()), Message::Pong, Message::Close(vec![3, 0xe8].into())]
    );
}

#[test]
fn what_a_close_may_say() {
    let close = |payload: &[u8]| decode(&frame(0x88, payload, [7; 4]));
    let say = |code: u16, reason: &[u8]| [&code.to_be_bytes()[..], reason].concat();
    for payload in [vec![], say(1000, b""), say(1014, b""), say(3000, b"x"), say(4999, "\u{e9}".as_bytes())] {
        assert_eq!(close(&payload), Ok(vec![Message::Close(payload.clone().into())]), "{payload:?}");
    }
    for payload in [
        vec![3],
        say(0, b""),
        say(999, b""),
        say(1004, b""),
        say(1005, b""),
        say(1006, b""),
        say(1015, b""),
        say(2999, b""),
        say(5000, b""),
        say(1000, b"\xff"),
    ] {
        assert_eq!(close(&payload), Err(CloseCode::ProtocolError), "{payload:?}");
    }
}

#[test]
fn an_idle_decoder_keeps_nothing() {
    let mut decoder = Decoder::default();
    decoder.push(&frame(0x82, &[1; 5_000], [1; 4]));
    assert!(decoder.is_partial());
    decoder.next().unwrap();
    assert!(!decoder.is_partial());
    assert_eq!(decoder.buffer.capacity(), 0);
}

#[test]
fn small_pieces_are_told() {
    let mut decoder = Decoder::default();
    decoder.push(&frame(0x02, &[1; SMALL_PIECE - 1], [1; 4]));
    assert_eq!(decoder.next(), Ok(Some(Message::Fragment)));
    decoder.push(&frame(0x00, &[1; SMALL_PIECE], [1; 4]));
    assert_eq!(decoder.next(), Ok(None));
    decoder.push(&frame(0x00, b"", [1; 4]));
    assert_eq!(decoder.next(), Ok(Some(Message::Fragment)));
    decoder.push(&frame(0x80, b"", [1; 4]));
    assert_eq!(decoder.next(), Ok(Some(Message::Binary(vec![1; 2 * SMALL_PIECE - 1].into()))));
}
