//! What an edge is still owed from the store: logs whose end is to be checked, and logs that are to be replayed.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Wanted, interest::Work};

/// The lists, and how much of them is under way. As long as the edge's interests at most.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    lists: Mutex<Lists>,
    added: Notify,
    settled: Notify,
}

#[derive(Debug, Default)]
struct Lists {
    checks: VecDeque<Wanted>,
    replays: VecDeque<Wanted>,
    under_way: usize,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Replay(Wanted),
    /// Some together, for one statement.
    Check(Vec<Wanted>),
}

impl Owed {
    /// Something more.
    pub(crate) fn add(&self, work: Work, wanted: Wanted) {
        {
            let mut lists = self.lists.lock();
            match work {
                Work::Check => lists.checks.push_back(wanted),
                Work::Replay => lists.replays.push_back(wanted),
            }
        }
        self.added.notify_one();
    }

    /// The next to be done, of the kinds that there is room for; [`Self::done`] has to follow. Replays go first: who lacks something knows it by a
    /// later event that waits, and while many of them wait a check would only find more.
    pub(crate) async fn next(&self, replays: bool, checks: bool) -> Next {
        loop {
            {
                let mut lists = self.lists.lock();
                let next = match () {
                    () if replays && !lists.replays.is_empty() => lists.replays.pop_front().map(Next::Replay),
                    () if checks && lists.replays.len() < CHECKED_AT_ONCE => lists.take_checks().map(Next::Check),
                    () => None,
                };
                if let Some(next) = next {
                    lists.under_way += 1;
                    return next;
                }
            }
            self.added.notified().await;
        }
    }

    /// One of those that were taken is done, with all that it led to added.
    pub(crate) fn done(&self) {
        let mut lists = self.lists.lock();
        lists.under_way -= 1;
        if lists.is_empty() {
            self.settled.notify_waiters();
        }
    }

    /// Waits until nothing is owed.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.lists.lock().is_empty() {
                return;
            }
            settled.await;
        }
    }
}

impl Lists {
    fn is_empty(&self) -> bool {
        self.under_way == 0 && self.checks.is_empty() && self.replays.is_empty()
    }

    /// The newest and the oldest, half of each: while a long list is worked off, from its beginning, who comes new need not wait for all of it.
    fn take_checks(&mut self) -> Option<Vec<Wanted>> {
        let checks = &mut self.checks;
        let newest = checks.split_off(checks.len() - checks.len().min(CHECKED_AT_ONCE / 2));
        let oldest = checks.drain(..checks.len().min(CHECKED_AT_ONCE / 2));
        let taken: Vec<_> = newest.into_iter().chain(oldest).collect();
        if checks.is_empty() {
            *checks = VecDeque::new();
        }
        (!taken.is_empty()).then_some(taken)
    }
}

/// Logs whose ends are read in one statement.
pub(crate) const CHECKED_AT_ONCE: usize = 256;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use gogochat_proto::ids::LogId;

    use super::*;

    fn wanted(interest: u64) -> Wanted {
        Wanted { log: LogId::new_v7(), interest }
    }

    fn numbers(next: Option<Next>) -> Vec<u64> {
        match next {
            Some(Next::Check(wanted)) => wanted.into_iter().map(|wanted| wanted.interest).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn replays_go_first_and_checks_together() {
        let owed = Owed::default();
        (0..300).for_each(|n| owed.add(Work::Check, wanted(n)));
        let replay = wanted(300);
        owed.add(Work::Replay, replay);
        assert_eq!(owed.next(true, true).now_or_never(), Some(Next::Replay(replay)));
        // Half are the newest, half the oldest.
        let first = numbers(owed.next(true, true).now_or_never());
        assert_eq!(first, (172..300).chain(0..128).collect::<Vec<_>>());
        assert_eq!(owed.next(true, false).now_or_never(), None);
        assert_eq!(numbers(owed.next(true, true).now_or_never()), (128..172).collect::<Vec<_>>());
        assert_eq!(owed.next(true, true).now_or_never(), None);
    }

    #[test]
    fn where_many_replays_wait_nothing_is_checked() {
        let owed = Owed::default();
        owed.add(Work::Check, wanted(0));
        (0..CHECKED_AT_ONCE).for_each(|_| owed.add(Work::Replay, wanted(1)));
        assert_eq!(owed.next(false, true).now_or_never(), None);
        assert!(matches!(owed.next(true, true).now_or_never(), Some(Next::Replay(_))));
        assert_eq!(numbers(owed.next(false, true).now_or_never()), [0]);
    }

    #[tokio::test]
    async fn settled_once_all_is_done_and_what_it_led_to() {
        let owed = Owed::default();
        owed.settled().await;
        owed.add(Work::Check, wanted(0));
        assert_eq!(owed.settled().now_or_never(), None, "it waits");
        owed.next(true, true).await;
        assert_eq!(owed.settled().now_or_never(), None, "it is under way");
        owed.add(Work::Replay, wanted(0));
        owed.done();
        assert_eq!(owed.settled().now_or_never(), None, "it has led to more");
        owed.next(true, true).await;
        let done = async { owed.done() };
        tokio::join!(owed.settled(), done);
    }
}
