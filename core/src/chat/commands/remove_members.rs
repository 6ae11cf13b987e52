//! RemoveMembers: takes members out of a group.

use gogochat_proto::{error::violation, ids::UserId, v1};
use gogochat_storage::store::{Command, Done};

use super::fields::{Ruling, other, users};
use crate::command::{Address, Ordered, Request, Stamp, WhenLate, request_hash};

/// The request.
pub(crate) struct RemoveMembers {
    ruling: Ruling,
    users: Vec<UserId>,
    /// As it is hashed: the log's id in its one spelling, without the name.
    wire: v1::RemoveMembersRequest,
}

impl Ordered for RemoveMembers {
    const NAME: &'static str = "gogochat.v1.ChatService/RemoveMembers";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    const FORESEEN: bool = true;
    type Wire = v1::RemoveMembersRequest;
    type Reply = v1::RemoveMembersResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let users = users("userIds", &wire.user_ids)?;
        if users.is_empty() {
            return Err(violation("userIds", "at least one"));
        }
        let ruling = Ruling::parse(&wire.conversation_id, &wire.client_msg_id)?;
        wire.conversation_id = ruling.log_id();
        wire.client_msg_id = String::new();
        Ok(Self { ruling, users, wire })
    }

    fn reply(done: &Done) -> Option<Self::Reply> {
        match *done {
            Done::Removed { removed, member_count } => Some(v1::RemoveMembersResponse {
                removed: i32::try_from(removed).unwrap_or(i32::MAX),
                member_count: i32::try_from(member_count).unwrap_or(i32::MAX),
            }),
            _ => None,
        }
    }
}

impl Request for RemoveMembers {
    fn address(&self) -> Address {
        self.ruling.address()
    }

    fn rows(&self) -> usize {
        Command::rows_of(self.users.len())
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        self.users.iter().try_for_each(|user| other(*user, stamp).map(drop))?;
        let (log, origin) = self.ruling.origin(stamp, request_hash(Self::NAME, &self.wire));
        Ok(Command::RemoveMembers { log, origin, users: self.users })
    }
}
