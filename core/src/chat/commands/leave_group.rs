//! LeaveGroup: takes the caller out of a group.

use gogochat_proto::v1;
use gogochat_storage::store::{Command, Done};

use super::fields::Named;
use crate::command::{Address, Ordered, Request, Stamp, WhenLate, request_hash};

/// The request.
pub(crate) struct LeaveGroup {
    named: Named,
}

impl Ordered for LeaveGroup {
    const NAME: &'static str = "gogochat.v1.ChatService/LeaveGroup";
    const WHEN_LATE: WhenLate = WhenLate::Committed;
    type Wire = v1::LeaveGroupRequest;
    type Reply = v1::LeaveGroupResponse;

    fn parse(wire: Self::Wire) -> Result<Self, v1::Error> {
        Ok(Self { named: Named::parse(&wire.conversation_id, &wire.client_msg_id)? })
    }

    fn reply(_: &Done) -> Option<Self::Reply> {
        Some(v1::LeaveGroupResponse {})
    }
}

impl Request for LeaveGroup {
    fn address(&self) -> Address {
        self.named.address()
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let Named { log, client_msg_id } = self.named;
        let hashed = v1::LeaveGroupRequest { conversation_id: log.to_string(), client_msg_id: String::new() };
        Ok(Command::LeaveGroup { log, origin: stamp.origin(client_msg_id, request_hash(Self::NAME, &hashed)) })
    }
}
