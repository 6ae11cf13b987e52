//! What the core says, and whom it concerns here.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use gogochat_proto::{
    close::CloseCode,
    error::ErrorCode,
    ids::{DeviceId, LogId, UserId},
    limits::HEARTBEAT,
    node::{self, core_item, edge_item::Item},
    v1::{self, server_frame},
};
use tokio::sync::mpsc;

use crate::{
    announcement::Announcement,
    clock::{instant_of, now_ms},
    connection::{Hub, finish, open, refuse},
    metrics as names,
    principal::Principal,
    registry::{Delivery, Peer},
    session::{
        Asked,
        queue::{Class, Pushed},
        wire::Shared,
    },
    tickets::TokenHash,
    upstream::{CoreStream, Downstream, Home, Reach, interest},
};

/// Takes what the core says. Fan-out goes through a queue of its own, so that no reply waits behind a large group.
pub(crate) struct Dispatch {
    hub: Arc<Hub>,
    fanout: mpsc::Sender<Down>,
}

/// What is delivered to many.
#[derive(Debug)]
enum Down {
    /// From the core of this way.
    Event(node::Fanout, u32),
    Ephemeral(node::EphemeralDown),
}

impl Dispatch {
    /// Starts the task that delivers. It ends when the dispatch is dropped.
    pub(crate) fn start(hub: Arc<Hub>) -> Arc<Self> {
        let (fanout, waiting) = mpsc::channel(WAITING);
        hub.tasks.spawn(deliver(hub.clone(), waiting));
        Arc::new(Self { hub, fanout })
    }

    fn opened(&self, opened: &node::SessionOpened, core: &CoreStream, stream: u64) {
        let here = |peer: &Arc<Peer>| peer.home.lock().as_ref().is_some_and(|home| home.core().id == core.id);
        let peer = self.hub.registry.peer(opened.session);
        let Some(peer) = peer.as_ref().filter(|peer| here(peer)) else {
            // It left, or found another home, while this core was being asked. One that has not left yet says so when it does.
            if peer.is_none_or(|peer| !peer.session.lock().is_open_on(|stream| core.has(stream))) {
                core.tell(Item::Close(node::SessionClose { session: opened.session }));
            }
            return;
        };
        let Some(principal) = opened.principal.as_ref().and_then(Principal::from_node) else {
            tracing::error!(session = opened.session, "the core opened a session for nobody");
            return peer.outlet.close(CloseCode::Unavailable);
        };
        if self.hub.signed_out.lock().contains_key(&principal.device) {
            return peer.outlet.close(CloseCode::SignedOut);
        }
        // It asked, or the stream to the core was opened anew, of which it needs to know nothing.
        let checked = TokenHash::from_slice(&opened.token_hash);
        let answers = peer.session.lock().opened(principal, instant_of(opened.expires_ms), stream, checked);
        let Some((asked, passed)) = answers else { return peer.outlet.close(CloseCode::TokenInvalid) };
        self.hub.left(peer, passed);
        if !self.hub.registry.identify(peer, principal, self.hub.limits.sessions_per_user) {
            return peer.outlet.close(CloseCode::RateLimited);
        }
        if asked {
            metrics::counter!(names::OPENED, "transport" => peer.kind).increment(1);
            let welcome = v1::Welcome {
                session_id: peer.id.to_string(),
                user_id: principal.user.to_string(),
                device_id: principal.device.to_string(),
                own_seq: opened.own_seq,
                heartbeat_ms: HEARTBEAT.as_millis() as i32,
                time_ms: now_ms(),
                ticket: self.hub.ticket(peer, opened.expires_ms),
                ticket_use: peer.session.lock().ticket_use().into(),
            };
            *peer.opening.lock() = None;
            peer.outlet.send(server_frame::Frame::Welcome(welcome), None);
            peer.welcomed.store(true, Ordering::Relaxed);
        }
        self.reconcile(peer, principal, opened);
        self.hub.settle(peer);
        peer.outlet.wake();
    }

    /// Subscribes the session to its user's logs, and to no others.
    fn reconcile(&self, peer: &Arc<Peer>, principal: Principal, opened: &node::SessionOpened) {
        let mut wanted: Vec<(LogId, i64)> = vec![(principal.user.into(), opened.own_seq)];
        wanted.extend(
            opened
                .subscriptions
                .iter()
                .filter_map(|subscription| Some((LogId::from_slice(&subscription.log_id)?, subscription.from_seq))),
        );
        wanted.sort_unstable();
        // Another core may have told of a later change already: then it is this view that is behind, and what follows in the user's own log mends it.
        let is_latest = self.hub.registry.have(principal.user.into()).is_none_or(|have| have <= opened.own_seq);
        for log in peer.logs().into_iter().filter(|_| is_latest) {
            if wanted.binary_search_by_key(&log, |(log, _)| *log).is_err() {
                unsubscribe(&self.hub, peer, log);
            }
        }
        for (log, from_seq) in wanted {
            subscribe(&self.hub, peer, log, from_seq);
        }
    }

    fn refused(&self, refused: &node::SessionRefused, core: &Arc<CoreStream>) {
        if let Some(peer) = self.hub.registry.peer(refused.session)
            && peer.home.lock().as_ref().is_some_and(|home| home.core().id == core.id)
        {
            if core.is_leaving() && self.rehome(&peer, core, false) {
                return;
            }
            if refused.error.as_ref().is_some_and(v1::Error::retryable) && may_ask_again(&peer, core) {
                peer.ask_again.store(true, Ordering::Relaxed);
                return;
            }
            let code = refused.error.as_ref().and_then(|error| ErrorCode::from_name(&error.code));
            peer.outlet.close(match code {
                Some(ErrorCode::TokenExpired) => CloseCode::TokenExpired,
                Some(ErrorCode::RateLimited) => CloseCode::RateLimited,
                Some(ErrorCode::TokenInvalid | ErrorCode::Unauthenticated | ErrorCode::PermissionDenied) => {
                    CloseCode::TokenInvalid
                }
                _ => CloseCode::Unavailable,
            });
        }
    }

    /// Opens a session of this core's at another one. `false`: there is none, and where this core is lost the session has no home for now.
    fn rehome(&self, peer: &Arc<Peer>, from: &Arc<CoreStream>, lost: bool) -> bool {
        let mut home = peer.home.lock();
        if home.as_ref().is_none_or(|home| home.core().id != from.id) {
            return true;
        }
        // Told while the home is held: a core that is lost after that finds the session to be one of its own.
        while let Some(core) = self.hub.upstreams.pick().filter(|core| core.id != from.id) {
            if opens(peer).into_iter().all(|item| core.tell(item)) {
                *home = Some(Home::at(&core));
                return true;
            }
        }
        if lost {
            *home = None;
        }
        false
    }

    fn revoke(&self, revoke: &node::Revoke) {
        let Some(user) = UserId::from_slice(&revoke.user_id) else { return };
        let device = DeviceId::from_slice(&revoke.device_id);
        let spared = DeviceId::from_slice(&revoke.except_device_id);
        let code = u16::try_from(revoke.close_code).ok().and_then(CloseCode::from_code).unwrap_or(CloseCode::SignedOut);
        if let Some(device) = device {
            self.hub.signed_out.lock().insert(device, Instant::now());
        }
        for peer in self.hub.registry.user(user) {
            let Some(principal) = peer.session.lock().principal() else { continue };
            let hit = match device {
                Some(device) => principal.device == device,
                None => Some(principal.device) != spared,
            };
            if hit {
                peer.outlet.close(code);
            }
        }
    }
}

impl Downstream for Dispatch {
    type Announcement = Announcement;

    fn attached(&self, core: &Arc<CoreStream>) -> Announcement {
        Announcement::begin(self.hub.clone(), core.clone())
    }

    async fn item(&self, item: core_item::Item, core: &Arc<CoreStream>, stream: u64) {
        match item {
            core_item::Item::Opened(opened) => self.opened(&opened, core, stream),
            core_item::Item::Refused(refused) => self.refused(&refused, core),
            core_item::Item::Result(node::Result { session, call_id, body, error }) => {
                if let Some(peer) = self.hub.registry.peer(session) {
                    let id = peer.session.lock().ordered_id(call_id);
                    if let Some(id) = id {
                        finish(&peer, v1::Reply { id, body, error });
                        self.hub.settle(&peer);
                    }
                }
            }
            // When the queue is full, the stream waits, and the core's queue for this edge fills.
            core_item::Item::Fanout(event) => _ = self.fanout.send(Down::Event(event, core.id)).await,
            core_item::Item::Ephemeral(ephemeral) => _ = self.fanout.send(Down::Ephemeral(ephemeral)).await,
            core_item::Item::Revoke(revoke) => self.revoke(&revoke),
            core_item::Item::TicketKey(key) => self.hub.tickets.learn(&key.id, &key.key, Instant::now()),
            core_item::Item::DrainMs(ms) => tracing::info!(core = core.core.name, ms, "a core is going away"),
            core_item::Item::Drained(_) => tracing::info!(core = core.core.name, "a core has told everything"),
        }
    }

    fn detached(&self, core: &Arc<CoreStream>, stream: u64, in_order: bool) {
        let error = ErrorCode::Unavailable.with("the core was lost; whether the call took effect is not known");
        for peer in self.hub.registry.all() {
            let calls = peer.session.lock().lost(stream);
            for id in calls {
                refuse(&peer, id, &error);
            }
            self.hub.settle(&peer);
            self.rehome(&peer, core, true);
        }
        if in_order {
            tracing::info!(core = core.core.name, "a core has ended in good order");
        } else if self.hub.draining.load(Ordering::Relaxed) {
            tracing::info!(core = core.core.name, "detached from a core: this edge goes away");
        } else {
            tracing::warn!(
                core = core.core.name,
                "a core was lost: what it may have committed and not told is looked for"
            );
            self.hub.core_lost(Instant::now());
        }
    }

    fn leaving(&self, core: &Arc<CoreStream>) {
        for peer in self.hub.registry.all() {
            self.rehome(&peer, core, false);
        }
    }
}

impl Hub {
    /// A core was lost that may have committed what it did not tell: another looks into the store, now and when whatever the lost one had begun has ended.
    fn core_lost(&self, now: Instant) {
        let look = self.looks.lock().lost(now);
        if look {
            self.look_for_all();
        }
    }

    /// Has it looked for again when it is time, and as long as a core cannot be reached. To be called now and then.
    pub(crate) fn look_for_untold(&self, reach: &Reach, now: Instant) {
        let due = {
            let mut looks = self.looks.lock();
            let due = looks.is_due(now);
            reach.away.iter().any(|core| looks.missed(core.away, core.lives, now)) || due
        };
        if due {
            self.look_for_all();
        }
    }

    /// Asks once more for a live session that its core refused for the moment. To be called now and then.
    pub(crate) fn ask_again(&self, peer: &Peer) {
        if peer.ask_again.swap(false, Ordering::Relaxed) {
            let home = peer.home.lock();
            if let Some(home) = home.as_ref() {
                // Where it is told nothing any more, it is lost, and the session finds another home.
                let _ = opens(peer).into_iter().all(|item| home.core().tell(item));
            }
        }
    }

    fn look_for_all(&self) {
        self.look.notify_one();
    }
}

/// What a core is asked that a session is to be open at.
pub(crate) fn opens(peer: &Peer) -> Vec<Item> {
    let session = peer.session.lock();
    let known = session.principal().map(Asked::Live);
    known.into_iter().chain(session.asks()).map(|asked| open(peer, asked)).collect()
}

/// Whether a live session that a core refuses for the moment need not end by that: a crowd of them comes to it when another core is lost. One that is open there
/// ends: the core has closed it, and would refuse its calls for good.
fn may_ask_again(peer: &Peer, core: &CoreStream) -> bool {
    let session = peer.session.lock();
    session.is_live() && !session.is_open_on(|stream| core.has(stream))
}

async fn deliver(hub: Arc<Hub>, mut waiting: mpsc::Receiver<Down>) {
    let mut to = Vec::new();
    while let Some(down) = waiting.recv().await {
        match down {
            Down::Event(event, core) => deliver_event(&hub, &event, core, &mut to).await,
            Down::Ephemeral(ephemeral) => deliver_ephemeral(&hub, &ephemeral, &mut to).await,
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
            unsubscribe(hub, &peer, gone);
        }
    }
    let frame = Shared::new(&event.frame);
    let class = Class::Event { log, seq: event.seq };
    let (mut dropped, mut resyncs) = (0, 0);
    metrics::counter!(names::DELIVERED).increment(to.len() as u64);
    metrics::counter!(names::DELIVERED_BYTES).increment((to.len() * event.frame.len()) as u64);
    let departed = UserId::from_slice(&event.departed);
    for (index, peer) in to.drain(..).enumerate() {
        let pushed = peer.outlet.send_shared(&frame, class);
        // One that came back, and hears the log from a later event on, is not among them.
        if departed.is_some() && peer.session.lock().principal().map(|principal| principal.user) == departed {
            unsubscribe(hub, &peer, log);
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
            subscribe(hub, &peer, new, subscription.from_seq);
        }
    }
}

async fn deliver_ephemeral(hub: &Hub, ephemeral: &node::EphemeralDown, to: &mut Vec<Arc<Peer>>) {
    let Some(log) = LogId::from_slice(&ephemeral.log_id) else { return };
    hub.registry.followers(log, to);
    let frame = Shared::new(&ephemeral.frame);
    let subject = UserId::from_slice(&ephemeral.subject);
    let keep = ephemeral.kind() == node::EphemeralKind::Watermark;
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

fn subscribe(hub: &Hub, peer: &Arc<Peer>, log: LogId, from_seq: i64) {
    hub.registry.subscribe(peer, log, from_seq, |have, first| {
        if first {
            hub.upstreams.tell_all(&interest(log, have, false));
        } else {
            // The core that is asked may have sent no more than this one has: another committed the rest.
            hub.upstreams.ask(log, have, true);
        }
    });
}

fn unsubscribe(hub: &Hub, peer: &Peer, log: LogId) {
    hub.registry.unsubscribe(peer, log, |log| hub.upstreams.tell_all(&Item::Uninterest(log.to_bytes())));
}

/// Fan-out that waits to be delivered.
const WAITING: usize = 4_096;
const KEPT_CAPACITY: usize = 4_096;
