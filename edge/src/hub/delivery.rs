//! Delivery of events and ephemerals to the sessions that are subscribed to their logs.

use std::{collections::HashSet, sync::Arc, time::Instant};

use gogochat_proto::{
    ids::{LogId, UserId},
    node,
};
use tokio::sync::mpsc;

use super::{Hub, marks, typing::TypingLimit};
use crate::{
    clients::{Delivery, Peer},
    metrics as names,
    session::{
        queue::{Class, Pushed},
        wire::SharedFrame,
    },
};

/// What waits to be delivered. When it is full, the core's stream waits, and the core's queue for this
/// edge fills.
pub(super) struct DeliveryQueue(mpsc::Sender<Down>);

/// What is delivered to many.
#[derive(Debug)]
enum Down {
    /// From the core of this number.
    Event(node::Fanout, u32),
    Ephemeral(node::EphemeralDown),
    Marks(node::MarksDown),
}

/// Starts the task that delivers. It ends when the queue is dropped.
pub(super) fn start(hub: &Arc<Hub>) -> DeliveryQueue {
    let (sender, waiting) = mpsc::channel(WAITING);
    hub.tasks.spawn(deliver(hub.clone(), waiting));
    DeliveryQueue(sender)
}

impl DeliveryQueue {
    /// Adds an event from the core of this number.
    pub(super) async fn event(&self, event: node::Fanout, core: u32) {
        // Fails only when the task has ended.
        let _ = self.0.send(Down::Event(event, core)).await;
    }

    /// Adds an ephemeral.
    pub(super) async fn ephemeral(&self, ephemeral: node::EphemeralDown) {
        let _ = self.0.send(Down::Ephemeral(ephemeral)).await;
    }

    /// Adds marks.
    pub(super) async fn marks(&self, marks: node::MarksDown) {
        let _ = self.0.send(Down::Marks(marks)).await;
    }
}

async fn deliver(hub: Arc<Hub>, mut waiting: mpsc::Receiver<Down>) {
    let (mut to, mut typing) = (Vec::new(), TypingLimit::default());
    while let Some(down) = waiting.recv().await {
        match down {
            Down::Event(event, core) => deliver_event(&hub, &event, core, &mut to).await,
            Down::Ephemeral(ephemeral) => deliver_ephemeral(&hub, &ephemeral, &mut typing, &mut to).await,
            Down::Marks(moved) => marks::deliver(&hub, &moved, &mut to).await,
        }
        if to.capacity() > KEPT_CAPACITY {
            to = Vec::new();
        }
    }
}

async fn deliver_event(hub: &Hub, event: &node::Fanout, core: u32, to: &mut Vec<Arc<Peer>>) {
    let Some(log) = LogId::from_slice(&event.log_id) else { return };
    match hub.registry.deliver(log, event.seq, core, Instant::now(), to) {
        Delivery::Deliver => {}
        Delivery::Behind(have) => hub.upstreams.ask_of(core, log, have),
        Delivery::Ignore | Delivery::Wait => return,
        Delivery::Gap(have) => {
            metrics::counter!(names::GAPS).increment(1);
            return hub.upstreams.ask_of(core, log, have);
        }
    }
    // A log's id is its user's where it subscribes and unsubscribes.
    let user = UserId::from(log.uuid());
    if let Some(gone) = LogId::from_slice(&event.unsubscribe) {
        for peer in hub.registry.user(user) {
            hub.unsubscribe(&peer, gone);
        }
    }
    let frame = SharedFrame::new(&event.frame);
    let class = Class::Event { log, seq: event.seq };
    let (mut dropped, mut resyncs) = (0, 0);
    metrics::counter!(names::DELIVERED).increment(to.len() as u64);
    metrics::counter!(names::DELIVERED_BYTES).increment((to.len() * event.frame.len()) as u64);
    let departed: HashSet<UserId> =
        [&event.departed].into_iter().chain(&event.also_departed).filter_map(|id| UserId::from_slice(id)).collect();
    for (index, peer) in to.drain(..).enumerate() {
        let pushed = peer.outlet.send_shared(&frame, class);
        // A user who came back, and is subscribed from a later event on, is not among them.
        if !departed.is_empty()
            && peer.session.lock().principal().is_some_and(|principal| departed.contains(&principal.user))
        {
            hub.unsubscribe(&peer, log);
        }
        match pushed {
            Pushed::Dropped { resync } => {
                dropped += 1;
                resyncs += u64::from(resync);
            }
            Pushed::Queued | Pushed::Replaced | Pushed::Overflow => {}
        }
        // A large group must not keep a thread from its other work.
        if index % 128 == 127 {
            tokio::task::yield_now().await;
        }
    }
    if dropped > 0 {
        metrics::counter!(names::DROPPED, "kind" => "event").increment(dropped);
        metrics::counter!(names::RESYNCS).increment(resyncs);
    }
    if let Some(subscription) = &event.subscribe
        && let Some(new) = LogId::from_slice(&subscription.log_id)
    {
        for peer in hub.registry.user(user) {
            hub.subscribe(&peer, new, subscription.from_seq);
        }
    }
}

async fn deliver_ephemeral(
    hub: &Hub,
    ephemeral: &node::EphemeralDown,
    typing: &mut TypingLimit,
    to: &mut Vec<Arc<Peer>>,
) {
    let Some(log) = LogId::from_slice(&ephemeral.log_id) else { return };
    hub.registry.subscribers(log, to);
    let subject = UserId::from_slice(&ephemeral.subject);
    if ephemeral.kind() == node::EphemeralKind::Typing
        && !subject.is_some_and(|user| typing.passes(log, user, &ephemeral.frame, to.len(), Instant::now()))
    {
        metrics::counter!(names::DROPPED, "kind" => "typing").increment(1);
        return to.clear();
    }
    let frame = SharedFrame::new(&ephemeral.frame);
    let keep = matches!(ephemeral.kind(), node::EphemeralKind::Watermark | node::EphemeralKind::Person);
    let class = Class::Ephemeral {
        log,
        subject: subject.map(|user| *user.as_bytes()).unwrap_or_default(),
        kind: ephemeral.kind,
        keep,
    };
    let mut dropped = 0;
    for (index, peer) in to.drain(..).enumerate() {
        let is_subject = || peer.session.lock().principal().is_some_and(|principal| Some(principal.user) == subject);
        if ephemeral.skip_subject && is_subject() {
            continue;
        }
        let pushed =
            if keep { peer.outlet.send_shared(&frame, class) } else { peer.outlet.send_ephemeral(&frame, class) };
        dropped += u64::from(matches!(pushed, Pushed::Dropped { .. }));
        if index % 128 == 127 {
            tokio::task::yield_now().await;
        }
    }
    if dropped > 0 {
        metrics::counter!(names::DROPPED, "kind" => "ephemeral").increment(dropped);
    }
}

/// Fan-out that waits to be delivered.
const WAITING: usize = 4_096;
const KEPT_CAPACITY: usize = 4_096;
