//! CreateGroup: makes a group. The command belongs to the creator's own log.

use gogochat_proto::{
    ids::{ClientMsgId, LogId, UserId},
    limits::MAX_TITLE,
    v1,
};
use gogochat_storage::store::{Command, Done};

use super::fields::users;
use crate::{
    command::{Address, Ordered, Request, Stamp, WhenLate, request_hash},
    failure::id,
    text,
};

/// The request.
pub(crate) struct CreateGroup {
    client_msg_id: ClientMsgId,
    title: String,
    members: Vec<UserId>,
    /// As it is hashed: without the name.
    wire: v1::CreateGroupRequest,
}

impl Ordered for CreateGroup {
    const NAME: &'static str = "gogochat.v1.ChatService/CreateGroup";
    const WHEN_LATE: WhenLate = WhenLate::Committed;
    const FORESEEN: bool = true;
    type Wire = v1::CreateGroupRequest;
    type Reply = v1::CreateGroupResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let title = text::line("title", &wire.title, MAX_TITLE)?;
        let members = users("memberIds", &wire.member_ids)?;
        let client_msg_id = id("clientMsgId", &wire.client_msg_id)?;
        wire.client_msg_id = String::new();
        Ok(Self { client_msg_id, title, members, wire })
    }

    fn reply(done: &Done) -> Option<Self::Reply> {
        match done {
            Done::Created { conversation } => {
                Some(v1::CreateGroupResponse { conversation_id: conversation.to_string() })
            }
            _ => None,
        }
    }
}

impl Request for CreateGroup {
    fn address(&self) -> Address {
        Address { conversation: None, client_msg_id: Some(self.client_msg_id) }
    }

    fn rows(&self) -> usize {
        Command::rows_of(self.members.len())
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let origin = stamp.origin(self.client_msg_id, request_hash(Self::NAME, &self.wire));
        let Self { title, mut members, .. } = *self;
        members.retain(|user| *user != stamp.caller.user);
        Ok(Command::CreateGroup { log: LogId::new_v7(), origin, title, members })
    }
}
