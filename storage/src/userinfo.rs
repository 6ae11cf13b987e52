//! User and password in a URL (RFC 3986 section 3.2.1). Characters that have a meaning in a URL are
//! percent-encoded in them. Where they are not, a part of the password would be taken for the host,
//! and shown to others.

use std::fmt;

/// User and password of a URL are not percent-encoded. Nothing of them is said but the characters at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("user and password have to be percent-encoded: write {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
pub struct NotEncoded(Vec<Char>);

/// A character that has to be written otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Char(u8);

impl fmt::Display for Char {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(byte) = *self;
        match byte {
            b' ' => f.write_str("a blank as %20"),
            byte if byte.is_ascii_control() => write!(f, "a control character as %{byte:02X}"),
            byte => write!(f, "{} as %{byte:02X}", char::from(byte)),
        }
    }
}

/// Whether a URL's user and password, if it has them, end where they seem to. They are all that stands
/// before the last `@`.
///
/// # Errors
/// Names each character that has to be encoded.
pub fn check(url: &str) -> Result<(), NotEncoded> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let Some((user, _)) = rest.rsplit_once('@') else { return Ok(()) };
    let mut wrong = Vec::new();
    for (at, byte) in user.bytes().enumerate() {
        let is_wrong = match byte {
            b'%' => !user.bytes().skip(at + 1).take(2).filter(u8::is_ascii_hexdigit).count().eq(&2),
            byte => b"#/?@ ".contains(&byte) || byte.is_ascii_control(),
        };
        if is_wrong && !wrong.contains(&Char(byte)) {
            wrong.push(Char(byte));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(NotEncoded(wrong)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_the_user_too_early_is_named_and_nothing_else() {
        for (url, wrong) in [
            ("mysql://u:p@ss/w#1@h:3306/db", "@ as %40, / as %2F, # as %23"),
            ("mysql://u:p?x@h/db", "? as %3F"),
            ("mysql://u:100%@h/db", "% as %25"),
            ("mysql://u:%4@h/db", "% as %25"),
            ("redis://:a b\t@h:6379", "a blank as %20, a control character as %09"),
            ("mysql://u:p@h/db?ssl-ca=/a@b", "@ as %40, / as %2F, ? as %3F"),
        ] {
            let said = check(url).unwrap_err().to_string();
            assert_eq!(said, format!("user and password have to be percent-encoded: write {wrong}"), "{url}");
        }
        for url in
            ["mysql://u:p%40ss%2Fw%231@h:3306/db?ssl-mode=REQUIRED", "mysql://h/db", "redis://:p:^|!@h", "sqlite:a"]
        {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }
}
