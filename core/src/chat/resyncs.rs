//! Logs that are compared with the store a second time. When the store gave no answer to a commit,
//! an event may have been committed in them and sent to nobody.
//!
//! The first comparison is made at once, as soon as the store can be read. The second one comes
//! later, because a commit may arrive after its answer was given up.

use std::{collections::HashSet, time::Duration};

use gogochat_proto::ids::LogId;

/// The logs that are looked at a second time: at most as many as are heard here.
#[derive(Debug, Default)]
pub(crate) struct Resyncs {
    fresh: HashSet<LogId>,
    due: HashSet<LogId>,
}

impl Resyncs {
    /// A log may have got something just now.
    pub(crate) fn add(&mut self, log: LogId) {
        self.fresh.insert(log);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.due.is_empty()
    }

    /// Called every [`LATE`]: those to look at now, which have waited for at least that long.
    pub(crate) fn turn(&mut self) -> HashSet<LogId> {
        std::mem::replace(&mut self.due, std::mem::take(&mut self.fresh))
    }
}

/// Longer than a store waits for an answer before it gives a commit up.
pub(crate) const LATE: Duration = Duration::from_secs(7);

/// After a commit without an answer: what it may have left has been looked for twice by then.
pub(crate) const CERTAIN: Duration = LATE.saturating_mul(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_looked_at_once_more_and_not_before_a_whole_turn() {
        let (mut resyncs, one, other) = (Resyncs::default(), LogId::new_v7(), LogId::new_v7());
        resyncs.add(one);
        resyncs.add(one);
        assert!(resyncs.turn().is_empty(), "it may have come a moment ago");
        resyncs.add(other);
        assert_eq!(resyncs.turn(), HashSet::from([one]));
        assert!(!resyncs.is_empty());
        assert_eq!(resyncs.turn(), HashSet::from([other]));
        assert!(resyncs.is_empty() && resyncs.turn().is_empty());
    }
}
