//! A conversation as one of its members sees it, for lists and for syncing.

use gogochat_proto::v1;
use gogochat_storage::store::Conversation;

use super::{event, person};

/// The message of a conversation.
///
/// # Errors
/// `internal`: its last event does not decode.
pub(crate) fn conversation(found: &Conversation) -> Result<v1::Conversation, v1::Error> {
    let kind = match found.peer {
        Some(_) => v1::ConversationKind::Direct,
        None => v1::ConversationKind::Group,
    };
    Ok(v1::Conversation {
        id: found.log.to_string(),
        kind: kind.into(),
        title: found.title.clone().unwrap_or_default(),
        peer: found.peer.as_ref().map(person),
        member_count: i32::try_from(found.member_count).unwrap_or(i32::MAX),
        head: Some(head(found)),
        last_event: found.last_event.as_ref().map(event).transpose()?,
        from_seq: found.from_seq,
        writable: found.writable,
        order: found.order,
    })
}

/// Where it stands.
pub(crate) fn head(found: &Conversation) -> v1::Head {
    v1::Head {
        conversation_id: found.log.to_string(),
        last_seq: found.last_seq,
        delivered_seq: found.delivered,
        read_seq: found.read,
        others_delivered_seq: found.others_delivered,
        others_read_seq: found.others_read,
        unread: i32::try_from(found.unread).unwrap_or(i32::MAX),
    }
}
