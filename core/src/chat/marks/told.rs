//! How far all members had got in a log when it was last told from here: so that nobody is told again
//! what has not changed.

use std::collections::HashMap;

use gogochat_proto::ids::LogId;
use gogochat_storage::store::LowestMarks;

/// What was last told of each log.
#[derive(Debug, Default)]
pub(super) struct Told {
    logs: HashMap<LogId, LowestMarks>,
}

impl Told {
    /// Notes what is told now, and gives what was told before; `None`: not known, which only means that
    /// everybody is told. `now`: `None` where it is not known.
    pub(super) fn replace(&mut self, log: LogId, now: Option<LowestMarks>) -> Option<LowestMarks> {
        let Some(now) = now else { return self.logs.remove(&log) };
        if self.logs.len() >= MAX && !self.logs.contains_key(&log) {
            self.logs.clear();
        }
        self.logs.insert(log, now)
    }
}

/// Logs that are remembered.
const MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use gogochat_storage::store::Lowest;

    use super::*;

    #[test]
    fn bounded_and_forgotten_where_it_is_not_known() {
        let lowest = |log| LowestMarks { log, delivered: Lowest::default(), read: Lowest::default() };
        let (mut told, log) = (Told::default(), LogId::new_v7());
        assert_eq!(told.replace(log, Some(lowest(log))), None);
        assert_eq!(told.replace(log, Some(lowest(log))), Some(lowest(log)));
        assert!(told.replace(log, None).is_some());
        assert_eq!(told.replace(log, Some(lowest(log))), None);
        for _ in 0..MAX + 10 {
            let log = LogId::new_v7();
            told.replace(log, Some(lowest(log)));
        }
        assert!(told.logs.len() <= MAX);
    }
}
