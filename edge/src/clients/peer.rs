//! One connected client.

use std::{net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use gogochat_proto::{
    ids::LogId,
    method::Method,
    v1::{self, server_frame},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    session::{
        Session,
        calls::{Pending, ReplyTo},
        wire::{self, Format},
    },
    transport::outlet::Outlet,
};

/// A connected client.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The session's number on this edge.
    pub(crate) id: u64,
    /// The client's address.
    pub(crate) address: IpAddr,
    /// "ws", "wss" or "wt".
    pub(crate) kind: &'static str,
    /// Its session: all that may change but what it is subscribed to.
    pub(crate) session: Mutex<Session>,
    /// Its session, which was moving to another core, may have arrived there.
    pub(crate) arrived: Notify,
    /// The way out to it.
    pub(crate) outlet: Arc<Outlet>,
    /// The logs that it is subscribed to, sorted. `None` once it has gone: it may be subscribed to none.
    /// Only the registry changes them.
    pub(super) subscriptions: Mutex<Option<Vec<LogId>>>,
}

impl Peer {
    /// A client that has just connected.
    pub(super) fn new(id: u64, address: IpAddr, kind: &'static str, outlet: Arc<Outlet>, now: Instant) -> Self {
        Self {
            id,
            address,
            kind,
            session: Mutex::new(Session::new(now)),
            arrived: Notify::new(),
            outlet,
            subscriptions: Mutex::new(Some(Vec::new())),
        }
    }

    /// Whether it is subscribed to the log.
    pub(crate) fn is_subscribed(&self, log: LogId) -> bool {
        self.subscriptions.lock().as_ref().is_some_and(|logs| logs.binary_search(&log).is_ok())
    }

    /// The logs that it is subscribed to.
    pub(crate) fn subscriptions(&self) -> Vec<LogId> {
        self.subscriptions.lock().clone().unwrap_or_default()
    }

    /// Passes a reply on to the call that waits for it. One that nobody waits for is dropped.
    pub(crate) fn finish(&self, reply: v1::Reply) {
        let again = reply.error.as_ref().is_some_and(v1::Error::retryable);
        let pending = self.session.lock().finish(reply.id, again, Instant::now());
        if let Some(Pending { method, reply_to, .. }) = pending {
            self.reply(&reply_to, reply, Some(method));
        }
    }

    /// Answers a call that was not sent on, or whose fate is unknown.
    pub(crate) fn refuse(&self, id: u32, error: &v1::Error) {
        let pending = self.session.lock().refuse(id, Instant::now());
        if let Some(Pending { reply_to, .. }) = pending {
            self.reply_error(&reply_to, id, error.clone());
        }
    }

    /// Answers a call that does not wait for a reply.
    pub(crate) fn reply_error(&self, to: &ReplyTo, id: u32, error: v1::Error) {
        self.reply(to, v1::Reply { id, body: Bytes::new(), error: Some(error) }, None);
    }

    fn reply(&self, to: &ReplyTo, reply: v1::Reply, method: Option<&'static Method>) {
        let frame = server_frame::Frame::Reply(reply);
        match to {
            ReplyTo::Session => _ = self.outlet.send(frame, method),
            // There is a place for each call that waits. It fails only when the stream is gone.
            ReplyTo::CallStream(replies) => _ = replies.try_send(wire::encode(Format::Stream, frame, method)),
        }
    }
}
