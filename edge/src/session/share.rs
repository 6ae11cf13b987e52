//! The budgets that all sessions of one user at this edge share. So a user gets no more by opening
//! more sessions.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use gogochat_proto::{
    ids::LogId,
    limits::{FRAMES_A_SECOND_OF_USER, MAX_CALLS_OF_USER},
};
use parking_lot::Mutex;

use super::{bucket::Bucket, typist::Typist};

/// The budgets of one user.
#[derive(Debug)]
pub(crate) struct UserShare {
    /// Calls that wait for their reply.
    calls: AtomicUsize,
    budgets: Mutex<Budgets>,
}

#[derive(Debug)]
struct Budgets {
    frames: Bucket,
    typing: Bucket,
    /// Where the user has typed of late.
    typists: Vec<(LogId, Typist)>,
}

impl UserShare {
    /// Of a user who has just come.
    pub(crate) fn new(now: Instant) -> Self {
        let rate = FRAMES_A_SECOND_OF_USER as f32;
        let budgets = Budgets {
            frames: Bucket::new(rate, rate * FRAMES_BURST, now),
            typing: Bucket::new(TYPING_A_SECOND, TYPING_AT_ONCE, now),
            typists: Vec::new(),
        };
        Self { calls: AtomicUsize::new(0), budgets: Mutex::new(budgets) }
    }

    /// Takes a place for a call. `false`: as many wait as one user may have.
    pub(super) fn take_call(&self) -> bool {
        let has_room = self.calls.fetch_add(1, Ordering::Relaxed) < MAX_CALLS_OF_USER;
        if !has_room {
            self.give_back(1);
        }
        has_room
    }

    /// Takes places for calls that wait already.
    pub(super) fn add_calls(&self, calls: usize) {
        self.calls.fetch_add(calls, Ordering::Relaxed);
    }

    /// Gives places of calls back.
    pub(super) fn give_back(&self, calls: usize) {
        self.calls.fetch_sub(calls, Ordering::Relaxed);
    }

    /// Whether no call waits: then nothing is lost when the share is forgotten.
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.load(Ordering::Relaxed) == 0
    }

    /// Counts a frame. Gives how long the next has to wait, if it has to.
    pub(super) fn spend_frame(&self, now: Instant) -> Option<Duration> {
        self.budgets.lock().frames.spend(now)
    }

    /// Whether typing in this conversation is to be passed on, whichever session of the user says it.
    pub(super) fn passes_typing(&self, log: LogId, stopped: bool, now: Instant) -> bool {
        let mut budgets = self.budgets.lock();
        let Budgets { typing, typists, .. } = &mut *budgets;
        let said = u64::from(stopped);
        match typists.iter_mut().find(|(other, _)| *other == log) {
            Some((_, typist)) => typist.passes(said, now) && typing.take(now),
            None if typing.take(now) => {
                typists.retain_mut(|(_, typist)| !typist.is_idle(now));
                let mut typist = Typist::new(now);
                typist.passes(said, now);
                typists.push((log, typist));
                true
            }
            None => false,
        }
    }

    /// What of the user's typing has waited and is to be passed on now: where, and whether they have stopped.
    pub(super) fn due_typing(&self, now: Instant) -> Vec<(LogId, bool)> {
        let mut budgets = self.budgets.lock();
        let due = |(log, typist): &mut (LogId, Typist)| Some((*log, typist.due(now)? != 0));
        budgets.typists.iter_mut().filter_map(due).collect()
    }
}

/// Seconds of frames at once.
pub(super) const FRAMES_BURST: f32 = 5.0;
/// Over all conversations.
const TYPING_A_SECOND: f32 = 20.0;
const TYPING_AT_ONCE: f32 = 40.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_conversation_is_by_itself() {
        let (start, a, b) = (Instant::now(), LogId::new_v7(), LogId::new_v7());
        let share = UserShare::new(start);
        let passed = |log, stopped| share.passes_typing(log, stopped, start);
        assert!(passed(a, false) && passed(b, false) && passed(a, true));
        assert!(!passed(a, true) && !passed(b, false));
    }

    #[test]
    fn typing_everywhere_is_bounded_too() {
        let start = Instant::now();
        let share = UserShare::new(start);
        let passed = (0..1_000).filter(|_| share.passes_typing(LogId::new_v7(), false, start)).count();
        assert_eq!(passed, TYPING_AT_ONCE as usize);
        // They are forgotten, and their places used again.
        let later = start + Duration::from_secs(60);
        assert!(share.passes_typing(LogId::new_v7(), false, later));
        assert_eq!(share.budgets.lock().typists.len(), 1);
        let (share, second) = (UserShare::new(start), start + Duration::from_secs(1));
        assert_eq!((0..1_000).filter(|_| share.passes_typing(LogId::new_v7(), false, start)).count(), passed);
        let passed = (0..1_000).filter(|_| share.passes_typing(LogId::new_v7(), false, second)).count();
        assert_eq!(passed, TYPING_A_SECOND as usize);
    }

    #[test]
    fn frames_past_the_budget_wait() {
        let start = Instant::now();
        let share = UserShare::new(start);
        let at_once = FRAMES_A_SECOND_OF_USER * FRAMES_BURST as usize;
        assert!((0..at_once).all(|_| share.spend_frame(start).is_none()));
        assert!(share.spend_frame(start).is_some());
    }
}
