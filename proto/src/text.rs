//! Which texts show something: one rule for messages, names, titles and notes, for the server, the
//! page and both SDKs. `proto/text/vectors.json` has what each of them is tested with.

use unicode_normalization::char::is_combining_mark;

/// Whether a person sees anything of a text.
#[must_use]
pub fn is_visible(text: &str) -> bool {
    !text.chars().all(is_blank)
}

/// Whether a character shows nothing by itself: white space, controls, marks, what Unicode ignores by
/// default (Unicode Standard, section 5.21), and the braille pattern without dots.
#[must_use]
pub fn is_blank(c: char) -> bool {
    is_edge(c) || c.is_control() || is_combining_mark(c) || c == '\u{2800}' || is_ignorable(c)
}

/// A text without what it has at its ends of `White_Space` and of U+FEFF, which JavaScript trims and
/// Unicode does not.
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_edge)
}

fn is_edge(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// `Default_Ignorable_Code_Point`, of DerivedCoreProperties.txt: the same since Unicode 9.
fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
