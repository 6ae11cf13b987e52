//! DismissGroup: ends a group.

use gogochat_proto::v1;
use gogochat_storage::store::{Command, Done, GroupAct};

use super::fields::Ruling;
use crate::command::{Address, Ordered, Request, Stamp, WhenLate, request_hash};

/// The request.
pub(crate) struct DismissGroup {
    ruling: Ruling,
    /// As it is hashed: the log's id in its one spelling, without the name.
    wire: v1::DismissGroupRequest,
}

impl Ordered for DismissGroup {
    const NAME: &'static str = "gogochat.v1.ChatService/DismissGroup";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    type Wire = v1::DismissGroupRequest;
    type Reply = v1::DismissGroupResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let ruling = Ruling::parse(&wire.conversation_id, &wire.client_msg_id)?;
        wire.conversation_id = ruling.log_id();
        wire.client_msg_id = String::new();
        Ok(Self { ruling, wire })
    }

    fn reply(_: &Done) -> Option<Self::Reply> {
        Some(v1::DismissGroupResponse {})
    }
}

impl Request for DismissGroup {
    fn address(&self) -> Address {
        self.ruling.address()
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let hash = request_hash(Self::NAME, &self.wire);
        let act = GroupAct::Dismiss;
        Ok(self.ruling.command(stamp, hash, act))
    }
}
