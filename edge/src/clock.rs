//! The wall clock, for times that are told to others. Nothing is ordered by it.

use std::time::{Duration, Instant, SystemTime};

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// When a time in milliseconds since 1970 is reached. `None`: 0, which stands for never.
pub(crate) fn instant_of(expires_ms: i64) -> Option<Instant> {
    let left = u64::try_from(expires_ms.checked_sub(now_ms())?).unwrap_or(0);
    (expires_ms > 0).then(|| Instant::now() + Duration::from_millis(left.min(MAX_LIFE_MS)))
}

/// A year: an Instant cannot hold any time.
const MAX_LIFE_MS: u64 = 365 * 24 * 3_600_000;
