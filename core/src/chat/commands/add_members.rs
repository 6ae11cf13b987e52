//! AddMembers: brings users into a group.

use gogochat_proto::{error::violation, ids::UserId, v1};
use gogochat_storage::store::{Command, Done};

use super::fields::{Named, users};
use crate::command::{Address, Ordered, Request, Stamp, WhenLate, request_hash};

/// The request.
pub(crate) struct AddMembers {
    named: Named,
    users: Vec<UserId>,
    /// As it is hashed: the log's id in its one spelling, without the name.
    wire: v1::AddMembersRequest,
}

impl Ordered for AddMembers {
    const NAME: &'static str = "gogochat.v1.ChatService/AddMembers";
    const WHEN_LATE: WhenLate = WhenLate::Committed;
    const FORESEEN: bool = true;
    type Wire = v1::AddMembersRequest;
    type Reply = v1::AddMembersResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let users = users("userIds", &wire.user_ids)?;
        if users.is_empty() {
            return Err(violation("userIds", "at least one"));
        }
        let named = Named::parse(&wire.conversation_id, &wire.client_msg_id)?;
        wire.conversation_id = named.log.to_string();
        wire.client_msg_id = String::new();
        Ok(Self { named, users, wire })
    }

    fn reply(done: &Done) -> Option<Self::Reply> {
        match *done {
            Done::Added { added, member_count } => Some(v1::AddMembersResponse {
                added: i32::try_from(added).unwrap_or(i32::MAX),
                member_count: i32::try_from(member_count).unwrap_or(i32::MAX),
            }),
            _ => None,
        }
    }
}

impl Request for AddMembers {
    fn address(&self) -> Address {
        self.named.address()
    }

    fn rows(&self) -> usize {
        Command::rows_of(self.users.len())
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let origin = stamp.origin(self.named.client_msg_id, request_hash(Self::NAME, &self.wire));
        Ok(Command::AddMembers { log: self.named.log, origin, users: self.users })
    }
}
