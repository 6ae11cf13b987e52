//! What is to be done in the store for one edge: logs to be replayed, and logs whose end is to be
//! checked first.

use std::collections::VecDeque;

use gogochat_proto::ids::LogId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::replay_progress::Work;

/// One edge's interest in one log. An edge that goes and comes back has another number: work for the
/// former interest is for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InterestId {
    pub(super) log: LogId,
    pub(super) number: u64,
}

/// The work that waits, and how much is under way. At most as long as the edge has interests.
#[derive(Debug, Default)]
pub(crate) struct ReplayQueue {
    lists: Mutex<Lists>,
    added: Notify,
    settled: Notify,
}

#[derive(Debug, Default)]
struct Lists {
    checks: VecDeque<InterestId>,
    replays: VecDeque<InterestId>,
    under_way: usize,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Replay(InterestId),
    /// Some together, for one statement.
    Check(Vec<InterestId>),
}

impl ReplayQueue {
    /// Something more.
    pub(crate) fn add(&self, work: Work, interest: InterestId) {
        {
            let mut lists = self.lists.lock();
            match work {
                Work::Check => lists.checks.push_back(interest),
                Work::Replay => lists.replays.push_back(interest),
            }
        }
        self.added.notify_one();
    }

    /// The next to be done, of the kinds that there is room for; [`Self::done`] has to follow. Replays go
    /// first: an edge knows of a gap by a later event, which waits. While many replays wait, a check would
    /// only find more.
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

    /// Waits until nothing is queue.
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

    /// The newest and the oldest, half of each: while a long list is worked off from its beginning, a new
    /// check need not wait for all of it.
    fn take_checks(&mut self) -> Option<Vec<InterestId>> {
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

    use super::*;

    fn interest(number: u64) -> InterestId {
        InterestId { log: LogId::new_v7(), number }
    }

    fn numbers(next: Option<Next>) -> Vec<u64> {
        match next {
            Some(Next::Check(interests)) => interests.into_iter().map(|interest| interest.number).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn replays_go_first_and_checks_together() {
        let queue = ReplayQueue::default();
        (0..300).for_each(|n| queue.add(Work::Check, interest(n)));
        let replay = interest(300);
        queue.add(Work::Replay, replay);
        assert_eq!(queue.next(true, true).now_or_never(), Some(Next::Replay(replay)));
        // Half are the newest, half the oldest.
        let first = numbers(queue.next(true, true).now_or_never());
        assert_eq!(first, (172..300).chain(0..128).collect::<Vec<_>>());
        assert_eq!(queue.next(true, false).now_or_never(), None);
        assert_eq!(numbers(queue.next(true, true).now_or_never()), (128..172).collect::<Vec<_>>());
        assert_eq!(queue.next(true, true).now_or_never(), None);
    }

    #[test]
    fn where_many_replays_wait_nothing_is_checked() {
        let queue = ReplayQueue::default();
        queue.add(Work::Check, interest(0));
        (0..CHECKED_AT_ONCE).for_each(|_| queue.add(Work::Replay, interest(1)));
        assert_eq!(queue.next(false, true).now_or_never(), None);
        assert!(matches!(queue.next(true, true).now_or_never(), Some(Next::Replay(_))));
        assert_eq!(numbers(queue.next(false, true).now_or_never()), [0]);
    }

    #[tokio::test]
    async fn settled_once_all_is_done_and_what_it_led_to() {
        let queue = ReplayQueue::default();
        queue.settled().await;
        queue.add(Work::Check, interest(0));
        assert_eq!(queue.settled().now_or_never(), None, "it waits");
        queue.next(true, true).await;
        assert_eq!(queue.settled().now_or_never(), None, "it is under way");
        queue.add(Work::Replay, interest(0));
        queue.done();
        assert_eq!(queue.settled().now_or_never(), None, "it has led to more");
        queue.next(true, true).await;
        let done = async { queue.done() };
        tokio::join!(queue.settled(), done);
    }
}
