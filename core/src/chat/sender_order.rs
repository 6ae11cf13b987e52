//! The order of one sender, which is one session in one conversation. When its command was refused
//! with a retryable error, its later commands are refused too, until that one has come again. So a
//! repeat never ends up behind what was sent after it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use gogochat_proto::ids::{ClientMsgId, LogId};

/// One session in one conversation: what it sends there has an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sender {
    /// The attachment that the session came through.
    pub(crate) attachment: u64,
    /// The session there.
    pub(crate) session: u64,
    /// The conversation, or the user's own log.
    pub(crate) log: LogId,
}

/// The senders that wait for a repeat. Those that do not, which is nearly all, take no room.
#[derive(Debug)]
pub(crate) struct SenderOrder {
    waiting: HashMap<Sender, (ClientMsgId, Instant)>,
    max: usize,
}

/// A command may pass, or has to wait for an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It may pass.
    Pass,
    /// An earlier one has to come first.
    OutOfOrder,
}

impl SenderOrder {
    /// At most `max` senders wait; past that, those that have waited longest are given up.
    pub(crate) fn new(max: usize) -> Self {
        Self { waiting: HashMap::new(), max: max.max(1) }
    }

    /// A command comes.
    pub(crate) fn come(&mut self, sender: Sender, id: ClientMsgId, now: Instant) -> Turn {
        if self.waiting.is_empty() {
            return Turn::Pass;
        }
        match self.waiting.get(&sender) {
            Some((first, since)) if *first != id && now.saturating_duration_since(*since) < GIVEN_UP => {
                Turn::OutOfOrder
            }
            Some(_) => {
                self.waiting.remove(&sender);
                Turn::Pass
            }
            None => Turn::Pass,
        }
    }

    /// The edge says that this sender's earliest refused command has come, whichever that was.
    pub(crate) fn resume(&mut self, sender: Sender) {
        self.waiting.remove(&sender);
    }

    /// A command that passed was refused, and may come again. Of several, the first counts.
    pub(crate) fn refused(&mut self, sender: Sender, id: ClientMsgId, now: Instant) {
        if self.waiting.len() >= self.max && !self.waiting.contains_key(&sender) {
            self.give_up_oldest();
        }
        self.waiting.entry(sender).or_insert((id, now));
    }

    /// A session has ended: whatever it waited for comes in another.
    pub(crate) fn end(&mut self, attachment: u64, session: u64) {
        if !self.waiting.is_empty() {
            self.waiting.retain(|sender, _| sender.attachment != attachment || sender.session != session);
        }
    }

    /// Forgets senders that have waited for longer than commands stay on their way, where the
    /// session is gone.
    pub(crate) fn sweep(&mut self, now: Instant, is_open: impl Fn(&Sender) -> bool) {
        self.waiting.retain(|sender, (_, since)| now.duration_since(*since) < KEPT || is_open(sender));
        self.waiting.shrink_to(self.waiting.len().max(SMALL));
    }

    /// Logs whose refused command may still be overtaken by what was on its way as the sender heard of it.
    pub(crate) fn fresh(&self, now: Instant) -> impl Iterator<Item = LogId> {
        let fresh = move |since: &Instant| now.saturating_duration_since(*since) < FRESH;
        self.waiting.iter().filter(move |(_, (_, since))| fresh(since)).map(|(sender, _)| sender.log)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn give_up_oldest(&mut self) {
        let mut since: Vec<Instant> = self.waiting.values().map(|(_, since)| *since).collect();
        let middle = since.len() / 2;
        if middle < since.len() {
            let (_, median, _) = since.select_nth_unstable(middle);
            let median = *median;
            let before = self.waiting.len();
            self.waiting.retain(|_, (_, since)| *since > median);
            tracing::warn!(given_up = before - self.waiting.len(), "too many senders wait for a repeat");
        }
    }
}

/// Clients repeat for 30 s: a command that has not come again for so long was given up.
const GIVEN_UP: Duration = Duration::from_secs(60);
/// Longer than a store takes to fail twice: by then what was on its way has come, and been refused too.
const FRESH: Duration = Duration::from_secs(15);
/// Longer than a command waits on the bus.
const KEPT: Duration = Duration::from_secs(60);
const SMALL: usize = 16;

#[cfg(test)]
mod tests {
    use gogochat_proto::ids::UserId;
    use proptest::prelude::*;

    use super::*;

    fn sender(session: u64) -> Sender {
        Sender { attachment: 1, session, log: UserId::from(uuid::Uuid::nil()).into() }
    }

    fn id(n: u64) -> ClientMsgId {
        uuid::Uuid::from_u128(u128::from(n)).into()
    }

    #[test]
    fn later_ones_wait_for_the_refused_one() {
        let (mut order, now) = (SenderOrder::new(10), Instant::now());
        assert_eq!(order.come(sender(1), id(1), now), Turn::Pass);
        order.refused(sender(1), id(1), now);
        order.refused(sender(1), id(2), now);
        assert_eq!(order.come(sender(1), id(2), now), Turn::OutOfOrder);
        assert_eq!(order.come(sender(1), id(3), now), Turn::OutOfOrder);
        assert_eq!(order.come(sender(2), id(3), now), Turn::Pass, "another session is not concerned");
        assert_eq!(order.come(sender(1), id(1), now), Turn::Pass);
        assert_eq!(order.come(sender(1), id(2), now), Turn::Pass);
        assert_eq!(order.len(), 0);
    }

    #[test]
    fn one_that_was_given_up_holds_nobody_back() {
        let (mut order, now) = (SenderOrder::new(10), Instant::now());
        order.refused(sender(1), id(1), now);
        let soon = now + GIVEN_UP - Duration::from_millis(1);
        assert_eq!(order.come(sender(1), id(2), soon), Turn::OutOfOrder);
        assert_eq!(order.come(sender(1), id(2), now + GIVEN_UP), Turn::Pass);
        assert_eq!(order.len(), 0);
    }

    #[test]
    fn the_edge_knows_better_which_came_first() {
        let (mut order, now) = (SenderOrder::new(10), Instant::now());
        order.refused(sender(1), id(2), now);
        assert_eq!(order.come(sender(1), id(1), now), Turn::OutOfOrder);
        order.resume(sender(1));
        assert_eq!(order.come(sender(1), id(1), now), Turn::Pass);
    }

    #[test]
    fn a_session_that_ends_leaves_nothing() {
        let (mut order, now) = (SenderOrder::new(10), Instant::now());
        order.refused(sender(1), id(1), now);
        order.refused(sender(2), id(1), now);
        order.end(1, 1);
        assert_eq!(order.len(), 1);
        order.sweep(now + KEPT, |sender| sender.session == 2);
        assert_eq!(order.len(), 1);
        order.sweep(now + KEPT, |_| false);
        assert_eq!(order.len(), 0);
    }

    #[test]
    fn it_is_fresh_until_it_comes_again_or_some_time_has_passed() {
        let (mut order, now) = (SenderOrder::new(10), Instant::now());
        order.refused(sender(1), id(1), now);
        let soon = now + FRESH - Duration::from_millis(1);
        assert_eq!(order.fresh(soon).collect::<Vec<_>>(), [sender(1).log]);
        assert_eq!(order.fresh(now + FRESH).count(), 0);
        order.come(sender(1), id(1), soon);
        assert_eq!(order.fresh(soon).count(), 0);
    }

    #[test]
    fn bounded() {
        let (mut order, start) = (SenderOrder::new(100), Instant::now());
        for n in 0..1_000 {
            order.refused(sender(n), id(n), start + Duration::from_millis(n));
            assert!(order.len() <= 100);
        }
        let now = start + Duration::from_secs(1);
        assert_eq!(order.come(sender(999), id(1_000), now), Turn::OutOfOrder, "the latest still wait");
    }

    proptest! {
        /// A client that goes back to the first unanswered one, and a server that fails at random: what is
        /// committed is in order.
        #[test]
        fn order_survives_failures(fails in prop::collection::vec(any::<bool>(), 0..60)) {
            let (mut order, now) = (SenderOrder::new(10), Instant::now());
            let mut fails = fails.into_iter();
            let mut committed: Vec<u64> = Vec::new();
            let count = 6;
            while committed.len() < count as usize {
                // The client sends all that is not acknowledged, in order; a batch is one command.
                for n in committed.len() as u64..count {
                    match order.come(sender(1), id(n), now) {
                        Turn::OutOfOrder => {}
                        Turn::Pass if fails.next() == Some(true) => order.refused(sender(1), id(n), now),
                        Turn::Pass => committed.push(n),
                    }
                }
            }
            prop_assert_eq!(committed, (0..count).collect::<Vec<_>>());
        }
    }
}
