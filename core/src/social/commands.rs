//! Asking, accepting and ending contacts: ordered, in the caller's own log.

use bytes::Bytes;
use gogochat_proto::{
    error::ErrorCode,
    ids::{LogId, UserId},
    limits::MAX_NOTE,
    v1,
};
use gogochat_storage::store::{Command, Done, Hash, Origin};

use crate::{
    authorize::Caller,
    command::{Address, Late, Ordered, Stamp, encode, request_hash, unexpected},
    failure::{decode, id},
    text,
};

/// The ordered methods of the social service.
pub(crate) const ORDERED: [Ordered; 3] = [
    Ordered {
        name: REQUEST_CONTACT,
        address: request_address,
        command: request_command,
        late: Late::Refused,
        reply: request_reply,
    },
    Ordered {
        name: ACCEPT_CONTACT,
        address: |body| person(&decode::<v1::AcceptContactRequest>(body)?.user_id),
        command: accept_command,
        late: Late::Refused,
        reply: accept_reply,
    },
    Ordered {
        name: REMOVE_CONTACT,
        address: |body| person(&decode::<v1::RemoveContactRequest>(body)?.user_id),
        command: remove_command,
        late: Late::Refused,
        reply: |_| Ok(encode(&v1::RemoveContactResponse {})),
    },
];

/// The one of them whose callers are limited.
pub(crate) const REQUEST_CONTACT: &str = "gogochat.v1.SocialService/RequestContact";

const ACCEPT_CONTACT: &str = "gogochat.v1.SocialService/AcceptContact";
const REMOVE_CONTACT: &str = "gogochat.v1.SocialService/RemoveContact";

const OWN_LOG: Address = Address { conversation: None, client_msg_id: None };

fn person(user_id: &str) -> Result<Address, v1::Error> {
    id::<UserId>("userId", user_id).map(|_| OWN_LOG)
}

fn request_address(body: Bytes) -> Result<Address, v1::Error> {
    let request: v1::RequestContactRequest = decode(body)?;
    text::note("note", &request.note, MAX_NOTE)?;
    person(&request.user_id)
}

fn request_command(body: Bytes, stamp: Stamp) -> Result<Command, v1::Error> {
    let request: v1::RequestContactRequest = decode(body)?;
    let to = other("userId", &request.user_id, stamp.caller)?;
    let note = text::note("note", &request.note, MAX_NOTE)?;
    let origin = origin(stamp, request_hash(REQUEST_CONTACT, &request));
    Ok(Command::RequestContact { origin, to, note, conversation: LogId::new_v7() })
}

fn request_reply(done: &Done) -> Result<Bytes, v1::Error> {
    let (state, conversation_id) = match done {
        Done::Requested => (v1::ContactState::Requested, String::new()),
        Done::Accepted { conversation } => (v1::ContactState::Accepted, conversation.to_string()),
        other => return Err(unexpected(other)),
    };
    Ok(encode(&v1::RequestContactResponse { state: state.into(), conversation_id }))
}

fn accept_command(body: Bytes, stamp: Stamp) -> Result<Command, v1::Error> {
    let request: v1::AcceptContactRequest = decode(body)?;
    let from = other("userId", &request.user_id, stamp.caller)?;
    let origin = origin(stamp, request_hash(ACCEPT_CONTACT, &request));
    Ok(Command::AcceptContact { origin, from, conversation: LogId::new_v7() })
}

fn accept_reply(done: &Done) -> Result<Bytes, v1::Error> {
    match done {
        Done::Accepted { conversation } => {
            Ok(encode(&v1::AcceptContactResponse { conversation_id: conversation.to_string() }))
        }
        other => Err(unexpected(other)),
    }
}

fn remove_command(body: Bytes, stamp: Stamp) -> Result<Command, v1::Error> {
    let request: v1::RemoveContactRequest = decode(body)?;
    let peer = other("userId", &request.user_id, stamp.caller)?;
    Ok(Command::RemoveContact { origin: origin(stamp, request_hash(REMOVE_CONTACT, &request)), peer })
}

/// Their clients name no calls: the name that each has on the bus tells one that is given again from another of the same words.
fn origin(stamp: Stamp, request_hash: Hash) -> Origin {
    stamp.origin(stamp.id.into(), request_hash)
}

fn other(field: &str, user_id: &str, caller: Caller) -> Result<UserId, v1::Error> {
    let user: UserId = id(field, user_id)?;
    if user == caller.user {
        return Err(ErrorCode::Yourself.with("one cannot be one's own contact"));
    }
    Ok(user)
}
