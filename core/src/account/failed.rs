//! Failed log-ins, in the log for operators: who tried, from where, and why it was refused.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Logs them, so many a second at most: anybody may try as often as they like.
pub(super) struct FailedLogIns {
    lines: DefaultDirectRateLimiter,
    left_out: AtomicU64,
}

impl Default for FailedLogIns {
    fn default() -> Self {
        Self { lines: RateLimiter::direct(Quota::per_second(LINES)), left_out: AtomicU64::new(0) }
    }
}

impl FailedLogIns {
    /// `name` as it was given. The password is nothing that a log may have.
    pub(super) fn log(&self, name: &str, address: Option<IpAddr>, reason: &str) {
        let Some(left_out) = self.due() else { return };
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        tracing::warn!(name = shown(name), address, reason, left_out, "a log-in failed");
    }

    /// How many were left out since the last line, when there may be another.
    fn due(&self) -> Option<u64> {
        if self.lines.check().is_ok() {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// A client's text in a line of the log: without what would make it two, or another.
fn shown(text: &str) -> String {
    let mut shown: String = text.escape_debug().take(MAX_SHOWN).collect();
    if text.escape_debug().nth(MAX_SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

const LINES: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Characters: a name has 32.
const MAX_SHOWN: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_escaped_and_cut() {
        assert_eq!(shown("ada"), "ada");
        assert_eq!(shown("a\n\"b\u{202e}\u{1b}[31m"), "a\\n\\\"b\\u{202e}\\u{1b}[31m");
        assert_eq!(shown(&"x".repeat(48)), "x".repeat(48));
        assert_eq!(shown(&"x".repeat(49)), format!("{}...", "x".repeat(48)));
        assert_eq!(shown(&"\n".repeat(60_000)).len(), 48 + 3);
    }

    #[test]
    fn lines_are_bounded_and_what_is_left_out_is_counted() {
        let failed = FailedLogIns::default();
        let lines = (0..10_000).filter(|_| failed.due().is_some()).count();
        // Time may pass meanwhile.
        assert!((10..100).contains(&lines), "{lines}");
        assert!(failed.left_out.load(Ordering::Relaxed) > 0);
    }
}
