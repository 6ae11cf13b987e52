//! TransferGroup: makes another member the owner.

use gogochat_proto::{ids::UserId, v1};
use gogochat_storage::store::{Command, Done, GroupAct, Role};

use super::fields::{Ruling, other};
use crate::{
    command::{Address, Ordered, Request, Stamp, WhenLate, request_hash},
    failure::id,
};

/// The request.
pub(crate) struct TransferGroup {
    ruling: Ruling,
    user: UserId,
    /// As it is hashed: the log's id in its one spelling, without the name.
    wire: v1::TransferGroupRequest,
}

impl Ordered for TransferGroup {
    const NAME: &'static str = "gogochat.v1.ChatService/TransferGroup";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    type Wire = v1::TransferGroupRequest;
    type Reply = v1::TransferGroupResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let ruling = Ruling::parse(&wire.conversation_id, &wire.client_msg_id)?;
        let user = id("userId", &wire.user_id)?;
        wire.conversation_id = ruling.log_id();
        wire.client_msg_id = String::new();
        Ok(Self { ruling, user, wire })
    }

    fn reply(_: &Done) -> Option<Self::Reply> {
        Some(v1::TransferGroupResponse {})
    }
}

impl Request for TransferGroup {
    fn address(&self) -> Address {
        self.ruling.address()
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let hash = request_hash(Self::NAME, &self.wire);
        let act = GroupAct::SetRole { user: other(self.user, stamp)?, role: Role::Owner };
        Ok(self.ruling.command(stamp, hash, act))
    }
}
