//! Settings that h3 cannot express.

use bytes::{Bytes, BytesMut};

use super::super::capsule::{put_varint, varint};

/// Appends to the control stream's beginning (stream type, SETTINGS frame) the settings that h3 cannot
/// express.
pub(super) fn with_more_settings(beginning: &[u8]) -> Bytes {
    let mut rest = beginning;
    let (kind, frame, length) = (varint(&mut rest), varint(&mut rest), varint(&mut rest));
    if (kind, frame, length) != (Some(0), Some(SETTINGS), Some(rest.len() as u64)) {
        return Bytes::copy_from_slice(beginning);
    }
    let mut settings = BytesMut::from(rest);
    for (id, value) in MORE_SETTINGS {
        put_varint(&mut settings, id);
        put_varint(&mut settings, value);
    }
    let mut out = BytesMut::with_capacity(settings.len() + 8);
    put_varint(&mut out, 0);
    put_varint(&mut out, SETTINGS);
    put_varint(&mut out, settings.len() as u64);
    out.unsplit(settings);
    out.freeze()
}
/// The type of the SETTINGS frame (RFC 9114 section 7.2.4).
const SETTINGS: u64 = 4;
/// A dynamic table of no bytes (RFC 9204 section 5), and WebTransport by the drafts after 02: one session
/// at a time, by the ids that browsers have looked for at one time or another. Safari 26.4 asks for
/// 0x14e9cd29 by public reports, and opens and sends nothing where limits of a session are not named; the
/// connection's own limits hold, so these are as large as can be.
const MORE_SETTINGS: [(u64, u64); 7] = [
    (0x1, 0),
    // SETTINGS_WT_MAX_SESSIONS of the drafts 07 to 12, and 13 and 14.
    (0xc671_706a, 1),
    (0x14e9_cd29, 1),
    // SETTINGS_WT_ENABLED, from draft 15 on.
    (0x2c7c_f000, 1),
    // SETTINGS_WT_INITIAL_MAX_STREAMS_UNI, SETTINGS_WT_INITIAL_MAX_STREAMS_BIDI,
    // SETTINGS_WT_INITIAL_MAX_DATA.
    (0x2b64, MOST),
    (0x2b65, MOST),
    (0x2b61, MOST),
];
/// The most streams that QUIC can count (RFC 9000 section 4.6).
const MOST: u64 = 1 << 60;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_appended_and_the_rest_stays() {
        let h3 = [0x00, 0x04, 0x03, 0x06, 0x40, 0x64];
        let out = with_more_settings(&h3);
        let mut rest = &out[..];
        assert_eq!((varint(&mut rest), varint(&mut rest)), (Some(0), Some(4)));
        assert_eq!(varint(&mut rest), Some(rest.len() as u64));
        let mut settings = Vec::new();
        while let (Some(id), Some(value)) = (varint(&mut rest), varint(&mut rest)) {
            settings.push((id, value));
        }
        assert_eq!(settings, [&[(6, 100)][..], &MORE_SETTINGS].concat());
    }

    #[test]
    fn what_is_no_settings_frame_is_left_alone() {
        for bytes in [&[][..], &[0], &[0, 4, 9, 1], &[2, 4, 0], &[0, 7, 1, 0]] {
            assert_eq!(with_more_settings(bytes), bytes);
        }
    }
}
