//! Limits how often it is passed on that one user types in one conversation.

use std::time::Instant;

use gogochat_proto::limits::TYPING_INTERVAL;

use super::bucket::Bucket;

/// One user in one conversation.
#[derive(Debug)]
pub(crate) struct Typist {
    changes: Bucket,
    /// What was said last that was passed on, and when.
    said: Option<(u64, Instant)>,
    /// What was said since then and not passed on: the latest.
    waits: Option<u64>,
}

impl Typist {
    /// Nothing was said of late.
    pub(crate) fn new(now: Instant) -> Self {
        Self { changes: Bucket::new(CHANGES_A_SECOND, CHANGES_AT_ONCE, now), said: None, waits: None }
    }

    /// Whether it is to be passed on now. What was said before is said again once an interval; that it has
    /// changed is news at once, a few times, and waits after that.
    pub(crate) fn passes(&mut self, said: u64, now: Instant) -> bool {
        let is_repeat =
            |(before, at): (u64, Instant)| before == said && now.saturating_duration_since(at) < TYPING_INTERVAL;
        self.waits = (!self.said.is_some_and(is_repeat)).then_some(said);
        self.due(now).is_some()
    }

    /// What has waited and is to be passed on now.
    pub(crate) fn due(&mut self, now: Instant) -> Option<u64> {
        if self.waits.is_none() || !self.changes.take(now) {
            return None;
        }
        let said = self.waits.take()?;
        self.said = Some((said, now));
        Some(said)
    }

    /// Whether nothing was said for so long that it may be forgotten; what waits has had its chance by then.
    pub(crate) fn is_idle(&mut self, now: Instant) -> bool {
        self.changes.is_full(now)
    }
}

const CHANGES_A_SECOND: f32 = 1.0;
/// One who sends a message types, has stopped, and types the next.
const CHANGES_AT_ONCE: f32 = 4.0;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_same_once_an_interval_and_changes_at_once() {
        let start = Instant::now();
        let mut typist = Typist::new(start);
        let mut passes = |said, after_ms| typist.passes(said, start + Duration::from_millis(after_ms));
        assert!(passes(0, 0) && !passes(0, 1_999) && passes(0, 2_000));
        assert!(passes(1, 2_001) && passes(0, 2_002) && passes(1, 2_003));
        assert!(!passes(0, 2_004), "past so many changes");
    }

    #[test]
    fn the_latest_waits() {
        let start = Instant::now();
        let mut typist = Typist::new(start);
        assert_eq!((0..9).filter(|n| typist.passes(n % 2, start)).count(), CHANGES_AT_ONCE as usize);
        let later = start + Duration::from_secs(1);
        assert_eq!((typist.due(start), typist.due(later), typist.due(later)), (None, Some(0), None));
        // What goes back to what all know is no news.
        assert!(!typist.passes(1, later) && !typist.passes(0, later));
        assert_eq!(typist.due(later + Duration::from_secs(1)), None);
    }

    #[test]
    fn one_who_changes_all_the_time_is_heard_once_a_second() {
        let start = Instant::now();
        let mut typist = Typist::new(start);
        let said = |n: u64| typist.passes(n % 2, start + Duration::from_millis(10 * n));
        let passed = (0..6_000).map(said).filter(|passes| *passes).count();
        assert!((CHANGES_AT_ONCE as usize + 58..=CHANGES_AT_ONCE as usize + 60).contains(&passed), "{passed}");
        // What waits where nobody asks for it is forgotten too.
        assert!((0..9).filter(|said| typist.passes(*said, start + Duration::from_secs(62))).count() < 5);
        assert!(typist.waits.is_some());
        assert!(!typist.is_idle(start + Duration::from_secs(63)) && typist.is_idle(start + Duration::from_secs(70)));
    }
}
