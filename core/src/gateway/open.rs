//! Opening sessions: who is it, what do they hear, and from where.

use std::sync::Arc;

use futures_util::StreamExt as _;
use gogochat_proto::{
    error::ErrorCode,
    ids::{LogId, UserId},
    node::{self, core_item::Item},
    v1,
};
use gogochat_storage::store::{Device, Membership};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Gateway, publish::draining};
use crate::{
    auth,
    authorize::Caller,
    clock::now_ms,
    failure,
    fanout::{Attachment, Entered, Session},
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
        if self.is_draining() {
            return Err(draining());
        }
        let device = match &open.principal {
            Some(principal) => self.auth.still_there(auth::caller(principal)?).await?,
            None => self.auth.authenticate(&open.access_token).await?,
        };
        let entered = self.enter(attachment, &open, &device).await;
        if !matches!(entered, Ok(Entered::Open)) {
            self.hub.unannounce(attachment.id, device.user.into());
        }
        match entered? {
            Entered::Open | Entered::Gone => Ok(()),
            Entered::Refused => Err(ErrorCode::TokenInvalid.with("the session is another's, or was signed out")),
        }
    }

    /// Reads what a session hears, and opens it at a moment at which that is the latest.
    async fn enter(
        &self,
        attachment: &Arc<Attachment>,
        open: &node::SessionOpen,
        device: &Device,
    ) -> Result<Entered, v1::Error> {
        let caller = Caller { user: device.user, device: device.id };
        let own = LogId::from(device.user);
        let address = open.address.parse().ok();
        for _ in 0..ATTEMPTS {
            self.hub.announce(attachment, own);
            // The own log's end first: what came before it the memberships show, and what comes after it is replayed.
            let end = self.store.last_seq(own).await.map_err(failure::store)?.unwrap_or(0);
            let memberships = self.store.memberships(device.user).await.map_err(failure::store)?;
            let enter = || {
                let item = opened(open.session, device, end, &memberships);
                attachment.opened(open.session, caller, address, item)
            };
            if let Some(entered) = self.hub.confirm(attachment.id, own, end, enter) {
                if entered == Entered::Open {
                    // A revocation that did not find this session yet has left its note.
                    self.auth.refuse_revoked(caller)?;
                    self.greet(attachment, open.session, device, memberships);
                }
                return Ok(entered);
            }
        }
        Err(ErrorCode::Overloaded.with("the account changes too quickly"))
    }

    fn greet(&self, attachment: &Attachment, session: u64, device: &Device, memberships: Vec<Membership>) {
        let caller = Caller { user: device.user, device: device.id };
        let directs: Vec<(LogId, UserId)> = memberships.into_iter().filter_map(|m| Some((m.log, m.peer?))).collect();
        let stale = now_ms() - device.last_seen_ms > SEEN_FRESH_MS;
        self.services.presence.came(caller, (attachment.id, session), directs, stale.then_some(caller.device));
    }

    /// A session was closed, by its edge or with it.
    pub(crate) fn left(&self, attachment: &Attachment, session: u64, closed: Session) {
        if let Session::Open { caller, .. } | Session::Revoked { caller } = closed {
            self.services.presence.went(caller, (attachment.id, session));
            self.hub.unannounce(attachment.id, caller.user.into());
        }
    }
}

fn opened(session: u64, device: &Device, end: i64, memberships: &[Membership]) -> Item {
    Item::Opened(node::SessionOpened {
        session,
        principal: Some(node::Principal { user_id: device.user.to_bytes(), device_id: device.id.to_bytes() }),
        own_seq: end,
        subscriptions: memberships
            .iter()
            .map(|m| node::Subscription { log_id: m.log.to_bytes(), from_seq: m.last_seq })
            .collect(),
        expires_ms: device.access_expires_ms,
    })
}

const AT_ONCE: usize = 32;
/// How often a session's view is read again because something came between.
const ATTEMPTS: usize = 16;
/// When a device was last seen is not written more often than this.
const SEEN_FRESH_MS: i64 = 5 * 60 * 1000;
