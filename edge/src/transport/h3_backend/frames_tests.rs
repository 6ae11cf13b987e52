use std::cell::Cell;

use bytes::BufMut as _;
use proptest::prelude::*;

use super::*;

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_varint(&mut out, kind);
    put_varint(&mut out, payload.len() as u64);
    out.put_slice(payload);
    out.to_vec()
}

/// What h3 gets of a stream that comes in pieces of so many bytes, and the frames and bytes that were
/// skipped.
struct Read {
    pieces: Vec<Piece>,
    result: Result<(), Fault>,
    skipped: (usize, usize),
}

fn read(mut frames: Frames, stream: &[u8], cuts: &[usize]) -> Read {
    let skipped = Cell::new((0, 0));
    let spend = |frames, bytes| {
        let (f, b) = skipped.get();
        skipped.set((f + frames, b + bytes));
        Ok(())
    };
    let (mut pieces, mut rest, mut cuts) = (Vec::new(), stream, cuts.iter().cycle());
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
        rest = after;
        let mut input = Bytes::copy_from_slice(chunk);
        loop {
            match frames.next(&mut input, spend) {
                Ok(Some(piece)) => pieces.push(piece),
                Ok(None) => break,
                Err(fault) => return Read { pieces, result: Err(fault), skipped: skipped.get() },
            }
        }
        assert!(input.is_empty());
    }
    Read { pieces, result: frames.end(), skipped: skipped.get() }
}

fn bytes(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(|(Piece::Pass(bytes) | Piece::Settings(bytes))| bytes.to_vec()).collect()
}

const HEAD: &[u8] = &[0, 0, 0xc0 | 17, 0xc0 | 23, 0x50, 1, b'a', 0xc0 | 1];

proptest! {
    #[test]
    fn a_request_is_its_headers_and_one_body(
        body in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3_000), 0..8),
        unknown in prop::collection::vec((0..8_usize, 0x21_u64..0x40, 0..500_usize), 0..4),
        trailers in any::<bool>(),
        cuts in prop::collection::vec(1..4_000_usize, 1..10),
    ) {
        let mut stream = frame(HEADERS, HEAD);
        for (n, payload) in body.iter().enumerate() {
            for (_, kind, size) in unknown.iter().filter(|(at, ..)| *at == n) {
                stream.extend(frame(*kind, &vec![1; *size]));
            }
            stream.extend(frame(DATA, payload));
        }
        if trailers {
            stream.extend(frame(HEADERS, b"trailers"));
        }
        let read = read(Frames::of_request(), &stream, &cuts);
        prop_assert_eq!(read.result, Ok(()));
        let whole = body.concat();
        let mut expected = frame(HEADERS, HEAD);
        if !whole.is_empty() {
            expected.extend(ENDLESS_DATA);
        }
        expected.extend(whole);
        prop_assert_eq!(bytes(&read.pieces), expected);
        // Each piece is of some size, or the last of what was read.
        let skipped: usize = unknown.iter().filter(|(at, ..)| *at < body.len()).map(|(_, _, size)| size).sum();
        prop_assert_eq!(read.skipped.1, skipped + if trailers { 8 } else { 0 });
    }

    #[test]
    fn a_control_stream_is_its_known_frames(
        unknown in prop::collection::vec((0x21_u64..0x40, 0..500_usize), 0..4),
        cuts in prop::collection::vec(1..400_usize, 1..10),
    ) {
        let settings = frame(SETTINGS, &[0x33, 1]);
        let goaway = frame(GOAWAY, &[4]);
        let mut stream = settings.clone();
        for (kind, size) in &unknown {
            stream.extend(frame(*kind, &vec![1; *size]));
        }
        stream.extend(&goaway);
        let read = read(Frames::of_control(), &stream, &cuts);
        prop_assert_eq!(read.pieces, [Piece::Settings(settings.into()), Piece::Pass(goaway.into())]);
        prop_assert_eq!(read.skipped, (unknown.len() + 2, unknown.iter().map(|(_, size)| size).sum()));
    }

    #[test]
    fn hostile_bytes_never_panic(
        stream in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(1..20_usize, 1..5),
        control in any::<bool>(),
    ) {
        let frames = if control { Frames::of_control() } else { Frames::of_request() };
        let read = read(frames, &stream, &cuts);
        prop_assert!(bytes(&read.pieces).len() <= 3 * stream.len() + 200);
    }
}

#[test]
fn payloads_pass_without_being_copied_and_small_ones_together() {
    let mut stream = Bytes::from([frame(HEADERS, HEAD), frame(DATA, &[1; 5_000])].concat());
    let at = stream.as_ptr() as usize;
    let mut frames = Frames::of_request();
    let free = |_, _| Ok(());
    frames.next(&mut stream, free).unwrap();
    frames.next(&mut stream, free).unwrap();
    let Some(Piece::Pass(data)) = frames.next(&mut stream, free).unwrap() else { panic!() };
    let header = frame(HEADERS, HEAD).len() + frame(DATA, &[1; 5_000]).len() - 5_000;
    assert_eq!((data.as_ptr() as usize - at, data.len()), (header, 5_000));
    let ones: Vec<u8> = (0..1_000).flat_map(|_| frame(DATA, &[1])).collect();
    let read = read(Frames::of_request(), &[frame(HEADERS, HEAD), ones].concat(), &[16 * 1024]);
    assert_eq!(read.pieces.len(), 3, "the headers, the head of DATA, a thousand bytes");
}

#[test]
fn headers_at_the_limit_and_past_it() {
    let line = |size: usize| {
        let mut section = BytesMut::from(&[0, 0, 0x50, 0x7f][..]);
        // The length of the value, which follows.
        let rest = size - 7 - 127;
        section.put_slice(&[rest as u8 | 0x80, (rest >> 7) as u8 | 0x80, (rest >> 14) as u8]);
        section.put_bytes(b'a', size - 7);
        section
    };
    let fits = frame(HEADERS, &line(MAX_HEADERS));
    let at = read(Frames::of_request(), &fits, &[1_000]);
    assert_eq!((at.result, bytes(&at.pieces)), (Ok(()), fits));
    let past = frame(HEADERS, &[line(MAX_HEADERS), BytesMut::from(&[0][..])].concat());
    let past = read(Frames::of_request(), &past, &[1_000]);
    assert_eq!(past.pieces, [Piece::Pass(frame(HEADERS, &section::too_large(MAX_HEADERS)).into())]);
    assert_eq!(past.skipped, (0, MAX_HEADERS + 1));
}

#[test]
fn nothing_is_kept_for_what_was_only_declared() {
    let mut frames = Frames::of_request();
    let mut input = Bytes::from_static(&[1, 0x7f, 0xff, 0]);
    assert_eq!(frames.next(&mut input, |_, _| Ok(())), Ok(None));
    let State::Whole { payload, .. } = &frames.state else { panic!() };
    assert!(payload.capacity() < 100);
}

#[test]
fn frames_that_may_not_come() {
    let settings = frame(SETTINGS, &[]);
    let headers = frame(HEADERS, HEAD);
    let long = vec![0; MAX_CONTROL_FRAME + 1];
    for (control, stream, code) in [
        (true, frame(0x21, &[]), Code::H3_MISSING_SETTINGS),
        (true, frame(GOAWAY, &[0]), Code::H3_MISSING_SETTINGS),
        (true, frame(SETTINGS, &long), Code::H3_EXCESSIVE_LOAD),
        (true, [&settings[..], &frame(GOAWAY, &[0; 9])].concat(), Code::H3_FRAME_ERROR),
        (true, [&settings[..], &frame(MAX_PUSH_ID, &[])].concat(), Code::H3_FRAME_ERROR),
        (true, [&settings[..], &settings].concat(), Code::H3_FRAME_UNEXPECTED),
        (true, [&settings[..], &headers].concat(), Code::H3_FRAME_UNEXPECTED),
        (true, [&settings[..], &frame(6, &[])].concat(), Code::H3_FRAME_UNEXPECTED),
        (true, [&settings[..], &frame(0x41, &[])].concat(), Code::H3_FRAME_ERROR),
        (false, frame(DATA, &[1]), Code::H3_FRAME_UNEXPECTED),
        (false, settings.clone(), Code::H3_FRAME_UNEXPECTED),
        (false, [&headers[..], &frame(PUSH_PROMISE, &[0])].concat(), Code::H3_FRAME_UNEXPECTED),
        (false, [&headers[..], &headers, &headers].concat(), Code::H3_FRAME_UNEXPECTED),
        (false, [&headers[..], &headers, &frame(DATA, &[1])].concat(), Code::H3_FRAME_UNEXPECTED),
        (false, [&headers[..], &[0x40, 0x41, 0]].concat(), Code::H3_FRAME_ERROR),
        (false, headers[..3].to_vec(), Code::H3_FRAME_ERROR),
        (false, [&headers[..], &[0x40]].concat(), Code::H3_FRAME_ERROR),
        (false, [&headers[..], &[0, 2, 1]].concat(), Code::H3_FRAME_ERROR),
        (false, frame(HEADERS, &[0, 0, 0x80]), Code::QPACK_DECOMPRESSION_FAILED),
    ] {
        for cut in [1, 100_000] {
            let frames = if control { Frames::of_control() } else { Frames::of_request() };
            let read = read(frames, &stream, &[cut]);
            assert_eq!(read.result.unwrap_err().code, code, "{stream:?}");
        }
    }
}

#[test]
fn what_is_skipped_ends_with_the_budget() {
    let mut frames = Frames::of_control();
    let mut input = Bytes::from([frame(SETTINGS, &[]), frame(0x21, &[0; 100])].concat());
    let spent = Fault { code: Code::H3_EXCESSIVE_LOAD, why: "" };
    let spend = |_, bytes: usize| if bytes > 50 { Err(spent) } else { Ok(()) };
    assert!(matches!(frames.next(&mut input, spend), Ok(Some(Piece::Settings(_)))));
    assert_eq!(frames.next(&mut input, spend), Err(spent));
}
