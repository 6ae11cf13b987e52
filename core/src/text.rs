//! What people may call themselves, their devices and their groups, and which passwords they may
//! choose.

mod common;

use gogochat_proto::{
    error::violation,
    limits::{MAX_COMBINING, NAME, PASSWORD},
    text::{is_visible, trim},
    v1,
};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// A user name: lower case, as it is kept. Letters A-Z are taken as a-z.
///
/// # Errors
/// `invalid_argument` on `name`.
pub fn user_name(text: &str) -> Result<String, v1::Error> {
    let name = text.to_ascii_lowercase();
    let valid = NAME.contains(&name.len())
        && name.bytes().all(is_name_byte)
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if valid {
        Ok(name)
    } else {
        Err(violation("name", "3 to 32 of a-z, 0-9, '_', '.', '-', beginning with a letter or digit"))
    }
}

/// Whether a name may hold this byte.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-')
}

/// A new password of the user of this name, normalised.
///
/// # Errors
/// `invalid_argument` on `field`.
pub(crate) fn new_password(field: &str, text: &str, name: &str) -> Result<String, v1::Error> {
    let password = given_password(text);
    if !PASSWORD.contains(&password.chars().count()) {
        return Err(violation(field, "8 to 128 characters"));
    }
    if common::is_common(&password, name) {
        return Err(violation(field, "a password that everybody tries"));
    }
    Ok(password)
}

/// A password that is to be compared: the same characters give the same bytes on every keyboard (NFC).
pub(crate) fn given_password(text: &str) -> String {
    text.nfc().collect()
}

/// A display name, device name or title of 1 to `max` characters: NFC, trimmed, one line.
///
/// # Errors
/// `invalid_argument` on `field`.
pub(crate) fn line(field: &str, text: &str, max: usize) -> Result<String, v1::Error> {
    let line = checked(field, text, max, |_| false)?;
    if !is_visible(&line) {
        return Err(violation(field, "must show something"));
    }
    Ok(line)
}

/// A note of 0 to `max` characters: NFC, trimmed, of one line or several.
///
/// # Errors
/// `invalid_argument` on `field`.
pub(crate) fn note(field: &str, text: &str, max: usize) -> Result<String, v1::Error> {
    checked(field, text, max, |c| c == '\n')
}

fn checked(field: &str, text: &str, max: usize, allowed: fn(char) -> bool) -> Result<String, v1::Error> {
    // A composed character has at most four bytes, a decomposed one a few more: what is longer
    // needs no normalisation to be too long.
    if text.len() > max * 24 {
        return Err(violation(field, format!("at most {max} characters")));
    }
    let text: String = text.nfc().collect();
    let text = trim(&text);
    let mut combining = 0;
    for c in text.chars() {
        if (c.is_control() && !allowed(c)) || is_bidi_control(c) || matches!(c, '\u{2028}' | '\u{2029}') {
            return Err(violation(field, "no control or bidirectional control characters"));
        }
        combining = if is_combining_mark(c) { combining + 1 } else { 0 };
        if combining > MAX_COMBINING {
            return Err(violation(field, format!("at most {MAX_COMBINING} combining marks in a row")));
        }
    }
    if text.chars().count() > max {
        return Err(violation(field, format!("at most {max} characters")));
    }
    Ok(text.to_owned())
}

/// Unicode Standard Annex #9, section 2: explicit directional formatting, and the marks.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(result: Result<String, v1::Error>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.code, "invalid_argument");
        error.violations[0].field.clone()
    }

    #[test]
    fn user_names_at_their_limits() {
        for ok in ["abc", "0.a-b_c", "Alice", &"a".repeat(32)] {
            assert_eq!(user_name(ok).unwrap(), ok.to_lowercase());
        }
        for wrong in ["", "ab", &"a".repeat(33), "-abc", ".abc", "_abc", "a b c", "ünal", "abc\n", "abc\u{202e}", "аbс"]
        {
            assert_eq!(fields(user_name(wrong)), "name", "{wrong:?}");
        }
    }

    #[test]
    fn passwords_at_their_limits_and_normalised() {
        let new_password = |field: &str, text: &str| new_password(field, text, "ada");
        assert_eq!(fields(new_password("password", "1b3d5f7")), "password");
        assert!(new_password("password", "1b3d5f7h").is_ok());
        let longest: String = (0..128_u8).map(|n| if n % 7 == 0 { 'é' } else { char::from(b'a' + n % 26) }).collect();
        assert!(new_password("password", &longest).is_ok());
        assert_eq!(fields(new_password("newPassword", &"xy".repeat(65))), "newPassword");
        assert_eq!(fields(new_password("newPassword", "password1")), "newPassword");
        assert_eq!(given_password("e\u{301}"), "é");
    }

    #[test]
    fn hostile_lines_are_refused() {
        let zalgo = format!("z{}", "\u{301}".repeat(10_000));
        let five = format!("z{}", "\u{332}".repeat(5));
        for wrong in [
            "",
            "  ",
            "\u{200b}\u{200d}",
            "a\u{0}b",
            "a\nb",
            "a\u{7f}",
            "a\u{202e}b",
            "a\u{2066}b",
            "\u{200f}a",
            "a\u{2028}b",
            &zalgo,
            &five,
            &"x".repeat(65),
        ] {
            assert_eq!(fields(line("displayName", wrong, 64)), "displayName", "{wrong:?}");
        }
    }

    #[test]
    fn ordinary_lines_pass() {
        let four = format!("z{}", "\u{332}".repeat(4));
        for ok in ["Ünal Ö", "小明", "علي", "👩‍👩‍👧‍👦 fam", "A", &"語".repeat(64), &four] {
            assert_eq!(line("title", ok, 64).unwrap(), *ok);
        }
        assert_eq!(line("title", "  e\u{301}  ", 64).unwrap(), "é");
        assert_eq!(note("note", "", 200).unwrap(), "");
        assert_eq!(note("note", "hi\nthere", 200).unwrap(), "hi\nthere");
        assert_eq!(fields(note("note", &"x".repeat(201), 200)), "note");
    }
}
