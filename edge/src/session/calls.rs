//! The calls of a session that wait for their reply, and the order of those in the ordered lane.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, Instant},
};

use bytes::Bytes;
use gogochat_proto::{close::CloseCode, error::ErrorCode, limits::MAX_CALLS_IN_FLIGHT, method::Method, v1};
use tokio::sync::mpsc;

/// Where a call came from, and its reply goes.
#[derive(Debug, Clone)]
pub(crate) enum Lane {
    /// The session's own stream.
    Main,
    /// A further stream of the client.
    Stream(mpsc::Sender<Bytes>),
}

/// A call that waits for its reply.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Its method.
    pub(crate) method: &'static Method,
    /// Where the reply goes.
    pub(crate) lane: Lane,
    ordered: Option<Ordered>,
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Ordered {
    /// Counts the session's ordered calls.
    number: u64,
    key: u64,
    body: u64,
}

/// Why a call may not pass.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The session has to end.
    Close(CloseCode),
    /// The call is answered with this error.
    Error(v1::Error),
}

/// The calls of one session.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pending: HashMap<u32, Pending>,
    ordered: u64,
    /// Of each key: the earliest call that was refused and has to come again before others of that key may pass.
    refused: HashMap<u64, u64>,
}

impl Calls {
    /// Takes a call in.
    pub(crate) fn begin(
        &mut self,
        call: &v1::Call,
        method: &'static Method,
        lane: Lane,
        now: Instant,
    ) -> Result<(), Refused> {
        if self.pending.len() >= MAX_CALLS_IN_FLIGHT {
            return Err(Refused::Close(CloseCode::TooManyCalls));
        }
        let Entry::Vacant(entry) = self.pending.entry(call.id) else {
            return Err(Refused::Close(CloseCode::ProtocolError));
        };
        let ordered = if method.ordered {
            let (key, body) = (hash(&[call.key.as_bytes()]), hash(&[call.method.as_bytes(), &call.body]));
            match self.refused.get(&key) {
                Some(first) if *first != body => {
                    return Err(Refused::Error(ErrorCode::OutOfOrder.with("repeat the refused call first")));
                }
                Some(_) => {
                    self.refused.remove(&key);
                }
                None => {}
            }
            self.ordered += 1;
            Some(Ordered { number: self.ordered, key, body })
        } else {
            None
        };
        entry.insert(Pending { method, lane, ordered, since: now });
        Ok(())
    }

    /// A reply has come.
    pub(crate) fn finish(&mut self, id: u32) -> Option<Pending> {
        let pending = self.pending.remove(&id);
        if self.pending.is_empty() && self.pending.capacity() > KEPT_CAPACITY {
            self.pending = HashMap::new();
        }
        pending
    }

    /// A call that the core never saw, or may not have seen: later ones of its key wait until it comes again.
    pub(crate) fn refuse(&mut self, id: u32) -> Option<Pending> {
        let pending = self.finish(id)?;
        if let Some(ordered) = pending.ordered {
            self.refused.entry(ordered.key).or_insert(ordered.body);
        }
        Some(pending)
    }

    /// The ordered calls without a reply, in order: the stream that carried them broke.
    pub(crate) fn ordered(&self) -> Vec<u32> {
        self.ordered_where(|_| true)
    }

    /// The calls without a reply for `limit`, in order.
    pub(crate) fn overdue(&self, limit: Duration, now: Instant) -> Vec<u32> {
        self.ordered_where(|pending| now.saturating_duration_since(pending.since) >= limit)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether so many keys wait for a refused call that the session is better begun anew.
    pub(crate) fn is_tangled(&self) -> bool {
        self.refused.len() > MAX_REFUSED
    }

    fn ordered_where(&self, wanted: impl Fn(&Pending) -> bool) -> Vec<u32> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<_> = self
            .pending
            .iter()
            .filter(|(_, pending)| wanted(pending))
            .filter_map(|(id, pending)| pending.ordered.map(|ordered| (ordered.number, *id)))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

const KEPT_CAPACITY: usize = 16;
const MAX_REFUSED: usize = 256;
