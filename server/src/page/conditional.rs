//! Whether the caller has a file already: If-None-Match, RFC 9110 section 13.1.2.

use http::{HeaderMap, header};

/// Whether If-None-Match lists this entity tag, or any by `*`. A line counts up to where it is
/// malformed.
pub(super) fn has_current(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH);
    lines
        .iter()
        .any(|line| line.as_bytes().trim_ascii() == b"*" || tags(line.as_bytes()).any(|tag| tag == etag.as_bytes()))
}

/// The tags of a line, quoted, without the mark of weak ones: the comparison is weak (section
/// 8.8.3.2). A comma may stand in a tag.
fn tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', next @ ..] = rest {
            rest = next;
        }
        let tag = rest.strip_prefix(b"W/").unwrap_or(rest);
        let end = tag.strip_prefix(b"\"")?.iter().position(|byte| *byte == b'"')? + 2;
        let (tag, next) = tag.split_at_checked(end)?;
        rest = next;
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn has(lines: &[&[u8]]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_bytes(line).unwrap());
        }
        has_current(&headers, "\"abc\"")
    }

    #[test]
    fn lists_with_the_tag() {
        let cases: &[&[u8]] = &[
            b"\"abc\"",
            b"W/\"abc\"",
            b"*",
            b" * ",
            b"\"x\", \"abc\"",
            b"\"x\",W/\"abc\",\"y\"",
            b",, \"x\" ,\t\"abc\"",
            b"\"with, comma\", \"abc\"",
            b"\"\", \"abc\"",
            b"\"\xe4\", \"abc\"",
        ];
        for line in cases {
            assert!(has(&[line]), "{:?}", String::from_utf8_lossy(line));
        }
        assert!(has(&[b"\"x\"", b"\"abc\""]));
    }

    #[test]
    fn lists_without_it() {
        let cases: &[&[u8]] = &[
            b"",
            b"abc",
            b"\"ABC\"",
            b"\"abc",
            b"abc\"",
            b"w/\"abc\"",
            b"\"abcd\"",
            b"\"x, \"abc\"",
            b"x \"abc\"",
            b"\"*\"",
            b"*, \"x\"",
            b"**",
        ];
        for line in cases {
            assert!(!has(&[line]), "{:?}", String::from_utf8_lossy(line));
        }
        assert!(!has(&[]));
    }
}
