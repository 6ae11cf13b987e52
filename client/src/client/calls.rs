//! Calls that wait for their reply. No clock and no I/O.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use gogochat_proto::{ids::LogId, v1};
use tokio::{sync::oneshot, time::Instant};

use crate::CallError;

/// The calls of one session.
#[derive(Debug)]
pub(crate) struct Calls {
    waiting: HashMap<u32, Purpose>,
    /// All have the same patience, so the first made is the first to lapse.
    deadlines: VecDeque<(Instant, u32)>,
    patience: Duration,
    next_id: u32,
}

/// What a call is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// A message of the outbox.
    Send { conversation: LogId, client_msg_id: String },
    /// A page of a log.
    Page { log: LogId },
    /// What was missed.
    Sync,
    /// How large a conversation is, and how far it goes.
    Look { conversation: LogId },
    /// A call of the application's.
    User(Asked),
}

/// A call of the application's.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) key: String,
    pub(crate) body: Bytes,
    /// Refused for now, it is repeated until then; `None`: not at all.
    pub(crate) until: Option<Instant>,
    pub(crate) reply: oneshot::Sender<Result<Bytes, CallError>>,
}

impl Asked {
    /// Gives the application its answer.
    pub(crate) fn answer(self, result: Result<Bytes, CallError>) {
        let _ = self.reply.send(result);
    }
}

impl Calls {
    /// `patience`: how long a call may go without its reply.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { waiting: HashMap::new(), deadlines: VecDeque::new(), patience, next_id: 0 }
    }

    /// A new call.
    pub(crate) fn make(&mut self, now: Instant, method: &str, key: String, body: Bytes, purpose: Purpose) -> v1::Call {
        self.next_id = self.next_id.wrapping_add(1);
        self.waiting.insert(self.next_id, purpose);
        self.deadlines.push_back((now + self.patience, self.next_id));
        v1::Call { id: self.next_id, method: method.to_owned(), key, body }
    }

    /// Whether such a call waits.
    pub(crate) fn any(&self, which: impl Fn(&Purpose) -> bool) -> bool {
        self.waiting.values().any(which)
    }

    /// What the call with this id was for; it waits no longer.
    pub(crate) fn answered(&mut self, id: u32) -> Option<Purpose> {
        let purpose = self.waiting.remove(&id);
        self.advance();
        purpose
    }

    /// A call whose time is over.
    pub(crate) fn lapsed(&mut self, now: Instant) -> Option<Purpose> {
        let (deadline, id) = self.deadlines.front().copied()?;
        if deadline > now {
            return None;
        }
        self.answered(id)
    }

    /// When the next call lapses.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    /// Forgets some: their replies are passed over.
    pub(crate) fn forget(&mut self, which: impl Fn(&Purpose) -> bool) {
        self.waiting.retain(|_, purpose| !which(purpose));
        self.advance();
    }

    /// The session is over: none will be answered.
    pub(crate) fn abandon(&mut self) -> Vec<Purpose> {
        self.deadlines.clear();
        self.waiting.drain().map(|(_, purpose)| purpose).collect()
    }

    fn advance(&mut self) {
        while self.deadlines.front().is_some_and(|(_, id)| !self.waiting.contains_key(id)) {
            self.deadlines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(calls: &mut Calls, now: Instant) -> u32 {
        calls.make(now, "m", String::new(), Bytes::new(), Purpose::Sync).id
    }

    #[test]
    fn each_is_answered_once_or_lapses() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut calls = Calls::new(10 * second);
        let first = make(&mut calls, now);
        let second_call = make(&mut calls, now + second);
        assert!(calls.answered(first).is_some() && calls.answered(first).is_none());
        assert_eq!(calls.due(), Some(now + 11 * second));
        assert!(calls.lapsed(now + 10 * second).is_none());
        assert!(calls.lapsed(now + 11 * second).is_some());
        assert!(calls.answered(second_call).is_none() && calls.due().is_none());
        make(&mut calls, now);
        calls.forget(|purpose| matches!(purpose, Purpose::Sync));
        assert_eq!(calls.due(), None);
        make(&mut calls, now);
        assert_eq!((calls.abandon().len(), calls.due()), (1, None));
    }
}
