//! Marks that could not be passed on. Nobody repeats them, so they wait here. A newer mark replaces
//! an older one, so they stay few.

use std::collections::HashMap;

use gogochat_proto::ids::{LogId, UserId};
use gogochat_storage::store::Command;

use crate::authorize::Caller;

/// How far a member has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) log: LogId,
    pub(crate) caller: Caller,
    pub(crate) delivered: i64,
    pub(crate) read: i64,
}

impl Marks {
    pub(crate) fn command(self) -> Command {
        Command::Mark { log: self.log, user: self.caller.user, delivered: self.delivered, read: self.read }
    }
}

/// Marks that wait for the next chance.
#[derive(Debug, Default)]
pub(crate) struct LateMarks {
    waiting: HashMap<(LogId, UserId), Marks>,
}

impl LateMarks {
    /// Keeps marks; where very many wait already, they are lost until the member's next.
    pub(crate) fn keep(&mut self, marks: Marks) {
        if self.waiting.len() >= MAX && !self.waiting.contains_key(&(marks.log, marks.caller.user)) {
            return;
        }
        let kept = self.waiting.entry((marks.log, marks.caller.user)).or_insert(marks);
        kept.delivered = kept.delivered.max(marks.delivered);
        kept.read = kept.read.max(marks.read);
    }

    /// Takes at most `count`.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Marks> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let keys: Vec<_> = self.waiting.keys().take(count).copied().collect();
        keys.iter().filter_map(|key| self.waiting.remove(key)).collect()
    }

    /// Whether none wait.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

const MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use gogochat_proto::ids::DeviceId;

    use super::*;

    fn caller() -> Caller {
        Caller { user: UserId::new_v7(), device: DeviceId::new_v7() }
    }

    #[test]
    fn newer_replaces_older_and_never_goes_back() {
        let (log, caller) = (LogId::new_v7(), caller());
        let mut late = LateMarks::default();
        late.keep(Marks { log, caller, delivered: 5, read: 2 });
        late.keep(Marks { log, caller, delivered: 4, read: 3 });
        assert_eq!(late.take(9), vec![Marks { log, caller, delivered: 5, read: 3 }]);
        assert!(late.is_empty());
    }

    #[test]
    fn bounded() {
        let caller = caller();
        let mut late = LateMarks::default();
        for _ in 0..MAX + 10 {
            late.keep(Marks { log: LogId::new_v7(), caller, delivered: 1, read: 1 });
        }
        assert_eq!(late.take(usize::MAX).len(), MAX);
    }
}
