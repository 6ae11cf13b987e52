//! JoinByInvite: joins a group by a code, in the caller's own log: which group it is the store finds out.

use gogochat_proto::{ids::ClientMsgId, v1};
use gogochat_storage::store::{Command, Done, JoinBy};
use uuid::Uuid;

use super::fields::code;
use crate::{
    command::{Address, Ordered, Request, Stamp, WhenLate, request_hash},
    failure::id,
};

/// The request.
pub(crate) struct JoinByInvite {
    code: Uuid,
    client_msg_id: Option<ClientMsgId>,
    /// As it is hashed: without the name.
    wire: v1::JoinByInviteRequest,
}

impl Ordered for JoinByInvite {
    const NAME: &'static str = "gogochat.v1.ChatService/JoinByInvite";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    const FORESEEN: bool = true;
    type Wire = v1::JoinByInviteRequest;
    type Reply = v1::JoinByInviteResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let code = code(&wire.code)?;
        let named = (!wire.client_msg_id.is_empty()).then(|| id("clientMsgId", &wire.client_msg_id));
        let client_msg_id = named.transpose()?;
        wire.client_msg_id = String::new();
        Ok(Self { code, client_msg_id, wire })
    }

    fn reply(done: &Done) -> Option<Self::Reply> {
        match done {
            Done::Joined { conversation } => {
                Some(v1::JoinByInviteResponse { conversation_id: conversation.to_string() })
            }
            _ => None,
        }
    }
}

impl Request for JoinByInvite {
    fn address(&self) -> Address {
        Address { conversation: None, client_msg_id: self.client_msg_id }
    }

    fn rows(&self) -> usize {
        ROWS
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let name = self.client_msg_id.unwrap_or_else(|| stamp.id.into());
        let origin = stamp.origin(name, request_hash(Self::NAME, &self.wire));
        Ok(Command::Join { origin, by: JoinBy::Invite(self.code) })
    }
}

const ROWS: usize = 16;
