//! The wall clock: for display, expiry and rates. It orders nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use gogochat_storage::store::Millis;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
