//! The calls of a session that wait for their reply, and the order of the ordered ones.
//!
//! The order is kept here because a session outlives every stream to its core. A core knows of its
//! own refusals only while the stream lasts, and it knows nothing of calls that were lost with a
//! stream.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gogochat_proto::{close::CloseCode, error::ErrorCode, limits::MAX_CALLS_IN_FLIGHT, method::Method, v1};
use tokio::sync::mpsc;

use super::share::UserShare;

/// Where a call came from and its reply goes.
#[derive(Debug, Clone)]
pub(crate) enum ReplyTo {
    /// The session's own stream.
    Session,
    /// A further stream of the client.
    CallStream(mpsc::Sender<Bytes>),
}

/// A call that waits for its reply.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Its method.
    pub(crate) method: &'static Method,
    /// Where the reply goes.
    pub(crate) reply_to: ReplyTo,
    ordered: Option<Ordered>,
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Ordered {
    /// Counts the session's ordered calls.
    number: u64,
    /// Its key and what tells it from others of that key, when it keeps an order with them.
    named: Option<(u64, u64)>,
}

/// The earliest of a key's calls that were refused and have to come again.
#[derive(Debug, Clone, Copy)]
struct First {
    number: u64,
    body: u64,
    since: Instant,
}

/// A call of the ordered lane that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    /// What the core knows it by.
    pub(crate) number: u64,
    /// It is the refused one that others of its key wait for.
    pub(crate) awaited: bool,
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
    /// The calls of the ordered lane that wait, by what the core knows them by: the client may use its
    /// own id again as soon as a call was refused here, while a core that was thought lost may still
    /// answer it.
    numbers: HashMap<u32, u32>,
    ordered: u64,
    /// Of each key: the earliest call that was refused and has to come again before others of that key
    /// may pass.
    refused: HashMap<u64, First>,
    /// Where the user's calls are counted, once the user is known.
    share: Option<Arc<UserShare>>,
}

impl Calls {
    /// The user is known: the calls that wait are counted among theirs.
    pub(crate) fn set_share(&mut self, share: Arc<UserShare>) {
        share.add_calls(self.pending.len());
        if let Some(before) = self.share.replace(share) {
            before.give_back(self.pending.len());
        }
    }

    /// What the user's sessions share.
    pub(crate) fn share(&self) -> Option<&Arc<UserShare>> {
        self.share.as_ref()
    }

    /// Takes a call in. `None`: it is not of the ordered lane.
    pub(crate) fn begin(
        &mut self,
        call: &v1::Call,
        method: &'static Method,
        reply_to: ReplyTo,
        now: Instant,
    ) -> Result<Option<Begun>, Refused> {
        if self.pending.len() >= MAX_CALLS_IN_FLIGHT {
            return Err(Refused::Close(CloseCode::TooManyCalls));
        }
        let Entry::Vacant(entry) = self.pending.entry(call.id) else {
            return Err(Refused::Close(CloseCode::ProtocolError));
        };
        let mut awaited = false;
        let ordered = if method.ordered {
            let named =
                method.repeatable.then(|| (hash(&[call.key.as_bytes()]), hash(&[call.method.as_bytes(), &call.body])));
            if let Some((key, body)) = named
                && let Some(first) = self.refused.get(&key)
            {
                if first.body == body {
                    awaited = true;
                } else if now.saturating_duration_since(first.since) < GIVEN_UP {
                    return Err(Refused::Error(ErrorCode::OutOfOrder.with("repeat the refused call first")));
                }
                self.refused.remove(&key);
            }
            // What goes over the wire is never 0, which asks for no answer.
            self.ordered += if self.ordered as u32 == u32::MAX { 2 } else { 1 };
            self.numbers.insert(self.ordered as u32, call.id);
            Some(Ordered { number: self.ordered, named })
        } else {
            None
        };
        entry.insert(Pending { method, reply_to, ordered, since: now });
        if self.share.as_ref().is_some_and(|share| !share.take_call()) {
            // A later one of its key must not pass before it.
            self.remove(call.id, true, now);
            return Err(Refused::Error(ErrorCode::RateLimited.with("too many calls of this user are under way")));
        }
        Ok(ordered.map(|ordered| Begun { number: ordered.number, awaited }))
    }

    /// The client's id of the call that the core knows by this number.
    pub(crate) fn id(&self, number: u32) -> Option<u32> {
        self.numbers.get(&number).copied()
    }

    /// Whether the ordered call of this number waits.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.numbers.contains_key(&(number as u32))
    }

    /// Whether an ordered call waits that came before the one of this number.
    pub(crate) fn has_before(&self, number: u64) -> bool {
        let mut ordered = self.numbers.values().filter_map(|id| self.pending.get(id)?.ordered);
        ordered.any(|other| other.number < number)
    }

    /// Whether any ordered call waits.
    pub(crate) fn has_ordered(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// The core has answered. `again`: it has refused the call for now, and later ones of its key wait
    /// until it comes again.
    pub(crate) fn finish(&mut self, id: u32, again: bool, now: Instant) -> Option<Pending> {
        let finished = self.remove(id, again, now)?;
        if let Some(share) = &self.share {
            share.give_back(1);
        }
        Some(finished)
    }

    fn remove(&mut self, id: u32, again: bool, now: Instant) -> Option<Pending> {
        let pending = self.take(id)?;
        if let Some(Ordered { number, named: Some((key, body)) }) = pending.ordered {
            if again {
                self.note(key, First { number, body, since: now });
            } else if self.refused.get(&key).is_some_and(|first| first.body == body) {
                // It was sent again before its first refusal was known, and needs no further repeat.
                self.refused.remove(&key);
            }
        }
        Some(pending)
    }

    /// A call that the core never saw, or may not have seen: later ones of its key wait until it comes again.
    pub(crate) fn refuse(&mut self, id: u32, now: Instant) -> Option<Pending> {
        self.finish(id, true, now)
    }

    fn take(&mut self, id: u32) -> Option<Pending> {
        let pending = self.pending.remove(&id);
        if let Some(ordered) = pending.as_ref().and_then(|pending| pending.ordered) {
            self.numbers.remove(&(ordered.number as u32));
        }
        if self.pending.is_empty() && self.pending.capacity() > KEPT_CAPACITY {
            (self.pending, self.numbers) = (HashMap::new(), HashMap::new());
        }
        pending
    }

    /// The ordered calls without a reply, in order: the stream that carried them broke.
    pub(crate) fn ordered(&self) -> Vec<u32> {
        self.ordered_where(|_| true)
    }

    /// The calls without a reply for `limit`, in order.
    pub(crate) fn overdue(&self, limit: Duration, now: Instant) -> Vec<u32> {
        self.ordered_where(|pending| now.saturating_duration_since(pending.since) >= limit)
    }

    /// Whether the call of this id waits.
    pub(crate) fn waits(&self, id: u32) -> bool {
        self.pending.contains_key(&id)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether so many keys wait for a refused call that the session is better begun anew.
    pub(crate) fn is_tangled(&self) -> bool {
        self.refused.len() > MAX_REFUSED
    }

    fn note(&mut self, key: u64, refused: First) {
        let first = self.refused.entry(key).or_insert(refused);
        if refused.number < first.number {
            *first = refused;
        }
        first.since = refused.since;
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

impl Drop for Calls {
    fn drop(&mut self) {
        if let Some(share) = &self.share {
            share.give_back(self.pending.len());
        }
    }
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

const KEPT_CAPACITY: usize = 16;
const MAX_REFUSED: usize = 256;
/// Clients repeat for 30 s: what has not come again for so long was given up, and holds nobody back.
const GIVEN_UP: Duration = Duration::from_secs(60);
