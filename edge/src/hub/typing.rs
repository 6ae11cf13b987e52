//! Limits how much typing is delivered in one conversation, from whichever edge it comes. A user's
//! sessions may be at several edges, and a group may have thousands of members who all type.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Instant,
};

use gogochat_proto::ids::{LogId, UserId};

use crate::session::{bucket::Bucket, typist::Typist};

/// What was delivered of late.
#[derive(Debug, Default)]
pub(super) struct TypingLimit {
    logs: HashMap<LogId, Typing>,
    /// How many logs there may be before those of which nothing was delivered of late are forgotten.
    most: usize,
}

#[derive(Debug)]
struct Typing {
    deliveries: Bucket,
    typists: Vec<(UserId, Typist)>,
}

impl TypingLimit {
    /// Whether an encoded frame that says of a user that they type is to be delivered to so many sessions:
    /// as often as [`Typist`] says, and while the conversation has a budget left. The budget is one of
    /// deliveries, so that larger groups are told of fewer who type.
    pub(super) fn passes(&mut self, log: LogId, user: UserId, frame: &[u8], sessions: usize, now: Instant) -> bool {
        if self.logs.len() >= self.most {
            self.forget(now);
        }
        let typing = self.logs.entry(log).or_insert_with(|| {
            let deliveries = Bucket::new(DELIVERIES_A_SECOND, DELIVERIES_AT_ONCE, now);
            Typing { deliveries, typists: Vec::new() }
        });
        let (cost, said) = ((sessions as f32).max(LEAST_COST), hash(frame));
        match typing.typists.iter_mut().find(|(other, _)| *other == user) {
            Some((_, typist)) => typist.passes(said, now) && typing.deliveries.take_any(cost, now),
            None if typing.deliveries.take_any(cost, now) => {
                typing.typists.retain_mut(|(_, typist)| !typist.is_idle(now));
                let mut typist = Typist::new(now);
                typist.passes(said, now);
                typing.typists.push((user, typist));
                true
            }
            None => false,
        }
    }

    fn forget(&mut self, now: Instant) {
        self.logs.retain(|_, typing| {
            typing.typists.retain_mut(|(_, typist)| !typist.is_idle(now));
            !typing.typists.is_empty() || !typing.deliveries.is_full(now)
        });
        // So each is looked at a few times at most.
        self.most = (2 * self.logs.len()).max(KEPT);
    }
}

fn hash(frame: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    frame.hash(&mut hasher);
    hasher.finish()
}

/// To the sessions of one conversation, at one edge.
const DELIVERIES_A_SECOND: f32 = 2_000.0;
const DELIVERIES_AT_ONCE: f32 = 4_000.0;
/// What one frame of typing costs in a small conversation: 10 pass in a second.
const LEAST_COST: f32 = 200.0;
const KEPT: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What passes when `users` say each tenth of a second for 10 s that they type, to so many sessions.
    fn passed(users: usize, sessions: usize) -> usize {
        let (mut limit, start, log) = (TypingLimit::default(), Instant::now(), LogId::new_v7());
        let users: Vec<_> = (0..users).map(|_| UserId::new_v7()).collect();
        let mut passed = 0;
        for tenth in 0..100 {
            let now = start + Duration::from_millis(100 * tenth);
            passed += users.iter().filter(|user| limit.passes(log, **user, b"types", sessions, now)).count();
        }
        passed
    }

    #[test]
    fn the_same_passes_once_an_interval() {
        assert_eq!(passed(1, 2), 5);
        assert_eq!(passed(3, 200), 15);
    }

    #[test]
    fn a_conversation_has_a_budget_in_all() {
        // 20 at once, then 10 a second.
        let small = passed(1_000, 2);
        assert!((110..=125).contains(&small), "{small}");
        assert_eq!(small, passed(1_000, 200));
        // Of a large one not more is delivered, to more.
        let large = passed(1_000, 10_000);
        assert!((1..=4).contains(&large), "{large}");
        // At the limit and past it.
        let (mut limit, now, log) = (TypingLimit::default(), Instant::now(), LogId::new_v7());
        let at_once = (DELIVERIES_AT_ONCE / LEAST_COST) as usize;
        let mut said = (0..=at_once).map(|_| limit.passes(log, UserId::new_v7(), b"types", 1, now));
        assert!(said.by_ref().take(at_once).all(|passes| passes));
        assert_eq!(said.next(), Some(false));
    }

    #[test]
    fn conversations_do_not_share_and_are_forgotten() {
        let (mut limit, start) = (TypingLimit::default(), Instant::now());
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            for _ in 0..100 {
                assert!(limit.passes(LogId::new_v7(), UserId::new_v7(), b"types", 10, now));
            }
        }
        assert!(limit.logs.len() <= 1_000, "{}", limit.logs.len());
    }
}
