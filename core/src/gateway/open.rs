//! Opens sessions: finds out whose a session is, which logs it is subscribed to, and from which seq
//! on.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use gogochat_proto::{
    error::ErrorCode,
    ids::{LogId, UserId},
    node::{self, core_item::Item},
    v1,
};
use gogochat_storage::store::Arrival;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Gateway, Phase, draining};
use crate::{
    auth::Bearer,
    authorize::Caller,
    clock::now_ms,
    fanout::{Attachment, Entered, Moment, Session},
};

/// Opens what an attachment's reader passes on, some at once.
pub(crate) async fn opener(
    gateway: Arc<Gateway>,
    attachment: Arc<Attachment>,
    opens: mpsc::Receiver<node::SessionOpen>,
) {
    let opened = ReceiverStream::new(opens).map(|open| gateway.open(&attachment, open)).buffer_unordered(AT_ONCE);
    attachment.ended.run_until_cancelled(opened.for_each(|()| async {})).await;
}

impl Gateway {
    async fn open(&self, attachment: &Arc<Attachment>, open: node::SessionOpen) {
        let session = open.session;
        if let Err(error) = self.try_open(attachment, open).await {
            self.refuse(attachment, session, error);
        }
    }

    /// A session is not opened, or not any more: the edge closes it.
    pub(crate) fn refuse(&self, attachment: &Attachment, session: u64, error: v1::Error) {
        self.metrics.refused(&error.code);
        if let Some(closed) = attachment.close(session) {
            self.left(attachment, session, closed);
        }
        attachment.push(Item::Refused(node::SessionRefused { session, error: Some(error) }));
    }

    async fn try_open(&self, attachment: &Arc<Attachment>, open: node::SessionOpen) -> Result<(), v1::Error> {
        if self.has_reached(Phase::Draining) {
            return Err(draining());
        }
        let bearer = Bearer::of(&open)?;
        for _ in 0..ATTEMPTS {
            let then = self.fanout.moment();
            let arrival = self.auth.arrive(&bearer).await?;
            if let Some(entered) = self.enter(attachment, &open, &bearer, &arrival, then)? {
                return match entered {
                    Entered::Open | Entered::Gone => Ok(()),
                    Entered::Refused => {
                        Err(ErrorCode::TokenInvalid.with("the session is another's, or was signed out"))
                    }
                };
            }
        }
        Err(ErrorCode::Overloaded.with("the account changes too quickly"))
    }

    /// Opens a session, if what was read of it is still the latest.
    fn enter(
        &self,
        attachment: &Arc<Attachment>,
        open: &node::SessionOpen,
        bearer: &Bearer,
        arrival: &Arrival,
        then: Moment,
    ) -> Result<Option<Entered>, v1::Error> {
        let caller = Caller { user: arrival.device.user, device: arrival.device.id };
        let own = LogId::from(caller.user);
        let enter = || {
            let item = opened(open.session, bearer, arrival);
            attachment.opened(open.session, caller, open.address.parse().ok(), item)
        };
        let entered = self.fanout.enter(attachment, own, arrival.own_seq, then, enter);
        match entered {
            Some(Entered::Open) => {
                // A revocation that did not find this session yet has left its note.
                self.auth.refuse_revoked(caller)?;
                self.greet(attachment, open.session, arrival);
            }
            Some(Entered::Gone | Entered::Refused) => self.fanout.unannounce(attachment.id, own),
            None => {}
        }
        Ok(entered)
    }

    fn greet(&self, attachment: &Attachment, session: u64, arrival: &Arrival) {
        let device = &arrival.device;
        let caller = Caller { user: device.user, device: device.id };
        let directs: Vec<(LogId, UserId)> = arrival.memberships.iter().filter_map(|m| Some((m.log, m.peer?))).collect();
        let stale = now_ms() - device.last_seen_ms > SEEN_FRESH_MS;
        self.services.presence.came(caller, (attachment.key, session), directs, stale.then_some(caller.device));
        if attachment.session(session).is_none() {
            // Its close came first, and found nobody to see off.
            self.services.presence.went(caller, (attachment.key, session));
        }
    }

    /// A session was closed, by its edge or with it.
    pub(crate) fn left(&self, attachment: &Attachment, session: u64, closed: Session) {
        if let Session::Open { caller, .. } | Session::Revoked { caller } = closed {
            self.services.presence.went(caller, (attachment.key, session));
            self.fanout.unannounce(attachment.id, caller.user.into());
        }
    }
}

fn opened(session: u64, bearer: &Bearer, arrival: &Arrival) -> Item {
    let device = &arrival.device;
    Item::Opened(node::SessionOpened {
        session,
        principal: Some(node::Principal { user_id: device.user.to_bytes(), device_id: device.id.to_bytes() }),
        own_seq: arrival.own_seq,
        subscriptions: arrival
            .memberships
            .iter()
            .map(|m| node::Subscription { log_id: m.log.to_bytes(), from_seq: m.last_seq })
            .collect(),
        expires_ms: device.access_expires_ms,
        epoch: arrival.epoch.to_string(),
        token_hash: bearer.token().map_or_else(Bytes::new, |token| Bytes::copy_from_slice(token)),
    })
}

const AT_ONCE: usize = 32;
/// How often a session's view is read again because something came between.
const ATTEMPTS: usize = 16;
/// When a device was last seen is not written more often than this.
const SEEN_FRESH_MS: i64 = 5 * 60 * 1000;
