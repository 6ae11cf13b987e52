//! What a core sends to edges, as items of the Attach stream.

use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    ids::{DeviceId, UserId},
    node::{self, core_item::Item},
    v1,
};
use gogochat_storage::store::{Event, SubscriptionChange};

use crate::log;

/// An event for an edge's sessions, which perhaps begin or cease to hear a conversation by it.
pub(super) fn fanout(event: &Event, frame: Bytes, change: Option<SubscriptionChange>) -> node::Fanout {
    let (subscribe, unsubscribe) = match change {
        Some(SubscriptionChange::Subscribe { log, from_seq }) => {
            (Some(node::Subscription { log_id: log.to_bytes(), from_seq }), Bytes::new())
        }
        Some(SubscriptionChange::Unsubscribe { log }) => (None, log.to_bytes()),
        None => (None, Bytes::new()),
    };
    let mut gone = log::departed(event).into_iter().map(UserId::to_bytes);
    let (departed, also_departed) = (gone.next().unwrap_or_default(), gone.collect());
    node::Fanout {
        log_id: event.log.to_bytes(),
        seq: event.seq,
        frame,
        subscribe,
        unsubscribe,
        departed,
        also_departed,
    }
}

/// A device was signed out: edges close its sessions.
pub(crate) fn revoked(user: UserId, device: DeviceId) -> node::Revoke {
    node::Revoke {
        user_id: user.to_bytes(),
        device_id: device.to_bytes(),
        except_device_id: Bytes::new(),
        close_code: u32::from(CloseCode::SignedOut.code()),
        reason: CloseCode::SignedOut.reason().to_owned(),
    }
}

/// The answer to a session's command.
pub(crate) fn result(session: u64, call_id: u32, answer: Result<Bytes, v1::Error>) -> Item {
    let (body, error) = match answer {
        Ok(body) => (body, None),
        Err(error) => (Bytes::new(), Some(error)),
    };
    Item::Result(node::Result { session, call_id, body, error })
}
