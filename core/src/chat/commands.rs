//! What is said and done in conversations: ordered, committed, then answered.

use bytes::Bytes;
use gogochat_proto::{
    error::{ErrorCode, violation},
    ids::{ClientMsgId, LogId, UserId},
    limits::{MAX_MEMBERS_PER_CALL, MAX_TEXT, MAX_TITLE},
    v1::{self, event::Body},
};
use gogochat_storage::store::{Command, Done};

use crate::{
    command::{Address, Late, Ordered, Stamp, encode, request_hash, unexpected},
    failure::{decode, id},
    log, text,
};

/// The ordered methods of the chat service.
pub(crate) const ORDERED: [Ordered; 5] = [
    Ordered { name: SEND, address: send_address, command: send_command, late: Late::CarriedOut, reply: send_reply },
    Ordered {
        name: CREATE,
        address: create_address,
        command: create_command,
        late: Late::CarriedOut,
        reply: create_reply,
    },
    Ordered { name: ADD, address: add_address, command: add_command, late: Late::CarriedOut, reply: add_reply },
    Ordered {
        name: LEAVE,
        address: leave_address,
        command: leave_command,
        late: Late::CarriedOut,
        reply: |_| Ok(encode(&v1::LeaveGroupResponse {})),
    },
    // Marks only grow.
    Ordered { name: MARK, address: mark_address, command: mark_command, late: Late::CarriedOut, reply: mark_reply },
];

/// The method that a realtime frame of marks stands for.
pub(crate) const MARK: &str = "gogochat.v1.ChatService/Mark";

const SEND: &str = "gogochat.v1.ChatService/SendMessage";
const CREATE: &str = "gogochat.v1.ChatService/CreateGroup";
const ADD: &str = "gogochat.v1.ChatService/AddMembers";
const LEAVE: &str = "gogochat.v1.ChatService/LeaveGroup";

fn send_address(body: Bytes) -> Result<Address, v1::Error> {
    let request: v1::SendMessageRequest = decode(body)?;
    if request.text.len() > MAX_TEXT {
        return Err(ErrorCode::TextTooLong.with(format!("the text is over {MAX_TEXT} bytes")));
    }
    if request.text.trim().is_empty() {
        return Err(violation("text", "must not be empty"));
    }
    address(&request.conversation_id, &request.client_msg_id)
}

fn send_command(body: Bytes, stamp: Stamp) -> Result<Command, v1::Error> {
    let Address { conversation, client_msg_id } = send_address(body.clone())?;
    let (log, client_msg_id) = named(conversation, client_msg_id)?;
    let mut request: v1::SendMessageRequest = decode(body)?;
    request.conversation_id = log.to_string();
    request.client_msg_id = String::new();
    let origin = stamp.origin(client_msg_id, request_hash(SEND, &request));
    let payload = log::payload(Body::Message(v1::Message { text: request.text }));
    Ok(Command::Append { log, origin, payload })
}

fn send_reply(done: &Done) -> Result<Bytes, v1::Error> {
    match *done {
        Done::Appended { seq, time_ms, duplicate } => Ok(encode(&v1::SendMessageResponse { seq, time_ms, duplicate })),
        _ => Err(unexpected(done)),
    }
}

fn create_address(body: Bytes) -> Result<Address, v1::Error> {
    let request: v1::CreateGroupRequest = decode(body)?;
    text::line("title", &request.title, MAX_TITLE)?;
    users("memberIds", &request.member_ids)?;
    let client_msg_id = id("clientMsgId", &request.client_msg_id)?;
    Ok(Address { conversation: None, client_msg_id: Some(client_msg_id) })
}

fn create_command(body: Bytes, stamp: Stamp) -> Result<Command, v1::Error> {
    let mut request: v1::CreateGroupRequest = decode(body)?;
    let title = text::line("title", &request.title, MAX_TITLE)?;
    let mut members = users("memberIds", &request.member_ids)?;
    let client_msg_id = id("clientMsgId", &request.client_msg_id)?;
    request.client_msg_id = String::new();
    let origin = stamp.origin(client_msg_id, request_hash(CREATE, &request));
    members.retain(|user| *user != stamp.caller.user);
    Ok(Command::CreateGroup { log: LogId::new_v7(), origin, title, members })
}

fn create_reply(done: &Done) -> Result<Bytes, v1::Error> {
    match done {
        Done::Created { conversation } => {
            Ok(encode(&v1::CreateGroupResponse { conversation_id: conversation.to_string() }))
        }
        _ => Err(unexpected(done)),
    }
}

fn add_address(body: Bytes) -> Result<Address, v1::Error> {
    let request: v1::AddMembersRequest = decode(body)?;
    if users("userIds", &request.user_ids)?.is_empty() {
        return Err(violation("userIds", "at least one"));
    }
    address(&request.conversation_id, &request.client_msg_id)
}

fn add_command(body: Bytes, stamp: Stamp) -> Result<Command, v1::Error> {
    let Address { conversation, client_msg_id } = add_address(body.clone())?;
    let (log, client_msg_id) = named(conversation, client_msg_id)?;
    let mut request: v1::AddMembersRequest = decode(body)?;
    let users = users("userIds", &request.user_ids)?;
    request.conversation_id = log.to_string();
    request.client_msg_id = String::new();
    let origin = stamp.origin(client_msg_id, request_hash(ADD, &request));
    Ok(Command::AddMembers { log, origin, users })
}

fn add_reply(done: &Done) -> Result<Bytes, v1::Error> {
    match *done {
        Done::Added { added, member_count } => Ok(encode(&v1::AddMembersResponse {
            added: i32::try_from(added).unwrap_or(i32::MAX),
            member_count: i32::try_from(member_count).unwrap_or(i32::MAX),
        })),
        _ => Err(unexpected(done)),
    }
}

fn leave_address(body: Bytes) -> Result<Address, v1::Error> {
    let request: v1::LeaveGroupRequest = decode(body)?;
    address(&request.conversation_id, &request.client_msg_id)
}

fn leave_command(body: Bytes, stamp: Stamp) -> Result<Command, v1::Error> {
    let Address { conversation, client_msg_id } = leave_address(body)?;
    let (log, client_msg_id) = named(conversation, client_msg_id)?;
    let request = v1::LeaveGroupRequest { conversation_id: log.to_string(), client_msg_id: String::new() };
    Ok(Command::LeaveGroup { log, origin: stamp.origin(client_msg_id, request_hash(LEAVE, &request)) })
}

fn mark_address(body: Bytes) -> Result<Address, v1::Error> {
    let request: v1::MarkRequest = decode(body)?;
    for (field, seq) in [("deliveredSeq", request.delivered_seq), ("readSeq", request.read_seq)] {
        if seq < 0 {
            return Err(violation(field, "must not be negative"));
        }
    }
    // Marks only grow: they need no order, and so no name.
    Ok(Address { conversation: Some(id("conversationId", &request.conversation_id)?), client_msg_id: None })
}

fn mark_command(body: Bytes, stamp: Stamp) -> Result<Command, v1::Error> {
    mark_address(body.clone())?;
    let request: v1::MarkRequest = decode(body)?;
    Ok(Command::Mark {
        log: id("conversationId", &request.conversation_id)?,
        user: stamp.caller.user,
        delivered: request.delivered_seq,
        read: request.read_seq,
    })
}

fn mark_reply(done: &Done) -> Result<Bytes, v1::Error> {
    match *done {
        Done::Marked { delivered, read } => Ok(encode(&v1::MarkResponse { delivered_seq: delivered, read_seq: read })),
        _ => Err(unexpected(done)),
    }
}

fn address(conversation_id: &str, client_msg_id: &str) -> Result<Address, v1::Error> {
    Ok(Address {
        conversation: Some(id("conversationId", conversation_id)?),
        client_msg_id: Some(id("clientMsgId", client_msg_id)?),
    })
}

fn named(log: Option<LogId>, id: Option<ClientMsgId>) -> Result<(LogId, ClientMsgId), v1::Error> {
    log.zip(id).ok_or_else(|| violation("clientMsgId", "is missing"))
}

/// Ids of users, each once, in their order.
fn users(field: &str, ids: &[String]) -> Result<Vec<UserId>, v1::Error> {
    if ids.len() > MAX_MEMBERS_PER_CALL {
        return Err(violation(field, format!("at most {MAX_MEMBERS_PER_CALL} in one call")));
    }
    let mut seen = std::collections::HashSet::with_capacity(ids.len());
    let users = ids.iter().map(|text| id(field, text)).collect::<Result<Vec<UserId>, _>>()?;
    Ok(users.into_iter().filter(|user| seen.insert(*user)).collect())
}
