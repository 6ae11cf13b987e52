//! Takes what the cores send, and passes it to the sessions that it concerns.

use std::{sync::Arc, time::Instant};

use gogochat_proto::{
    close::CloseCode,
    error::ErrorCode,
    ids::{DeviceId, UserId},
    node::{self, core_item},
    v1,
};

use super::{
    Hub,
    announce::Announcement,
    delivery::{self, DeliveryQueue},
    resync,
    session_open::{self, Leaving},
};
use crate::upstream::{CoreStream, Downstream, StreamEnd};

/// Takes what the cores send. Fan-out goes through a queue of its own, so that no reply waits behind a
/// large group.
pub(crate) struct Dispatch {
    hub: Arc<Hub>,
    delivery: DeliveryQueue,
}

impl Dispatch {
    /// Starts the task that delivers. It ends when the dispatch is dropped.
    pub(crate) fn start(hub: Arc<Hub>) -> Arc<Self> {
        let delivery = delivery::start(&hub);
        Arc::new(Self { hub, delivery })
    }

    fn result(&self, node::Result { session, call_id, body, error }: node::Result) {
        if let Some(peer) = self.hub.registry.peer(session) {
            let id = peer.session.lock().ordered_id(call_id);
            if let Some(id) = id {
                peer.finish(v1::Reply { id, body, error });
                self.hub.settle(&peer);
            }
        }
    }

    /// A user, or one device of theirs, was signed out.
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
        let hub = &self.hub;
        match item {
            core_item::Item::Opened(opened) => session_open::opened(hub, &opened, core, stream),
            core_item::Item::Refused(refused) => session_open::refused(hub, &refused, core),
            core_item::Item::Result(result) => self.result(result),
            core_item::Item::Fanout(event) => self.delivery.event(event, core.id).await,
            core_item::Item::Ephemeral(ephemeral) => self.delivery.ephemeral(ephemeral).await,
            core_item::Item::Marks(marks) => self.delivery.marks(marks).await,
            core_item::Item::Revoke(revoke) => self.revoke(&revoke),
            core_item::Item::TicketKey(key) => hub.tickets.learn(&key.id, &key.key, Instant::now()),
            core_item::Item::DrainMs(ms) => tracing::info!(core = core.node.name, ms, "a core is going away"),
            core_item::Item::Drained(_) => tracing::info!(core = core.node.name, "a core has told everything"),
        }
    }

    fn detached(&self, core: &Arc<CoreStream>, stream: u64, end: StreamEnd) {
        let error = ErrorCode::Unavailable.with("the core was lost; whether the call took effect is not known");
        for peer in self.hub.registry.all() {
            let calls = peer.session.lock().lost(stream);
            for id in calls {
                peer.refuse(id, &error);
            }
            self.hub.settle(&peer);
            session_open::rehome(&self.hub, &peer, core, Leaving::Lost);
        }
        if end == StreamEnd::InOrder {
            tracing::info!(core = core.node.name, "a core has ended in good order");
        } else if self.hub.is_draining() {
            tracing::info!(core = core.node.name, "detached from a core: this edge goes away");
        } else {
            tracing::warn!(
                core = core.node.name,
                "a core was lost: what it may have committed and not told is looked for"
            );
            resync::core_lost(&self.hub, Instant::now());
        }
    }

    fn leaving(&self, core: &Arc<CoreStream>) {
        for peer in self.hub.registry.all() {
            session_open::rehome(&self.hub, &peer, core, Leaving::GoingAway);
        }
    }
}
