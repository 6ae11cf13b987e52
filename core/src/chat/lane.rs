//! The order of one sender: after a command of a session in a conversation was refused in a way that lets it come again, later ones are
//! refused too until it has come, so that a repeat never ends up behind what was sent after it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use gogochat_proto::ids::{ClientMsgId, LogId};

/// One session in one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    /// The attachment that the session came through.
    pub(crate) attachment: u64,
    /// The session there.
    pub(crate) session: u64,
    /// The conversation, or the user's own log.
    pub(crate) log: LogId,
}

/// The lanes that wait for a repeat. Those that do not, which is nearly all, take no room.
#[derive(Debug)]
pub(crate) struct Lanes {
    waiting: HashMap<Lane, (ClientMsgId, Instant)>,
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

impl Lanes {
    /// At most `max` lanes wait; past that, those that have waited longest are given up.
    pub(crate) fn new(max: usize) -> Self {
        Self { waiting: HashMap::new(), max: max.max(1) }
    }

    /// A command comes.
    pub(crate) fn come(&mut self, lane: Lane, id: ClientMsgId, now: Instant) -> Turn {
        if self.waiting.is_empty() {
            return Turn::Pass;
        }
        match self.waiting.get(&lane) {
            Some((first, since)) if *first != id && now.saturating_duration_since(*since) < GIVEN_UP => {
                Turn::OutOfOrder
            }
            Some(_) => {
                self.waiting.remove(&lane);
                Turn::Pass
            }
            None => Turn::Pass,
        }
    }

    /// The edge says that this lane's earliest refused command has come, whichever that was.
    pub(crate) fn resume(&mut self, lane: Lane) {
        self.waiting.remove(&lane);
    }

    /// A command that passed was refused, and may come again. Of several, the first counts.
    pub(crate) fn refused(&mut self, lane: Lane, id: ClientMsgId, now: Instant) {
        if self.waiting.len() >= self.max && !self.waiting.contains_key(&lane) {
            self.give_up_oldest();
        }
        self.waiting.entry(lane).or_insert((id, now));
    }

    /// A session has ended: whatever it waited for comes in another.
    pub(crate) fn end(&mut self, attachment: u64, session: u64) {
        if !self.waiting.is_empty() {
            self.waiting.retain(|lane, _| lane.attachment != attachment || lane.session != session);
        }
    }

    /// Forgets lanes that have waited for longer than commands stay on their way, where the session is gone.
    pub(crate) fn sweep(&mut self, now: Instant, is_open: impl Fn(&Lane) -> bool) {
        self.waiting.retain(|lane, (_, since)| now.duration_since(*since) < KEPT || is_open(lane));
        self.waiting.shrink_to(self.waiting.len().max(SMALL));
    }

    /// Logs whose refused command may still be overtaken by what was on its way as the sender heard of it.
    pub(crate) fn fresh(&self, now: Instant) -> impl Iterator<Item = LogId> {
        let fresh = move |since: &Instant| now.saturating_duration_since(*since) < FRESH;
        self.waiting.iter().filter(move |(_, (_, since))| fresh(since)).map(|(lane, _)| lane.log)
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

    fn lane(session: u64) -> Lane {
        Lane { attachment: 1, session, log: UserId::from(uuid::Uuid::nil()).into() }
    }

    fn id(n: u64) -> ClientMsgId {
        uuid::Uuid::from_u128(u128::from(n)).into()
    }

    #[test]
    fn later_ones_wait_for_the_refused_one() {
        let (mut lanes, now) = (Lanes::new(10), Instant::now());
        assert_eq!(lanes.come(lane(1), id(1), now), Turn::Pass);
        lanes.refused(lane(1), id(1), now);
        lanes.refused(lane(1), id(2), now);
        assert_eq!(lanes.come(lane(1), id(2), now), Turn::OutOfOrder);
        assert_eq!(lanes.come(lane(1), id(3), now), Turn::OutOfOrder);
        assert_eq!(lanes.come(lane(2), id(3), now), Turn::Pass, "another session is not concerned");
        assert_eq!(lanes.come(lane(1), id(1), now), Turn::Pass);
        assert_eq!(lanes.come(lane(1), id(2), now), Turn::Pass);
        assert_eq!(lanes.len(), 0);
    }

    #[test]
    fn one_that_was_given_up_holds_nobody_back() {
        let (mut lanes, now) = (Lanes::new(10), Instant::now());
        lanes.refused(lane(1), id(1), now);
        let soon = now + GIVEN_UP - Duration::from_millis(1);
        assert_eq!(lanes.come(lane(1), id(2), soon), Turn::OutOfOrder);
        assert_eq!(lanes.come(lane(1), id(2), now + GIVEN_UP), Turn::Pass);
        assert_eq!(lanes.len(), 0);
    }

    #[test]
    fn the_edge_knows_better_which_came_first() {
        let (mut lanes, now) = (Lanes::new(10), Instant::now());
        lanes.refused(lane(1), id(2), now);
        assert_eq!(lanes.come(lane(1), id(1), now), Turn::OutOfOrder);
        lanes.resume(lane(1));
        assert_eq!(lanes.come(lane(1), id(1), now), Turn::Pass);
    }

    #[test]
    fn a_session_that_ends_leaves_nothing() {
        let (mut lanes, now) = (Lanes::new(10), Instant::now());
        lanes.refused(lane(1), id(1), now);
        lanes.refused(lane(2), id(1), now);
        lanes.end(1, 1);
        assert_eq!(lanes.len(), 1);
        lanes.sweep(now + KEPT, |lane| lane.session == 2);
        assert_eq!(lanes.len(), 1);
        lanes.sweep(now + KEPT, |_| false);
        assert_eq!(lanes.len(), 0);
    }

    #[test]
    fn it_is_fresh_until_it_comes_again_or_some_time_has_passed() {
        let (mut lanes, now) = (Lanes::new(10), Instant::now());
        lanes.refused(lane(1), id(1), now);
        let soon = now + FRESH - Duration::from_millis(1);
        assert_eq!(lanes.fresh(soon).collect::<Vec<_>>(), [lane(1).log]);
        assert_eq!(lanes.fresh(now + FRESH).count(), 0);
        lanes.come(lane(1), id(1), soon);
        assert_eq!(lanes.fresh(soon).count(), 0);
    }

    #[test]
    fn bounded() {
        let (mut lanes, start) = (Lanes::new(100), Instant::now());
        for n in 0..1_000 {
            lanes.refused(lane(n), id(n), start + Duration::from_millis(n));
            assert!(lanes.len() <= 100);
        }
        let now = start + Duration::from_secs(1);
        assert_eq!(lanes.come(lane(999), id(1_000), now), Turn::OutOfOrder, "the latest still wait");
    }

    proptest! {
        /// A client that goes back to the first unanswered one, and a server that fails at random: what is committed is in order.
        #[test]
        fn order_survives_failures(fails in prop::collection::vec(any::<bool>(), 0..60)) {
            let (mut lanes, now) = (Lanes::new(10), Instant::now());
            let mut fails = fails.into_iter();
            let mut committed: Vec<u64> = Vec::new();
            let count = 6;
            while committed.len() < count as usize {
                // The client sends all that is not acknowledged, in order; a batch is one command.
                for n in committed.len() as u64..count {
                    match lanes.come(lane(1), id(n), now) {
                        Turn::OutOfOrder => {}
                        Turn::Pass if fails.next() == Some(true) => lanes.refused(lane(1), id(n), now),
                        Turn::Pass => committed.push(n),
                    }
                }
            }
            prop_assert_eq!(committed, (0..count).collect::<Vec<_>>());
        }
    }
}
