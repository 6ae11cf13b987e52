//! Sends clients to other edges.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use gogochat_proto::{
    close::CloseCode,
    v1::{self, server_frame},
};
use tokio::time::Instant;

use super::Hub;
use crate::{clients::Peer, clock::now_ms};

/// Takes no new sessions, tells every client to go elsewhere, lets calls under way finish, and closes
/// what is left at the deadline.
pub(crate) async fn drain(hub: &Hub, deadline: Duration, targets: &[String]) {
    hub.draining.store(true, Ordering::Relaxed);
    let end = Instant::now() + deadline;
    // Each of these may end early, by its own time.
    let _ = tokio::time::timeout_at(end, everybody_left(hub, end, targets)).await;
    let _ = tokio::time::timeout(DRAIN_CALLS, calls_finished(hub)).await;
    for peer in hub.registry.all() {
        peer.outlet.close(CloseCode::Draining);
    }
}

/// Tells every client who is here now to go to one of `targets` within `within`.
pub(crate) fn send_all_away(hub: &Hub, within: Duration, targets: &[String]) {
    let mut turn = targets.iter().cycle();
    for peer in hub.registry.all() {
        send_away(hub, &peer, within, || turn.next().cloned().unwrap_or_default());
    }
}

async fn everybody_left(hub: &Hub, end: Instant, targets: &[String]) {
    let mut turn = targets.iter().cycle();
    let mut send = |peer: &Arc<Peer>| {
        let left = end.saturating_duration_since(Instant::now());
        send_away(hub, peer, left, || turn.next().cloned().unwrap_or_default())
    };
    // Those that a core is just opening are told once they are welcome: nothing comes before that.
    let mut waiting = hub.registry.all();
    while hub.registry.len() > 0 {
        waiting.retain(|peer| !send(peer));
        tokio::time::sleep(DRAIN_STEP).await;
    }
}

async fn calls_finished(hub: &Hub) {
    while hub.registry.all().iter().any(|peer| peer.session.lock().calls_in_flight() > 0) {
        tokio::time::sleep(DRAIN_STEP).await;
    }
}

/// Tells a client to go elsewhere within `left`. `false`: it is being opened, and nothing comes before
/// Welcome.
fn send_away(hub: &Hub, peer: &Peer, left: Duration, target: impl FnOnce() -> String) -> bool {
    let welcomed = peer.session.lock().is_welcomed();
    if welcomed {
        let left = left.as_millis().next_multiple_of(DRAIN_STEP.as_millis());
        let left = i32::try_from(left).unwrap_or(i32::MAX);
        let ticket = hub.ticket(peer, now_ms() + i64::from(left) + TICKET_LIFE_MS);
        let notice = v1::Drain { deadline_ms: left, target: target(), ticket };
        peer.outlet.send(server_frame::Frame::Drain(notice), None);
    }
    welcomed
}

/// Beyond the deadline: for a client that another edge lets wait.
const TICKET_LIFE_MS: i64 = 30_000;
const DRAIN_STEP: Duration = Duration::from_millis(20);
/// Past the deadline: for calls under way.
const DRAIN_CALLS: Duration = Duration::from_millis(400);
