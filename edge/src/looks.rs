//! When a core looks into the store for what others may have committed and not told here: those that were lost, and those that cannot be reached.

use std::time::{Duration, Instant};

/// The looks that are to come, and the last one.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// The next one.
    due: Option<Instant>,
    /// One more, for cores that were lost while the next was due already.
    then: Option<Instant>,
    last: Option<Instant>,
}

impl Looks {
    /// A core was lost: a look is due when whatever it had begun has ended. `true`: and one now, except just after another, so that cores that come and go do not have
    /// every log looked at each time.
    pub(crate) fn lost(&mut self, now: Instant) -> bool {
        let after = now + LOOK_AGAIN;
        // What is due already is not put off.
        if self.due.is_none() {
            self.due = Some(after);
        } else {
            self.then = Some(after);
        }
        let look = self.last.is_none_or(|last| now.saturating_duration_since(last) >= APART);
        if look {
            self.last = Some(now);
        }
        look
    }

    /// A core has not been attached for `away`, and may commit all the time. Whether it is time for a look: every few seconds, or less and less often where
    /// nobody knows that it is up.
    pub(crate) fn missed(&mut self, away: Duration, lives: bool, now: Instant) -> bool {
        let most = if lives { LOOK_AGAIN } else { SELDOM };
        let pause = (away / 2).clamp(LOOK_AGAIN, most);
        let look = away >= LOOK_AGAIN && self.last.is_none_or(|last| now.saturating_duration_since(last) >= pause);
        if look {
            self.last = Some(now);
        }
        look
    }

    /// Whether it is time for a look.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.due.take_if(|due| *due <= now).is_some();
        if due {
            self.due = self.then.take();
            self.last = Some(now);
        }
        due
    }
}

/// After a core was lost: longer than what it had begun in the store goes on without it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const APART: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds in which there is a look, where cores are lost in those of `losses`.
    fn looks(losses: &[u64]) -> Vec<u64> {
        let (mut looks, start) = (Looks::default(), Instant::now());
        let at = |second: &u64| {
            let now = start + Duration::from_secs(*second);
            let due = looks.is_due(now);
            let at_once = losses.contains(second) && looks.lost(now);
            due || at_once
        };
        (0..30).filter(at).collect()
    }

    #[test]
    fn losses_do_not_put_off_what_is_due() {
        assert_eq!(looks(&[3]), [3, 8]);
        // Each is looked for at once, within 5 s more and when what it had begun has ended.
        assert_eq!(looks(&[0, 4, 8]), [0, 4, 5, 8, 9, 13]);
        assert_eq!(looks(&[0, 2, 4, 6, 8, 10]), [0, 2, 4, 5, 6, 8, 9, 10, 13, 15]);
    }

    #[test]
    fn a_core_that_stays_away_is_looked_for_as_long_as_it_does() {
        let seconds = |lives: bool, until: u64| {
            let (mut looks, start) = (Looks::default(), Instant::now());
            assert!(looks.lost(start));
            let at = |second: &u64| {
                let away = Duration::from_secs(*second);
                let due = looks.is_due(start + away);
                looks.missed(away, lives, start + away) || due
            };
            (1..=until).filter(at).collect::<Vec<_>>()
        };
        assert_eq!(seconds(true, 30), [5, 10, 15, 20, 25, 30]);
        assert_eq!(seconds(false, 400), [5, 10, 20, 40, 80, 140, 200, 260, 320, 380]);
    }

    #[test]
    fn cores_lost_together_are_looked_for_together() {
        let (mut looks, now) = (Looks::default(), Instant::now());
        assert!(looks.lost(now));
        assert!(!looks.lost(now + APART / 2));
        assert!(looks.is_due(now + LOOK_AGAIN));
        assert!(!looks.is_due(now + LOOK_AGAIN));
        assert!(looks.is_due(now + LOOK_AGAIN + APART / 2));
        assert!(!looks.is_due(now + 10 * LOOK_AGAIN));
    }
}
