use http::HeaderValue;

use super::{
    Coding::{self, Brotli, Gzip, Identity},
    *,
};

fn preference(lines: &[&[u8]]) -> Vec<Coding> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(header::ACCEPT_ENCODING, HeaderValue::from_bytes(line).unwrap());
    }
    in_preference(&headers)
}

#[test]
fn what_a_request_accepts() {
    let cases: &[(&str, &[Coding])] = &[
        // As browsers and tools send it.
        ("gzip, deflate, br, zstd", &[Brotli, Gzip, Identity]),
        ("gzip, deflate", &[Gzip, Identity]),
        ("deflate, zstd", &[Identity]),
        ("gzip", &[Gzip, Identity]),
        ("BR;Q=1.0", &[Brotli, Identity]),
        ("x-gzip", &[Gzip, Identity]),
        ("", &[Identity]),
        // The examples of RFC 9110 section 12.5.3.
        ("compress, gzip", &[Gzip, Identity]),
        ("*", &[Brotli, Gzip, Identity]),
        ("compress;q=0.5, gzip;q=1.0", &[Gzip, Identity]),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", &[Gzip, Identity]),
        // Weights go before our order, and equal ones do not.
        ("br;q=0.5, gzip", &[Gzip, Brotli, Identity]),
        ("br;q=0.001, gzip;q=0.002", &[Gzip, Brotli, Identity]),
        ("gzip;q=0.8, br;q=0.8", &[Brotli, Gzip, Identity]),
        ("identity, gzip;q=0.5", &[Identity, Gzip]),
        ("identity;q=0.7, br;q=0.7, gzip;q=0.6", &[Brotli, Identity, Gzip]),
        ("gzip;q=0.1", &[Gzip, Identity]),
        // Excluded.
        ("br;q=0, gzip", &[Gzip, Identity]),
        ("br;q=0.000", &[Identity]),
        ("*;q=0", &[Identity]),
        ("*;q=0, br", &[Brotli, Identity]),
        ("*, br;q=0", &[Gzip, Identity]),
        ("*;q=0.5, gzip;q=0.7, identity;q=0.6", &[Gzip, Identity, Brotli]),
        ("identity;q=0", &[Identity]),
        ("identity;q=0, br", &[Brotli, Identity]),
        ("identity;q=0, *;q=0", &[Identity]),
        // Named twice: the least counts, whichever comes first.
        ("gzip;q=0, gzip", &[Identity]),
        ("gzip, x-gzip;q=0", &[Identity]),
        // Whitespace and empty elements.
        (" ,, br\t;\tq=0.9 ,\t, gzip,", &[Gzip, Brotli, Identity]),
        ("br;q=1.", &[Brotli, Identity]),
        ("br;q=0.", &[Identity]),
    ];
    for (line, expected) in cases {
        assert_eq!(preference(&[line.as_bytes()]), *expected, "{line:?}");
    }
    assert_eq!(preference(&[]), [Identity]);
}

#[test]
fn several_lines_are_one_list() {
    assert_eq!(preference(&[b"gzip;q=0.5", b"br;q=0.4"]), [Gzip, Brotli, Identity]);
    assert_eq!(preference(&[b"gzip", b"*;q=0"]), [Gzip, Identity]);
    assert_eq!(preference(&[b"", b"br"]), [Brotli, Identity]);
    assert_eq!(preference(&[b"br", b"gzip;q=x"]), [Identity]);
}

#[test]
fn a_malformed_header_asks_for_nothing() {
    let cases: &[&[u8]] = &[
        b"br;q=1.1",
        b"br;q=1.001",
        b"br;q=2",
        b"br;q=0.1234",
        b"br;q=-1",
        b"br;q=+1",
        b"br;q=.5",
        b"br;q=00",
        b"br;q=1e0",
        b"br;q=",
        b"br;q",
        b"br;",
        b"br;level=11",
        b"br;q=1;q=1",
        b"br; q = 1",
        b";q=1",
        b"b r",
        b"\"br\"",
        b"br gzip",
        b"br, gzip;q=high",
        b"br, \xc3\xa4",
    ];
    for line in cases {
        assert_eq!(preference(&[line]), [Identity], "{:?}", String::from_utf8_lossy(line));
    }
}
