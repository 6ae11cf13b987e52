//! A warning that thousands of calls would log at once is logged once a second, with their number.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// One place that warns.
#[derive(Debug)]
pub(crate) struct LogThrottle {
    /// The second of the last warning.
    last: AtomicU64,
    times: AtomicU64,
}

impl LogThrottle {
    pub(crate) const fn new() -> Self {
        Self { last: AtomicU64::new(0), times: AtomicU64::new(0) }
    }

    /// How often it has happened since the last warning, this time included, when a warning is due.
    pub(crate) fn due(&self) -> Option<u64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.due_at(now)
    }

    fn due_at(&self, now: u64) -> Option<u64> {
        self.times.fetch_add(1, Ordering::Relaxed);
        // One of those that come in a new second wins.
        (self.last.swap(now, Ordering::Relaxed) != now).then(|| self.times.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_second_and_none_is_forgotten() {
        let throttle = LogThrottle::new();
        assert_eq!(throttle.due_at(7), Some(1));
        assert_eq!([throttle.due_at(7), throttle.due_at(7)], [None, None]);
        assert_eq!(throttle.due_at(8), Some(3));
    }
}
