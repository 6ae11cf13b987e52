//! The events that the store itself writes.

use bytes::Bytes;
use gogochat_proto::{
    ids::{LogId, UserId},
    v1::{self, event::Body},
};
use prost::{Message, encoding::decode_key};

use crate::store::{GroupChange, Millis, Role};

pub(super) fn conversation_created(title: Option<&str>, members: &[UserId]) -> Bytes {
    let kind = if title.is_some() { v1::ConversationKind::Group } else { v1::ConversationKind::Direct };
    encode(Body::ConversationCreated(v1::ConversationCreated {
        kind: kind.into(),
        title: title.unwrap_or_default().into(),
        member_ids: named(members),
        member_count: count(members),
    }))
}

pub(super) fn members_added(members: &[UserId]) -> Bytes {
    encode(Body::MembersAdded(v1::MembersAdded { member_ids: named(members), count: count(members) }))
}

pub(super) fn member_left(user: UserId) -> Bytes {
    encode(Body::MemberLeft(v1::MemberLeft { user_id: user.to_string() }))
}

pub(super) fn members_removed(members: &[UserId]) -> Bytes {
    encode(Body::MembersRemoved(v1::MembersRemoved { member_ids: named(members), count: count(members) }))
}

pub(super) fn group_changed(change: GroupChange) -> Bytes {
    encode(Body::GroupChanged(v1::GroupChanged {
        title: change.title,
        notice: change.notice,
        history: change.history.map(|history| history as i32 + 1),
        posting: change.posting.map(|posting| posting as i32 + 1),
        slow_mode_ms: change.slow_ms,
        joining: change.joining.map(|joining| joining as i32 + 1),
    }))
}

pub(super) fn role_changed(user: UserId, role: Role) -> Bytes {
    encode(Body::RoleChanged(v1::RoleChanged { user_id: user.to_string(), role: role as i32 + 1 }))
}

pub(super) fn member_muted(user: UserId, until_ms: Millis) -> Bytes {
    encode(Body::MemberMuted(v1::MemberMuted { user_id: user.to_string(), until_ms }))
}

pub(super) fn member_joined(user: UserId) -> Bytes {
    encode(Body::MemberJoined(v1::MemberJoined { user_id: user.to_string() }))
}

pub(super) fn group_dismissed() -> Bytes {
    encode(Body::GroupDismissed(v1::GroupDismissed {}))
}

pub(super) fn contact_requested(from: v1::Person, to: v1::Person, note: String) -> Bytes {
    encode(Body::ContactRequested(v1::ContactRequested { from: Some(from), to: Some(to), note }))
}

pub(super) fn contact_accepted(peer: v1::Person, conversation: LogId) -> Bytes {
    let conversation_id = conversation.to_string();
    encode(Body::ContactAccepted(v1::ContactAccepted { peer: Some(peer), conversation_id }))
}

pub(super) fn contact_removed(peer: UserId) -> Bytes {
    encode(Body::ContactRemoved(v1::ContactRemoved { peer_id: peer.to_string() }))
}

pub(super) fn person_blocked(person: v1::Person) -> Bytes {
    encode(Body::PersonBlocked(v1::PersonBlocked { person: Some(person) }))
}

pub(super) fn person_unblocked(user: UserId) -> Bytes {
    encode(Body::PersonUnblocked(v1::PersonUnblocked { user_id: user.to_string() }))
}

pub(super) fn conversation_joined(conversation: LogId, from_seq: i64) -> Bytes {
    let conversation_id = conversation.to_string();
    encode(Body::ConversationJoined(v1::ConversationJoined { conversation_id, from_seq }))
}

pub(super) fn conversation_left(conversation: LogId) -> Bytes {
    encode(Body::ConversationLeft(v1::ConversationLeft { conversation_id: conversation.to_string() }))
}

/// The number of the first field that an encoded message has set; 0 when there is none.
pub(super) fn body(mut payload: &[u8]) -> i16 {
    decode_key(&mut payload).map_or(0, |(number, _)| i16::try_from(number).unwrap_or(i16::MAX))
}

fn encode(body: Body) -> Bytes {
    v1::Event { body: Some(body), ..Default::default() }.encode_to_vec().into()
}

fn named(members: &[UserId]) -> Vec<String> {
    members.iter().take(MAX_NAMED).map(UserId::to_string).collect()
}

fn count(members: &[UserId]) -> i32 {
    i32::try_from(members.len()).unwrap_or(i32::MAX)
}

/// Members that an event names, so that it fits a frame.
const MAX_NAMED: usize = 100;
