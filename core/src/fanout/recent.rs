//! The latest events published in users' own logs. They show whether anything came between reading
//! a session's view from the store and opening the session.

use std::collections::VecDeque;

use gogochat_proto::ids::LogId;
use parking_lot::Mutex;

/// The latest publications.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    published: Mutex<Published>,
}

#[derive(Debug, Default)]
struct Published {
    /// How many there were, ever.
    count: u64,
    latest: VecDeque<(LogId, i64)>,
}

/// A point in the row of publications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Recent {
    /// An event is about to be sent to those who hear it.
    pub(crate) fn note(&self, log: LogId, seq: i64) {
        let mut published = self.published.lock();
        published.count += 1;
        if published.latest.len() == KEPT {
            published.latest.pop_front();
        }
        published.latest.push_back((log, seq));
    }

    /// Now.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.published.lock().count)
    }

    /// Whether nothing after `end` was published in a log since `then`. When too much was published
    /// to tell, it is not.
    pub(crate) fn is_quiet(&self, log: LogId, end: i64, then: Moment) -> bool {
        let published = self.published.lock();
        let since = usize::try_from(published.count - then.0).unwrap_or(usize::MAX);
        since <= published.latest.len()
            && published.latest.iter().rev().take(since).all(|(other, seq)| *other != log || *seq <= end)
    }
}

const KEPT: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_since_and_was_not_seen_is_told() {
        let (recent, log) = (Recent::default(), LogId::new_v7());
        recent.note(log, 1);
        let then = recent.moment();
        assert!(recent.is_quiet(log, 0, then));
        recent.note(LogId::new_v7(), 9);
        recent.note(log, 2);
        assert!(!recent.is_quiet(log, 1, then));
        assert!(recent.is_quiet(log, 2, then), "the reader has seen it");
        assert!(recent.is_quiet(log, 1, recent.moment()));
    }

    #[test]
    fn bounded_and_careful_past_it() {
        let (recent, log) = (Recent::default(), LogId::new_v7());
        let then = recent.moment();
        for _ in 0..KEPT {
            recent.note(LogId::new_v7(), 1);
        }
        assert!(recent.is_quiet(log, 0, then));
        recent.note(LogId::new_v7(), 1);
        assert!(!recent.is_quiet(log, 0, then));
    }
}
