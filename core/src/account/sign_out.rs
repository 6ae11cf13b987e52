//! Tells edges at once that a device was signed out: the edges attached to this core, and by way of
//! the bus those attached to another. If a message is lost on the way, `follow` finds the sign-out
//! in the store.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use gogochat_proto::{
    ids::{CommandId, DeviceId, UserId},
    node,
    partition::partition,
};
use gogochat_storage::bus::{Bus, BusCommand, ReplyTo};
use parking_lot::Mutex;
use prost::Message as _;

use crate::{
    auth::Auth,
    clock::now_ms,
    fanout::{Fanout, revoked},
};

/// Has edges close the sessions of devices that were signed out.
pub(crate) struct SignOuts {
    auth: Arc<Auth>,
    fanout: Arc<Fanout>,
    notify_by: NotifyBy,
    unsent: Mutex<VecDeque<node::Revoke>>,
}

/// How edges are notified, beside those that are attached here.
pub(crate) enum NotifyBy {
    /// All are attached here.
    Attachments,
    /// By the bus: whoever consumes the user's partition tells those that are attached there.
    Bus {
        /// What it has taken may still be lost.
        bus: Arc<dyn Bus>,
        /// Whether edges are attached here too. Otherwise they hear of it with an answer as well.
        attached: bool,
    },
    /// None is attached here, and the bus leads nowhere: with the answer of a call, which comes by
    /// way of an edge.
    Answers,
}

impl SignOuts {
    pub(crate) fn new(auth: Arc<Auth>, fanout: Arc<Fanout>, notify_by: NotifyBy) -> Self {
        Self { auth, fanout, notify_by, unsent: Mutex::default() }
    }

    /// A device was signed out.
    pub(crate) async fn sign_out(&self, user: UserId, device: DeviceId) {
        self.heard(user, device);
        let unsent = match &self.notify_by {
            NotifyBy::Attachments => false,
            NotifyBy::Answers => true,
            NotifyBy::Bus { bus, attached } => {
                let told = bus.publish(command(user, device)).await;
                let lost =
                    told.inspect_err(|error| tracing::warn!(%error, "a sign-out does not go by the bus")).is_err();
                lost || !attached
            }
        };
        if unsent {
            let mut unsent = self.unsent.lock();
            if unsent.len() >= MAX_UNSENT {
                unsent.pop_front();
            }
            unsent.push_back(revoked(user, device));
        }
    }

    /// A device was signed out, by this core or another.
    pub(crate) fn heard(&self, user: UserId, device: DeviceId) {
        self.auth.note_revoked(user, device);
        self.fanout.revoke(user, device);
    }

    /// A device was signed out, as the store has noted. Mostly that is known already.
    pub(super) fn found(&self, user: UserId, device: DeviceId) {
        if !self.auth.knows_revoked(device) {
            self.heard(user, device);
        }
    }

    /// As told by another node.
    pub(crate) fn heard_of(&self, revoke: &node::Revoke) {
        if let (Some(user), Some(device)) =
            (UserId::from_slice(&revoke.user_id), DeviceId::from_slice(&revoke.device_id))
        {
            self.heard(user, device);
        }
    }

    /// What has to be passed on by the edge that an answer goes to.
    pub(crate) fn take_unsent(&self) -> Vec<node::Revoke> {
        self.unsent.lock().drain(..).collect()
    }
}

fn command(user: UserId, device: DeviceId) -> BusCommand {
    BusCommand {
        id: CommandId::new_v7(),
        published_ms: now_ms(),
        partition: partition(user.to_string().as_bytes()),
        reply_to: ReplyTo { attachment: u64::MAX, session: 0, call_id: 0 },
        user,
        device,
        method: SIGN_OUT.to_owned(),
        body: Bytes::from(revoked(user, device).encode_to_vec()),
        rows: 1,
    }
}

/// What a sign-out is called on the bus: no method of a client's.
pub(crate) const SIGN_OUT: &str = "gogochat.node.v1/SignOut";
/// Sessions end with their tokens in any case.
const MAX_UNSENT: usize = 65_536;
