//! Catching up after being away: the user's own log from a cursor, and the conversations that
//! moved.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gogochat_proto::{
    error::{ErrorCode, violation},
    ids::LogId,
    limits::MAX_KNOWN,
    v1,
};
use gogochat_storage::store::{ALL, ChatStore, Conversation, Range, Walk};

use crate::{
    authorize::Caller,
    failure::{self, id},
    log::{
        self,
        conversation::head,
        page::{List, Room},
        walk,
    },
};

/// The sync service.
pub(crate) struct Sync {
    store: Arc<dyn ChatStore>,
}

impl Sync {
    pub(crate) fn new(store: Arc<dyn ChatStore>) -> Self {
        Self { store }
    }

    pub(crate) async fn sync(&self, caller: Caller, request: v1::SyncRequest) -> Result<v1::SyncResponse, v1::Error> {
        let begun = walk::walk(List::Sync, &request.page_token)?;
        let known = known(request.known)?;
        let own = LogId::from(caller.user);
        if request.own_seq < 0 {
            return Err(violation("ownSeq", "must not be negative"));
        }
        if request.position < 0 {
            return Err(violation("position", "must not be negative"));
        }
        let own_last_seq = self.store.last_seq(own).await.map_err(failure::store)?.unwrap_or(0);
        if request.own_seq > own_last_seq {
            return Err(ErrorCode::CursorFromFuture.with(format!("the own log ends at {own_last_seq}")));
        }
        let mut response = v1::SyncResponse { own_last_seq, ..Default::default() };
        let mut room = Room::page();
        // What comes once is on the first page.
        if begun.is_none() {
            self.gone(caller, &known, &mut room, &mut response).await?;
            self.own_events(own, request.own_seq, &mut room, &mut response).await?;
        }
        self.moved(caller, request.position, &known, begun, &mut room, &mut response).await?;
        Ok(response)
    }

    async fn gone(
        &self,
        caller: Caller,
        known: &HashMap<LogId, v1::Head>,
        room: &mut Room,
        response: &mut v1::SyncResponse,
    ) -> Result<(), v1::Error> {
        if known.is_empty() {
            return Ok(());
        }
        let memberships = self.store.memberships(caller.user).await.map_err(failure::store)?;
        let memberships: HashSet<LogId> = memberships.into_iter().map(|membership| membership.log).collect();
        for log in known.keys().filter(|log| !memberships.contains(*log)) {
            // A thousand ids, which is all there can be, leave room for more.
            if room.take_bytes(ID_BYTES) {
                response.gone.push(log.to_string());
            }
        }
        Ok(())
    }

    async fn own_events(
        &self,
        own: LogId,
        after: i64,
        room: &mut Room,
        response: &mut v1::SyncResponse,
    ) -> Result<(), v1::Error> {
        if after == response.own_last_seq {
            return Ok(());
        }
        let share = room.left() / 2;
        let mut share = Room::of(share);
        let events =
            self.store.events(own, Range::After(after), OWN_EVENTS, share.left()).await.map_err(failure::store)?;
        for found in &events {
            let event = log::event(found)?;
            if !share.take(&event) {
                break;
            }
            room.take(&event);
            response.own_events.push(event);
        }
        let last = response.own_events.last().map_or(after, |event| event.seq);
        response.own_last_seq = response.own_last_seq.max(last);
        response.own_more = last < response.own_last_seq;
        Ok(())
    }

    /// Conversations that have moved since a position. A device without one is told of those whose head
    /// it does not know.
    async fn moved(
        &self,
        caller: Caller,
        position: i64,
        known: &HashMap<LogId, v1::Head>,
        begun: Option<Walk>,
        room: &mut Room,
        response: &mut v1::SyncResponse,
    ) -> Result<(), v1::Error> {
        let since = if position == 0 { ALL } else { position };
        let is_news = |found: &Conversation| position > 0 || known.get(&found.log) != Some(&head(found));
        let mut next = begun;
        for _ in 0..SCANS {
            let part = self.store.walk(caller.user, since, next, SCAN).await.map_err(failure::store)?;
            if position > part.walk.position {
                return Err(ErrorCode::CursorFromFuture.with("the store has not come to this position"));
            }
            (response.position, response.epoch) = (part.walk.position, part.epoch.to_string());
            let taken = walk::take(&part, room, is_news)?;
            response.conversations.extend(taken.conversations);
            next = taken.next;
            if next.is_none() || taken.is_full {
                break;
            }
        }
        walk::sort(&mut response.conversations);
        response.next_page_token = walk::token(List::Sync, next);
        Ok(())
    }
}

fn known(heads: Vec<v1::Head>) -> Result<HashMap<LogId, v1::Head>, v1::Error> {
    if heads.len() > MAX_KNOWN {
        return Err(violation("known", format!("at most {MAX_KNOWN}")));
    }
    heads
        .into_iter()
        .map(|mut head| {
            let log: LogId = id("known.conversationId", &head.conversation_id)?;
            head.conversation_id = log.to_string();
            Ok((log, head))
        })
        .collect()
}

const OWN_EVENTS: u32 = 200;
/// Conversations read at once, and how often for one page: a device that knows all of very many is
/// answered in parts.
const SCAN: u32 = 200;
const SCANS: u32 = 5;
const ID_BYTES: usize = 36;
