//! Catching up after being away: the user's own log from a cursor, and the heads that moved.

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
use gogochat_storage::store::{ChatStore, Range};

use crate::{
    authorize::Caller,
    failure::{self, id},
    log::{
        self,
        conversation::{conversation, head, position},
        page::{self, List, Position, Room},
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
        let after = page::position(List::Sync, &request.page_token)?;
        let known = known(request.known)?;
        let own = LogId::from(caller.user);
        if request.own_seq < 0 {
            return Err(violation("ownSeq", "must not be negative"));
        }
        let own_last_seq = self.store.last_seq(own).await.map_err(failure::store)?.unwrap_or(0);
        if request.own_seq > own_last_seq {
            return Err(ErrorCode::CursorFromFuture.with(format!("the own log ends at {own_last_seq}")));
        }
        let mut response = v1::SyncResponse { own_last_seq, ..Default::default() };
        let mut room = Room::page();
        // What comes once is on the first page.
        if after.is_none() {
            self.gone(caller, &known, &mut room, &mut response).await?;
            self.own_events(own, request.own_seq, &mut room, &mut response).await?;
        }
        self.moved(caller, &known, after, &mut room, &mut response).await?;
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

    async fn moved(
        &self,
        caller: Caller,
        known: &HashMap<LogId, v1::Head>,
        after: Option<Position>,
        room: &mut Room,
        response: &mut v1::SyncResponse,
    ) -> Result<(), v1::Error> {
        let mut last = after;
        for _ in 0..SCANS {
            let from = last.map(|(time, id)| (time, LogId::from(id)));
            let found = self.store.conversations(caller.user, None, from, SCAN).await.map_err(failure::store)?;
            for found in &found {
                if known.get(&found.log) != Some(&head(found)) {
                    let shown = conversation(found)?;
                    if !room.take(&shown) {
                        response.next_page_token = page::token(List::Sync, last.unwrap_or(page::BEGINNING));
                        return Ok(());
                    }
                    response.conversations.push(shown);
                }
                last = Some(position(found));
            }
            if found.len() < SCAN as usize {
                return Ok(());
            }
        }
        response.next_page_token = page::token(List::Sync, last.unwrap_or(page::BEGINNING));
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
