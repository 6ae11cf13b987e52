//! JoinGroup: joins an open group.

use gogochat_proto::{
    ids::{ClientMsgId, LogId},
    v1,
};
use gogochat_storage::store::{Command, Done, JoinBy};

use crate::{
    command::{Address, Ordered, Request, Stamp, WhenLate, request_hash},
    failure::id,
};

/// The request.
pub(crate) struct JoinGroup {
    log: LogId,
    client_msg_id: Option<ClientMsgId>,
    /// As it is hashed: without the name.
    wire: v1::JoinGroupRequest,
}

impl Ordered for JoinGroup {
    const NAME: &'static str = "gogochat.v1.ChatService/JoinGroup";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    const FORESEEN: bool = true;
    type Wire = v1::JoinGroupRequest;
    type Reply = v1::JoinGroupResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let log: LogId = id("conversationId", &wire.conversation_id)?;
        let named = (!wire.client_msg_id.is_empty()).then(|| id("clientMsgId", &wire.client_msg_id));
        let client_msg_id = named.transpose()?;
        wire.conversation_id = log.to_string();
        wire.client_msg_id = String::new();
        Ok(Self { log, client_msg_id, wire })
    }

    fn reply(done: &Done) -> Option<Self::Reply> {
        matches!(done, Done::Joined { .. }).then_some(v1::JoinGroupResponse {})
    }
}

impl Request for JoinGroup {
    fn address(&self) -> Address {
        Address { conversation: Some(self.log), client_msg_id: self.client_msg_id }
    }

    fn rows(&self) -> usize {
        ROWS
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let name = self.client_msg_id.unwrap_or_else(|| stamp.id.into());
        let origin = stamp.origin(name, request_hash(Self::NAME, &self.wire));
        Ok(Command::Join { origin, by: JoinBy::Oneself(self.log) })
    }
}

const ROWS: usize = 16;
