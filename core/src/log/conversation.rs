//! A conversation as one of its members sees it, for lists and for syncing.

use gogochat_proto::v1;
use gogochat_storage::store::{Conversation, History, Joining, Posting, Role};

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
        role: of_group(found, role(found.role).into()),
        notice: String::new(),
        history: of_group(found, history(found.settings.history).into()),
        posting: of_group(found, posting(found.settings.posting).into()),
        slow_mode_ms: found.settings.slow_ms,
        muted_until_ms: found.muted_ms,
        joining: of_group(found, joining(found.settings.joining).into()),
    })
}

/// A role on the wire.
pub(crate) fn role(role: Role) -> v1::MemberRole {
    match role {
        Role::Member => v1::MemberRole::Member,
        Role::Admin => v1::MemberRole::Admin,
        Role::Owner => v1::MemberRole::Owner,
    }
}

fn history(history: History) -> v1::GroupHistory {
    match history {
        History::FromJoin => v1::GroupHistory::FromJoin,
        History::All => v1::GroupHistory::All,
    }
}

fn posting(posting: Posting) -> v1::GroupPosting {
    match posting {
        Posting::Members => v1::GroupPosting::Members,
        Posting::Admins => v1::GroupPosting::Admins,
    }
}

fn joining(joining: Joining) -> v1::GroupJoining {
    match joining {
        Joining::Invite => v1::GroupJoining::Invite,
        Joining::Open => v1::GroupJoining::Open,
    }
}

fn of_group(found: &Conversation, value: i32) -> i32 {
    if found.peer.is_none() { value } else { 0 }
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
