//! Which texts show something: one rule for messages, names, titles and notes, for the server, the
//! page and both SDKs. Their tables are made from `proto/text/characters.txt`, and
//! `proto/text/vectors.json` has what each of them is tested with.

use crate::generated::characters::{BLANK, EDGE};

/// Whether a person sees anything of a text.
#[must_use]
pub fn is_visible(text: &str) -> bool {
    !text.chars().all(is_blank)
}

/// Whether a character shows nothing by itself: white space, controls, marks, what Unicode ignores by
/// default (Unicode Standard, section 5.21), and the braille pattern without dots.
#[must_use]
pub fn is_blank(c: char) -> bool {
    is_in(&BLANK, c)
}

/// A text without what it has at its ends of `White_Space` and of U+FEFF, which JavaScript trims and
/// Unicode does not.
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_edge)
}

fn is_edge(c: char) -> bool {
    is_in(&EDGE, c)
}

fn is_in(ranges: &[(u32, u32)], c: char) -> bool {
    let c = u32::from(c);
    let behind = ranges.partition_point(|(first, _)| *first <= c);
    ranges.get(behind.wrapping_sub(1)).is_some_and(|(_, last)| c <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_what_unicode_says() {
        for c in '\0'..=char::MAX {
            assert_eq!(is_edge(c), c.is_whitespace() || c == '\u{feff}', "{c:?}");
            assert!(is_blank(c) || !(is_edge(c) || c.is_control()), "{c:?}");
        }
    }

    #[test]
    fn the_shared_vectors_hold() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../text/vectors.json")).unwrap();
        let texts = |key: &str| {
            let found: Vec<String> = serde_json::from_value(vectors[key].clone()).unwrap();
            assert!(found.len() > 10, "{key}");
            found
        };
        for text in texts("blank") {
            assert!(!is_visible(&text), "{text:?}");
        }
        for text in texts("visible") {
            assert!(is_visible(&text), "{text:?}");
        }
        let trimmed: Vec<(String, String)> = serde_json::from_value(vectors["trimmed"].clone()).unwrap();
        for (text, expected) in trimmed {
            assert_eq!(trim(&text), expected, "{text:?}");
        }
    }
}
