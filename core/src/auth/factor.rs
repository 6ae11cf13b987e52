//! Second factors: what an authenticator computes (RFC 6238), and codes that stand in for it.

use gogochat_storage::store::{FactorSecret, Hash};
use totp_rs::{Builder, Secret, Totp};

use super::{one_time, token};

/// A new secret.
pub(crate) fn secret() -> FactorSecret {
    rand::random()
}

/// As authenticators take it where no picture can be read.
pub(crate) fn base32(secret: &FactorSecret) -> String {
    Secret::from(*secret).to_base32()
}

/// What a QR code for authenticators holds, as they all know it.
pub(crate) fn uri(secret: &FactorSecret, name: &str) -> String {
    // A name has no character that would have to be escaped.
    format!("otpauth://totp/{ISSUER}:{name}?secret={}&issuer={ISSUER}", base32(secret))
}

/// What was typed as a second factor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Six digits.
    Code(String),
    /// The hash of what may be a recovery code.
    RecoveryCode(Hash),
}

/// Spaces and dashes are how people type what they read.
pub(crate) fn typed(text: &str) -> Typed {
    let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').take(LONGEST).collect();
    if text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Typed::Code(text);
    }
    Typed::RecoveryCode(token::digest(&text.to_lowercase()))
}

/// For which step a code is right: that of now, the one before or the one after, in 30 s since 1970.
pub(crate) fn step(secret: &FactorSecret, code: &str, now_ms: i64) -> Option<i64> {
    let seconds = u64::try_from(now_ms / 1_000).ok()?;
    totp(secret).check(code, seconds).and_then(|step| i64::try_from(step).ok())
}

/// Codes that log in once each: what the user keeps, and what is kept of them.
pub(crate) fn recovery_codes() -> (Vec<String>, Vec<Hash>) {
    let codes: Vec<_> = (0..RECOVERY_CODES).map(|_| one_time::draw()).collect();
    let hashes = codes.iter().map(|code| token::digest(&code.replace('-', "")));
    let hashes = hashes.collect();
    (codes, hashes)
}

fn totp(secret: &FactorSecret) -> Totp {
    Builder::new().with_secret(*secret).with_step_duration(STEP).with_skew(SKEW).build_noncompliant()
}

const ISSUER: &str = "gogochat";
const DIGITS: usize = 6;
/// Seconds that a code is shown.
const STEP: u64 = 30;
/// Steps before and after, for clocks that differ and people who type.
const SKEW: u16 = 1;
const RECOVERY_CODES: usize = 10;
/// Characters that are looked at.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B: of eight digits, the last six.
    const RFC: [(i64, &str); 4] =
        [(59, "287082"), (1_111_111_109, "081804"), (1_111_111_111, "050471"), (20_000_000_000, "353130")];
    const RFC_SECRET: &FactorSecret = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_the_standard() {
        for (seconds, code) in RFC {
            assert_eq!(step(RFC_SECRET, code, seconds * 1_000), Some(seconds / 30));
            assert_eq!(typed(code), Typed::Code(code.to_owned()));
        }
        assert_eq!(base32(RFC_SECRET), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn a_code_is_right_half_a_minute_before_and_after_and_no_longer() {
        let (seconds, code) = RFC[2];
        let begin = seconds / 30 * 30;
        for (at, is_right) in [(begin - 31, false), (begin - 30, true), (begin + 59, true), (begin + 60, false)] {
            assert_eq!(step(RFC_SECRET, code, at * 1_000).is_some(), is_right, "{at}");
        }
        for wrong in ["050472", "50471", "0504711", "", "０５０４７１"] {
            assert_eq!(step(RFC_SECRET, wrong, seconds * 1_000), None, "{wrong}");
        }
    }

    #[test]
    fn recovery_codes_are_taken_as_people_type_them() {
        let (codes, kept) = recovery_codes();
        assert_eq!((codes.len(), kept.len()), (RECOVERY_CODES, RECOVERY_CODES));
        for form in [codes[3].clone(), codes[3].to_uppercase(), codes[3].replace('-', " "), format!(" {} ", codes[3])] {
            assert_eq!(typed(&form), Typed::RecoveryCode(kept[3]));
        }
        assert_eq!(typed(" 123 456 "), Typed::Code("123456".to_owned()));
    }
}
