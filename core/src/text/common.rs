//! Passwords that everybody tries first: those that people choose most, the name, one character
//! again and again, and rows of keys.

use std::{collections::HashSet, sync::LazyLock};

/// Whether a password of 8 characters or more is among those that are tried first for the user of this
/// name. Letter case does not matter.
pub(super) fn is_common(password: &str, name: &str) -> bool {
    let password = password.to_lowercase();
    // "ada1990" and "1990ada" say little more than "ada".
    let bare = |text: &str| text.trim_matches(|c: char| !c.is_alphabetic()).to_owned();
    let named = !bare(&password).is_empty() && bare(&password) == bare(name) && password.chars().count() < 16;
    COMMON.contains(password.as_str()) || password == name || named || is_repeated(&password) || is_row(&password)
}

/// "aaaaaaaa", "abababab", "abcabcabc".
fn is_repeated(password: &str) -> bool {
    let chars: Vec<char> = password.chars().collect();
    (1..=3).any(|period| chars.iter().zip(chars.iter().skip(period)).all(|(one, later)| one == later))
}

/// Characters that follow each other, up or down: "23456789", "hgfedcba".
fn is_row(password: &str) -> bool {
    let codes: Vec<i64> = password.chars().map(|c| i64::from(u32::from(c))).collect();
    let steps = |step: i64| codes.iter().zip(codes.iter().skip(1)).all(|(one, next)| next - one == step);
    steps(1) || steps(-1)
}

static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("common-passwords.txt").lines().filter(|line| !line.starts_with('#')).collect());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_tries_is_common_and_other_passwords_are_not() {
        for common in [
            "password",
            "PassWord1",
            "12345678",
            "qwertyuiop",
            "iloveyou",
            "aaaaaaaa",
            "abababab",
            "abcabcabcabc",
            "98765432",
            "ada.lovelace",
            "ADA.LOVELACE",
            "1815ada.lovelace",
            "ünününün",
        ] {
            let name = "ada.lovelace";
            assert_eq!(is_common(common, name), common != "1815ada.lovelace", "{common}");
        }
        assert!(is_common("1815ada!", "ada"));
        for own in
            ["correct horse", "another horse", "ada and her engine", "8x1kp2vq", "ada.lovelace", "一三五七九二四六"]
        {
            assert!(!is_common(own, "bob"), "{own}");
        }
    }

    #[test]
    fn the_list_is_whole() {
        assert!(COMMON.len() > 10_000, "{}", COMMON.len());
        assert!(COMMON.iter().all(|password| password.len() >= 8 && **password == password.to_lowercase()));
    }
}
