//! This machine's clock, and how far another machine's differs from it.

use std::time::{SystemTime, UNIX_EPOCH};

/// This machine's: ms since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// Where the first clock stands, seen from the second: "600 s ahead of". `None`: near enough, or the
/// first does not say (0).
#[must_use]
pub fn skew(first_ms: i64, second_ms: i64) -> Option<String> {
    let ahead = first_ms.saturating_sub(second_ms) / 1_000;
    let words = if ahead > 0 { "ahead of" } else { "behind" };
    (first_ms != 0 && ahead.abs() > TOLERATED_S).then(|| format!("{} s {words}", ahead.abs()))
}

/// What passes for the way of a message and a clock that is being kept.
const TOLERATED_S: i64 = 5;

#[cfg(test)]
mod tests {
    use super::skew;

    #[test]
    fn only_clocks_that_differ_by_more_than_seconds_are_worth_a_word() {
        let now = 1_800_000_000_000;
        for near in [0, 5_999, -5_999] {
            assert_eq!(skew(now + near, now), None);
        }
        assert_eq!(skew(now + 600_000, now).as_deref(), Some("600 s ahead of"));
        assert_eq!(skew(now - 600_000, now).as_deref(), Some("600 s behind"));
        assert_eq!(skew(0, now), None, "it does not say");
    }
}
