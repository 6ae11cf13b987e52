//! When a core is to look into the store for what other cores may have committed and not sent here.
//! Those are cores that were lost, and cores that cannot be reached.

use std::time::{Duration, Instant};

/// The resyncs that are due, and the last one.
#[derive(Debug, Default)]
pub(crate) struct ResyncSchedule {
    /// The next one.
    due: Option<Instant>,
    /// One more, for cores that were lost while the next was due already.
    then: Option<Instant>,
    last: Option<Instant>,
}

impl ResyncSchedule {
    /// A core was lost. A resync is due once the lost core's in-flight commits have settled. `true`:
    /// one is due now as well. Just after another it is not, so that cores that come and go do not
    /// have every log looked up each time.
    pub(crate) fn core_lost(&mut self, now: Instant) -> bool {
        let after = now + SETTLED;
        // What is due already is not put off.
        if self.due.is_none() {
            self.due = Some(after);
        } else {
            self.then = Some(after);
        }
        let resync = self.last.is_none_or(|last| now.saturating_duration_since(last) >= APART);
        if resync {
            self.last = Some(now);
        }
        resync
    }

    /// A core has not been attached for `away`, and may commit all the time. Whether a resync is due:
    /// every few seconds, or less and less often where nobody knows that the core is up.
    pub(crate) fn core_away(&mut self, away: Duration, lives: bool, now: Instant) -> bool {
        let most = if lives { SETTLED } else { RARELY };
        let pause = (away / 2).clamp(SETTLED, most);
        let resync = away >= SETTLED && self.last.is_none_or(|last| now.saturating_duration_since(last) >= pause);
        if resync {
            self.last = Some(now);
        }
        resync
    }

    /// Whether a resync is due.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.due.take_if(|due| *due <= now).is_some();
        if due {
            self.due = self.then.take();
            self.last = Some(now);
        }
        due
    }
}

/// After a core was lost: longer than its commits in the store go on without it.
const SETTLED: Duration = Duration::from_secs(5);
/// Between two resyncs for cores that were lost.
const APART: Duration = Duration::from_secs(1);
/// Between two resyncs for a core that may be down.
const RARELY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds in which a resync is due, where cores are lost in those of `losses`.
    fn resyncs(losses: &[u64]) -> Vec<u64> {
        let (mut schedule, start) = (ResyncSchedule::default(), Instant::now());
        let at = |second: &u64| {
            let now = start + Duration::from_secs(*second);
            let due = schedule.is_due(now);
            let at_once = losses.contains(second) && schedule.core_lost(now);
            due || at_once
        };
        (0..30).filter(at).collect()
    }

    #[test]
    fn losses_do_not_put_off_what_is_due() {
        assert_eq!(resyncs(&[3]), [3, 8]);
        // Each is looked for at once, within 5 s more and when what it had begun has ended.
        assert_eq!(resyncs(&[0, 4, 8]), [0, 4, 5, 8, 9, 13]);
        assert_eq!(resyncs(&[0, 2, 4, 6, 8, 10]), [0, 2, 4, 5, 6, 8, 9, 10, 13, 15]);
    }

    #[test]
    fn a_core_that_stays_away_is_looked_for_as_long_as_it_does() {
        let seconds = |lives: bool, until: u64| {
            let (mut schedule, start) = (ResyncSchedule::default(), Instant::now());
            assert!(schedule.core_lost(start));
            let at = |second: &u64| {
                let away = Duration::from_secs(*second);
                let due = schedule.is_due(start + away);
                schedule.core_away(away, lives, start + away) || due
            };
            (1..=until).filter(at).collect::<Vec<_>>()
        };
        assert_eq!(seconds(true, 30), [5, 10, 15, 20, 25, 30]);
        assert_eq!(seconds(false, 400), [5, 10, 20, 40, 80, 140, 200, 260, 320, 380]);
    }

    #[test]
    fn cores_lost_together_are_looked_for_together() {
        let (mut schedule, now) = (ResyncSchedule::default(), Instant::now());
        assert!(schedule.core_lost(now));
        assert!(!schedule.core_lost(now + APART / 2));
        assert!(schedule.is_due(now + SETTLED));
        assert!(!schedule.is_due(now + SETTLED));
        assert!(schedule.is_due(now + SETTLED + APART / 2));
        assert!(!schedule.is_due(now + 10 * SETTLED));
    }
}
