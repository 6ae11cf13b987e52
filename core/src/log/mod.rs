//! Events on their way out: as messages, and as the frame that every session of an edge is sent,
//! encoded once.

pub(crate) mod conversation;
pub(crate) mod page;
pub(crate) mod walk;

use bytes::{Bytes, BytesMut};
use gogochat_proto::{
    ids::{LogId, UserId},
    v1::{self, event::Body},
};
use gogochat_storage::store::{Event, User};
use prost::{
    Message as _,
    encoding::{WireType, decode_key, encode_key, encode_varint},
};

use crate::failure::fault;

/// An event's payload: the body alone.
pub(crate) fn payload(body: Body) -> Bytes {
    v1::Event { body: Some(body), ..Default::default() }.encode_to_vec().into()
}

/// An event as clients see it.
///
/// # Errors
/// `internal`: what was kept is no event.
pub(crate) fn event(event: &Event) -> Result<v1::Event, v1::Error> {
    let body = v1::Event::decode(event.payload.clone()).map_err(|error| {
        fault("a stored event does not decode", &format_args!("{}/{}: {error}", event.log, event.seq))
    })?;
    Ok(v1::Event { body: body.body, ..header(event) })
}

/// The encoded `ServerFrame` with an event. The payload is copied, not read: fields of one message
/// may come in parts.
pub(crate) fn frame(event: &Event) -> Bytes {
    let header = header(event);
    let length = header.encoded_len() + event.payload.len();
    let mut out = BytesMut::with_capacity(length + 8);
    encode_key(SERVER_FRAME_EVENT, WireType::LengthDelimited, &mut out);
    encode_varint(length as u64, &mut out);
    header.encode_raw(&mut out);
    out.extend_from_slice(&event.payload);
    out.freeze()
}

/// What an event of a user's own log says about what their sessions hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// They are in this conversation, and may read it from this seq on.
    Begins(LogId, i64),
    /// They are in it no longer.
    Ends(LogId),
}

/// Read from a stored event; `None` for the many that say nothing of it.
pub(crate) fn hearing(event: &Event) -> Option<Hearing> {
    let (field, _) = decode_key(&mut event.payload.as_ref()).ok()?;
    if field < FIRST_OWN_LOG_FIELD {
        return None;
    }
    match v1::Event::decode(event.payload.clone()).ok()?.body? {
        Body::ConversationJoined(joined) => {
            joined.conversation_id.parse().ok().map(|log| Hearing::Begins(log, joined.from_seq))
        }
        Body::ConversationLeft(left) => left.conversation_id.parse().ok().map(Hearing::Ends),
        _ => None,
    }
}

/// Whose sessions hear nothing of the event's conversation after it; nobody's for the many that end nothing.
pub(crate) fn departed(event: &Event) -> Vec<UserId> {
    let is_ending = |(field, _): &(u32, _)| [MEMBER_LEFT, MEMBERS_REMOVED].contains(field);
    let Some(_) = decode_key(&mut event.payload.as_ref()).ok().filter(is_ending) else { return Vec::new() };
    match v1::Event::decode(event.payload.clone()).ok().and_then(|event| event.body) {
        Some(Body::MemberLeft(left)) => left.user_id.parse().into_iter().collect(),
        Some(Body::MembersRemoved(removed)) => removed.member_ids.iter().filter_map(|id| id.parse().ok()).collect(),
        _ => Vec::new(),
    }
}

/// What anyone signed in may know of a user.
pub(crate) fn person(user: &User) -> v1::Person {
    v1::Person {
        id: user.id.to_string(),
        name: user.name.clone(),
        display_name: user.display_name.clone(),
        signature: user.signature.clone(),
    }
}

fn header(event: &Event) -> v1::Event {
    v1::Event {
        log_id: event.log.to_string(),
        seq: event.seq,
        time_ms: event.time_ms,
        sender_id: event.sender.to_string(),
        device_id: event.device.map(|id| id.to_string()).unwrap_or_default(),
        client_msg_id: event.client_msg_id.map(|id| id.to_string()).unwrap_or_default(),
        body: None,
    }
}

/// The number of `ServerFrame.event`.
const SERVER_FRAME_EVENT: u32 = 3;
/// The number of `Event.member_left`.
const MEMBER_LEFT: u32 = 13;
/// The number of `Event.members_removed`.
const MEMBERS_REMOVED: u32 = 14;
/// Bodies from this number on are of users' own logs.
const FIRST_OWN_LOG_FIELD: u32 = 30;

#[cfg(test)]
mod tests {
    use gogochat_proto::{
        frame::server_frame,
        ids::{ClientMsgId, DeviceId},
    };

    use super::*;

    fn stored(body: Body) -> Event {
        Event {
            log: UserId::new_v7().into(),
            seq: 7,
            time_ms: 1_700_000_000_000,
            sender: UserId::new_v7(),
            device: Some(DeviceId::new_v7()),
            client_msg_id: Some(ClientMsgId::new_v7()),
            payload: payload(body),
            subscription: None,
        }
    }

    #[test]
    fn the_frame_is_the_message() {
        let kept = stored(Body::Message(v1::Message { text: "héllo".repeat(100) }));
        let message = event(&kept).unwrap();
        assert_eq!(message.seq, 7);
        assert_eq!(server_frame(frame(&kept)).unwrap(), Some(v1::server_frame::Frame::Event(message)));
    }

    #[test]
    fn hearing_is_read_from_own_logs_alone() {
        let log: LogId = UserId::new_v7().into();
        let conversation_id = log.to_string();
        let joined =
            Body::ConversationJoined(v1::ConversationJoined { conversation_id: conversation_id.clone(), from_seq: 1 });
        let left = Body::ConversationLeft(v1::ConversationLeft { conversation_id });
        assert_eq!(hearing(&stored(joined)), Some(Hearing::Begins(log, 1)));
        assert_eq!(hearing(&stored(left)), Some(Hearing::Ends(log)));
        assert_eq!(hearing(&stored(Body::Message(v1::Message { text: "x".into() }))), None);
        assert_eq!(hearing(&stored(Body::ContactRemoved(v1::ContactRemoved { peer_id: "x".into() }))), None);
    }

    #[test]
    fn who_leaves_is_read_from_the_conversation() {
        let user = UserId::new_v7();
        let left = stored(Body::MemberLeft(v1::MemberLeft { user_id: user.to_string() }));
        assert_eq!(departed(&left), [user]);
        let member_ids = vec![user.to_string(), UserId::new_v7().to_string()];
        assert_eq!(departed(&stored(Body::MembersRemoved(v1::MembersRemoved { member_ids, count: 2 }))).len(), 2);
        assert_eq!(departed(&stored(Body::Message(v1::Message { text: "x".into() }))), []);
    }

    #[test]
    fn what_does_not_decode_is_our_fault() {
        let kept = Event { payload: Bytes::from_static(&[0xff]), ..stored(Body::Message(v1::Message::default())) };
        assert_eq!(event(&kept).unwrap_err().code, "internal");
        assert_eq!(hearing(&kept), None);
    }
}
