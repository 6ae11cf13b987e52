//! One edge's attachment: its sessions, what waits for it, and what it lacks from the store.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use gogochat_proto::node::{self, core_item::Item};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{edge_queue::EdgeQueue, replay_queue::ReplayQueue};
use crate::authorize::Caller;

/// An edge, attached.
pub(crate) struct Attachment {
    /// The edge's instance, the same at every core; drawn here for an edge that names none. Never 0,
    /// which stands for this core itself.
    pub(crate) id: u64,
    /// The edge's name, for the log.
    pub(crate) edge: String,
    /// Of this attachment alone: by it presence knows the sessions. A session that has moved to another
    /// core has another key there, so that its end here is not its end.
    pub(crate) key: u64,
    /// It takes marks that moved together as one item.
    pub(crate) aggregates_marks: bool,
    /// What waits for it.
    pub(crate) queue: Arc<EdgeQueue>,
    /// Cancelled when it ends.
    pub(crate) ended: CancellationToken,
    /// Cancelled when nothing of it is left: one of the same edge may begin.
    pub(crate) gone: CancellationToken,
    /// Cancelled when the edge has ended its side of the stream: it asks for nothing any more.
    pub(crate) heard_out: CancellationToken,
    /// What it lacks, or may lack.
    pub(super) replays: ReplayQueue,
    /// It was told that nothing is committed here any more.
    drained: AtomicBool,
    sessions: Mutex<HashMap<u64, Session>>,
}

/// A session of an edge, as the core knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// Being opened.
    Opening,
    /// Open.
    Open {
        /// Whose.
        caller: Caller,
        /// From where.
        address: Option<IpAddr>,
    },
    /// Its device was signed out; the edge is about to close it.
    Revoked {
        /// Whose it was.
        caller: Caller,
    },
}

/// What became of opening a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entered {
    /// It is open.
    Open,
    /// The edge has closed it meanwhile.
    Gone,
    /// It is open for somebody else, or was signed out.
    Refused,
}

impl Attachment {
    pub(crate) fn new(edge: &node::EdgeHello, queue: Arc<EdgeQueue>, ended: CancellationToken) -> Self {
        let drawn = || rand::random::<u64>().max(1);
        Self {
            id: if edge.instance == 0 { drawn() } else { edge.instance },
            edge: edge.node.clone(),
            key: drawn(),
            aggregates_marks: edge.aggregates_marks,
            queue,
            ended,
            gone: CancellationToken::new(),
            heard_out: CancellationToken::new(),
            replays: ReplayQueue::default(),
            drained: AtomicBool::new(false),
            sessions: Mutex::default(),
        }
    }

    /// Queues an item; an attachment whose queue is full ends.
    pub(crate) fn push(&self, item: Item) {
        if self.queue.push(item).is_err() && !self.ended.is_cancelled() {
            self.ended.cancel();
        }
    }

    /// A session is being opened, for the first time or anew with another token: until then it
    /// stays as it was.
    pub(crate) fn begin(&self, session: u64) {
        self.sessions.lock().entry(session).or_insert(Session::Opening);
    }

    /// A session is open, and the edge is told: from here on its commands are taken.
    pub(crate) fn opened(&self, session: u64, caller: Caller, address: Option<IpAddr>, item: Item) -> Entered {
        match self.sessions.lock().get_mut(&session) {
            Some(state @ Session::Opening) => *state = Session::Open { caller, address },
            Some(Session::Open { caller: before, .. }) if *before == caller => {}
            Some(_) => return Entered::Refused,
            None => return Entered::Gone,
        }
        self.push(item);
        Entered::Open
    }

    /// A session is gone.
    pub(crate) fn close(&self, session: u64) -> Option<Session> {
        self.sessions.lock().remove(&session)
    }

    /// A session.
    pub(crate) fn session(&self, session: u64) -> Option<Session> {
        self.sessions.lock().get(&session).copied()
    }

    /// Marks the open sessions of matching callers as revoked.
    pub(crate) fn revoke(&self, matches: impl Fn(Caller) -> bool) {
        for session in self.sessions.lock().values_mut() {
            if let Session::Open { caller, .. } = *session
                && matches(caller)
            {
                *session = Session::Revoked { caller };
            }
        }
    }

    /// Whether no session is open or being opened.
    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.lock().is_empty()
    }

    /// Takes every session, at the end.
    pub(crate) fn take_sessions(&self) -> HashMap<u64, Session> {
        std::mem::take(&mut self.sessions.lock())
    }

    /// Nothing is committed here any more, and all that was is in the queue.
    pub(crate) fn drained(&self) {
        self.drained.store(true, Ordering::SeqCst);
        self.push(Item::Drained(node::Drained {}));
    }

    /// The edge has ended its side: in answer to that, its stream ends in good order, behind all
    /// that it has asked for.
    pub(crate) async fn finish(&self) {
        self.heard_out.cancel();
        if self.drained.load(Ordering::SeqCst) {
            self.replays.settled().await;
            self.queue.finish();
            self.ended.cancelled().await;
        }
    }
}
