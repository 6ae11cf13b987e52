use proptest::prelude::*;

use super::*;

/// Feeds a stream's bytes in pieces, never more than asked for; gives the owner and how many bytes were
/// taken.
fn decide(bytes: &[u8], cuts: &[usize]) -> (Option<Owner>, usize) {
    let mut head = Head::default();
    let mut cuts = cuts.iter().cycle();
    loop {
        let wanted = match head.owner() {
            Ok(owner) => return (Some(owner), head.length),
            Err(wanted) => wanted,
        };
        let rest = &bytes[head.length..];
        let piece = wanted.min(rest.len()).min(*cuts.next().unwrap());
        if piece == 0 {
            return (None, head.length);
        }
        head.space(wanted)[..piece].copy_from_slice(&rest[..piece]);
        head.length += piece;
    }
}

fn number(value: u64, size: usize) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let mut out = bytes[8 - size..].to_vec();
    out[0] |= match size {
        1 => 0,
        2 => 0x40,
        4 => 0x80,
        _ => 0xc0,
    };
    out
}

fn sizes(value: u64) -> Vec<usize> {
    [1, 2, 4, 8].into_iter().filter(|size| value < 1 << (8 * size - 2)).collect()
}

proptest! {
    #[test]
    fn webtransport_streams_keep_every_byte_after_their_header(
        kind in prop::sample::select(vec![0x41_u64, 0x54]),
        session in 0..1_u64 << 62,
        payload in prop::collection::vec(any::<u8>(), 0..40),
        cuts in prop::collection::vec(1..9_usize, 1..20),
        pick in any::<prop::sample::Index>(),
    ) {
        // Both numbers in any of the forms that RFC 9000 allows.
        let (kind_sizes, session_sizes) = (sizes(kind), sizes(session));
        let kind_size = kind_sizes[pick.index(kind_sizes.len())];
        let session_size = session_sizes[pick.index(session_sizes.len())];
        let mut bytes = number(kind, kind_size);
        bytes.extend(number(session, session_size));
        let header = bytes.len();
        bytes.extend(payload);
        prop_assert_eq!(decide(&bytes, &cuts), (Some(Owner::Session(session)), header));
        // Cut short, nothing is decided.
        prop_assert_eq!(decide(&bytes[..header - 1], &cuts), (None, header - 1));
    }

    #[test]
    fn everything_else_is_replayed_to_h3(
        kind in (0..1_u64 << 62).prop_filter("not WebTransport's", |kind| !matches!(kind, 0x41 | 0x54)),
        payload in prop::collection::vec(any::<u8>(), 0..40),
        cuts in prop::collection::vec(1..9_usize, 1..20),
    ) {
        let size = sizes(kind)[0];
        let mut bytes = number(kind, size);
        bytes.extend(payload);
        prop_assert_eq!(decide(&bytes, &cuts), (Some(Owner::Http(kind)), size));
    }

    #[test]
    fn any_bytes_are_decided_within_sixteen(bytes in prop::collection::vec(any::<u8>(), 16..40)) {
        let (owner, taken) = decide(&bytes, &[16]);
        prop_assert!(owner.is_some() && taken <= 16);
    }
}
