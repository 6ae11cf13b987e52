//! The chat service: reads of conversations are answered here, and the worker commits what changes
//! them.

pub(crate) mod announce;
pub(crate) mod commands;
mod commit;
mod invites;
pub(crate) mod marks;
mod pending;
mod resyncs;
mod sender_order;
pub(crate) mod shared_bus;
mod sliced;
mod slices;
mod unknown;
pub(crate) mod worker;

use std::sync::Arc;

use gogochat_proto::{
    error::{ErrorCode, violation},
    ids::{LogId, UserId},
    limits::{MAX_PAGE, MAX_PAGE_BYTES},
    v1::{self, list_events_request::From},
};
use gogochat_storage::store::{self, ALL, ChatStore, Range, Users};

pub(crate) use self::{
    marks::MarkCollector,
    resyncs::CERTAIN,
    sender_order::{Sender, SenderOrder, Turn},
};
use crate::{
    auth::Auth,
    authorize::Caller,
    failure::{self, id, limit},
    log::{
        self,
        conversation::{conversation, role},
        page::{self, List, Room},
        person,
        walk::{self, Taken},
    },
};

/// The chat service's queries.
pub(crate) struct Chat {
    store: Arc<dyn ChatStore>,
    people: Arc<dyn Users>,
    auth: Arc<Auth>,
}

impl Chat {
    pub(crate) fn new(store: Arc<dyn ChatStore>, people: Arc<dyn Users>, auth: Arc<Auth>) -> Self {
        Self { store, people, auth }
    }

    pub(crate) async fn list_conversations(
        &self,
        caller: Caller,
        request: v1::ListConversationsRequest,
    ) -> Result<v1::ListConversationsResponse, v1::Error> {
        let limit = limit(request.limit, 100, 200)?;
        let begun = walk::walk(List::Conversations, &request.page_token)?;
        let part = self.store.walk(caller.user, ALL, begun, limit).await.map_err(failure::store)?;
        let Taken { mut conversations, next, .. } = walk::take(&part, &mut Room::page(), |_| true)?;
        walk::sort(&mut conversations);
        let next_page_token = walk::token(List::Conversations, next);
        Ok(v1::ListConversationsResponse { conversations, next_page_token })
    }

    pub(crate) async fn get_conversation(
        &self,
        caller: Caller,
        request: v1::GetConversationRequest,
    ) -> Result<v1::Conversation, v1::Error> {
        let log = id("conversationId", &request.conversation_id)?;
        let found = self.store.conversations(caller.user, &[log]).await.map_err(failure::store)?;
        let mut shown = conversation(found.first().ok_or_else(not_a_member)?)?;
        if shown.peer.is_none() {
            shown.notice = self.store.notice(log).await.map_err(failure::store)?.unwrap_or_default();
        }
        Ok(shown)
    }

    pub(crate) async fn list_members(
        &self,
        caller: Caller,
        request: v1::ListMembersRequest,
    ) -> Result<v1::ListMembersResponse, v1::Error> {
        let log = id("conversationId", &request.conversation_id)?;
        let limit = limit(request.limit, 200, 500)?;
        let mut last = page::position(List::Members, &request.page_token)?;
        let me = self.store.member(log, caller.user).await.map_err(failure::store)?.ok_or_else(not_a_member)?;
        let after = last.map(|(time, id)| (time, UserId::from(id)));
        let found = match request.role() {
            v1::MemberRole::Admin => self.store.admins(log, after, limit + 1).await,
            _ => self.store.members(log, after, limit + 1).await,
        };
        let found = found.map_err(failure::store)?;
        let mut room = Room::page();
        let mut response = v1::ListMembersResponse::default();
        for member in &found {
            let shown = v1::Member {
                person: Some(person(&member.user)),
                joined_ms: member.joined_ms,
                delivered_seq: member.delivered,
                read_seq: member.read,
                role: if me.is_of_group { role(member.role).into() } else { 0 },
                muted_until_ms: member.muted_ms,
            };
            if response.members.len() == limit as usize || !room.take(&shown) {
                response.next_page_token = page::token(List::Members, last.unwrap_or((i64::MIN, uuid::Uuid::nil())));
                break;
            }
            response.members.push(shown);
            last = Some((member.joined_ms, member.user.id.uuid()));
        }
        Ok(response)
    }

    pub(crate) async fn list_events(
        &self,
        caller: Caller,
        request: v1::ListEventsRequest,
    ) -> Result<v1::ListEventsResponse, v1::Error> {
        let log: LogId = id("conversationId", &request.conversation_id)?;
        let limit = limit(request.limit, 100, MAX_PAGE.unsigned_abs())?;
        let first = self.first_readable(caller, log).await?;
        let end = self.store.last_seq(log).await.map_err(failure::store)?.ok_or_else(not_a_member)?;
        let range = range(request.from, first, end)?;
        let found = self.store.events(log, range, limit, MAX_PAGE_BYTES).await.map_err(failure::store)?;
        let events = fitting(&found, range)?;
        let (oldest, newest) = (events.first().map(|e| e.seq), events.last().map(|e| e.seq));
        let last_seq = end.max(newest.unwrap_or(0));
        let more = match range {
            Range::After(_) => newest.is_some_and(|seq| seq < last_seq),
            Range::Before { at_least, .. } => oldest.is_some_and(|seq| seq > at_least),
        };
        Ok(v1::ListEventsResponse { events, more, last_seq })
    }

    /// The first seq of a log that the caller may read.
    async fn first_readable(&self, caller: Caller, log: LogId) -> Result<i64, v1::Error> {
        if log == LogId::from(caller.user) {
            return Ok(1);
        }
        let member = self.store.member(log, caller.user).await.map_err(failure::store)?;
        Ok(member.ok_or_else(not_a_member)?.from_seq)
    }
}

fn range(from: Option<From>, first: i64, end: i64) -> Result<Range, v1::Error> {
    let from_future = || ErrorCode::SeqFromFuture.with(format!("the log ends at {end}"));
    match from.unwrap_or(From::BeforeSeq(0)) {
        From::AfterSeq(seq) if seq < 0 => Err(violation("afterSeq", "must not be negative")),
        From::AfterSeq(seq) if seq > end => Err(from_future()),
        From::AfterSeq(seq) => Ok(Range::After(seq.max(first - 1))),
        From::BeforeSeq(seq) if seq < 0 => Err(violation("beforeSeq", "must not be negative")),
        From::BeforeSeq(0) => Ok(Range::Before { before: i64::MAX, at_least: first }),
        From::BeforeSeq(seq) if seq > end.saturating_add(1) => Err(from_future()),
        From::BeforeSeq(seq) => Ok(Range::Before { before: seq, at_least: first }),
    }
}

/// Those events that fit a page, nearest to where it begins, in ascending order.
fn fitting(found: &[store::Event], range: Range) -> Result<Vec<v1::Event>, v1::Error> {
    let mut room = Room::page();
    let mut fit = |event: &store::Event| -> Option<Result<v1::Event, v1::Error>> {
        match log::event(event) {
            Ok(event) => room.take(&event).then_some(Ok(event)),
            Err(error) => Some(Err(error)),
        }
    };
    match range {
        Range::After(_) => found.iter().map_while(&mut fit).collect(),
        Range::Before { .. } => {
            let mut events = found.iter().rev().map_while(fit).collect::<Result<Vec<_>, _>>()?;
            events.reverse();
            Ok(events)
        }
    }
}

fn not_a_member() -> v1::Error {
    ErrorCode::NotAMember.with("there is no such conversation, or you are not in it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_begin_at_the_limits_and_not_past_them() {
        assert_eq!(range(Some(From::AfterSeq(10)), 1, 10), Ok(Range::After(10)));
        assert_eq!(range(Some(From::AfterSeq(11)), 1, 10).unwrap_err().code, "seq_from_future");
        assert_eq!(range(Some(From::AfterSeq(-1)), 1, 10).unwrap_err().violations[0].field, "afterSeq");
        assert_eq!(range(Some(From::AfterSeq(0)), 5, 10), Ok(Range::After(4)));
        assert_eq!(range(Some(From::BeforeSeq(11)), 3, 10), Ok(Range::Before { before: 11, at_least: 3 }));
        assert_eq!(range(Some(From::BeforeSeq(12)), 3, 10).unwrap_err().code, "seq_from_future");
        assert_eq!(range(None, 3, 10), Ok(Range::Before { before: i64::MAX, at_least: 3 }));
    }

    #[test]
    fn a_page_fits_a_frame() {
        let text = "x".repeat(16 * 1024);
        let stored: Vec<_> = (1..=10)
            .map(|seq| store::Event {
                log: LogId::new_v7(),
                seq,
                time_ms: 0,
                sender: UserId::new_v7(),
                device: None,
                client_msg_id: None,
                payload: log::payload(v1::event::Body::Message(v1::Message { text: text.clone() })),
                subscription: None,
            })
            .collect();
        let seqs = |range| fitting(&stored, range).unwrap().iter().map(|e| e.seq).collect::<Vec<_>>();
        assert_eq!(seqs(Range::After(0)), [1, 2]);
        assert_eq!(seqs(Range::Before { before: i64::MAX, at_least: 1 }), [9, 10]);
    }
}
