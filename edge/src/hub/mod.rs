//! The sessions of this edge, between their transports and the cores.
//!
//! [`connection`] serves a client, [`dispatch`] takes what the cores send, and [`sweep`] looks at
//! every session's clock. All of them share a [`Hub`].

mod admission;
mod announce;
mod call;
mod call_stream;
mod connection;
mod datagram;
mod delivery;
pub(crate) mod dispatch;
pub(crate) mod drain;
mod marks;
mod output;
pub(crate) mod resync;
mod resync_schedule;
mod session_open;
pub(crate) mod sweep;
mod typing;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use gogochat_proto::{
    ids::{DeviceId, LogId},
    node::{self, edge_item::Item},
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use self::resync_schedule::ResyncSchedule;
use crate::{
    clients::{Peer, Registry},
    config::{EdgeConfig, Limits},
    openings::Openings,
    tickets::Tickets,
    upstream::{Upstreams, interest},
};

/// What all connections share.
pub(crate) struct Hub {
    /// Who is here.
    pub(crate) registry: Registry,
    /// The cores.
    pub(crate) upstreams: Arc<Upstreams>,
    /// When cores are asked for what a lost one may have committed and not sent.
    resync: Mutex<ResyncSchedule>,
    /// A resync is to begin.
    resync_wanted: Notify,
    /// Devices that were signed out a moment ago. A session of theirs that one core is opening may
    /// not be known to the core that says so.
    signed_out: Mutex<HashMap<DeviceId, Instant>>,
    /// Tickets, by which sessions come again.
    tickets: Tickets,
    /// Places of sessions that are being opened.
    openings: Arc<Openings>,
    /// Bounds.
    pub(crate) limits: Limits,
    /// Every task of connections and calls.
    pub(crate) tasks: TaskTracker,
    /// No new sessions are taken.
    draining: AtomicBool,
}

impl Hub {
    /// Without clients and cores.
    pub(crate) fn new(config: &EdgeConfig) -> Arc<Self> {
        Arc::new(Self {
            registry: Registry::default(),
            upstreams: Upstreams::new(config.node.clone(), config.limits.core_queue),
            resync: Mutex::default(),
            resync_wanted: Notify::new(),
            signed_out: Mutex::default(),
            tickets: Tickets::default(),
            openings: Openings::new(&config.limits),
            limits: config.limits,
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
        })
    }

    /// Whether this edge goes away, and takes no new sessions.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// A ticket of a live session; empty where there is none. 0: it does not expire, as its token
    /// does not.
    fn ticket(&self, peer: &Peer, expires_ms: i64) -> Bytes {
        let expires_ms = if expires_ms == 0 { i64::MAX } else { expires_ms };
        let bearer = peer.session.lock().bearer();
        bearer.map_or_else(Bytes::new, |(principal, token)| self.tickets.issue(principal, token, expires_ms))
    }

    /// Subscribes a session to a log, from after `from_seq`.
    fn subscribe(&self, peer: &Arc<Peer>, log: LogId, from_seq: i64) {
        self.registry.subscribe(peer, log, from_seq, |have, first| {
            if first {
                self.upstreams.send_all(&interest(log, have, false));
            } else {
                // The core that is asked may have sent no more than this edge has: another committed
                // the rest.
                self.upstreams.ask(log, have, true);
            }
        });
    }

    /// Ends a session's subscription to a log.
    fn unsubscribe(&self, peer: &Peer, log: LogId) {
        self.registry.unsubscribe(peer, log, |log| self.end_interest(log));
    }

    /// Nobody here is subscribed to a log any more.
    fn end_interest(&self, log: LogId) {
        self.upstreams.send_all(&Item::Uninterest(log.to_bytes()));
    }

    /// Passes on what may be lost to the core where the session is open.
    fn offer(&self, peer: &Peer, item: Item) {
        let stream = peer.session.lock().stream();
        if let Some(stream) = stream {
            self.upstreams.offer(stream, item);
        }
    }

    /// A call was answered or refused: a session that moves to another core may have arrived by that.
    fn settle(&self, peer: &Peer) {
        let left = peer.session.lock().settle();
        self.leave_stream(peer, left);
        peer.arrived.notify_waiters();
    }

    /// A session has moved away from this stream, if any: the core there need not keep it.
    fn leave_stream(&self, peer: &Peer, stream: Option<u64>) {
        if let Some(stream) = stream {
            self.upstreams.send(stream, Item::Close(node::SessionClose { session: peer.id }));
            peer.arrived.notify_waiters();
        }
    }
}
