//! SetMemberRole: what a member may do in a group.

use gogochat_proto::{error::violation, ids::UserId, v1};
use gogochat_storage::store::{Command, Done, GroupAct, Role};

use super::fields::{Ruling, other};
use crate::{
    command::{Address, Ordered, Request, Stamp, WhenLate, request_hash},
    failure::id,
};

/// The request.
pub(crate) struct SetMemberRole {
    ruling: Ruling,
    user: UserId,
    role: Role,
    /// As it is hashed: the log's id in its one spelling, without the name.
    wire: v1::SetMemberRoleRequest,
}

impl Ordered for SetMemberRole {
    const NAME: &'static str = "gogochat.v1.ChatService/SetMemberRole";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    type Wire = v1::SetMemberRoleRequest;
    type Reply = v1::SetMemberRoleResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let ruling = Ruling::parse(&wire.conversation_id, &wire.client_msg_id)?;
        let user = id("userId", &wire.user_id)?;
        let role = match wire.role() {
            v1::MemberRole::Unspecified => return Err(violation("role", "one of the three")),
            v1::MemberRole::Member => Role::Member,
            v1::MemberRole::Admin => Role::Admin,
            v1::MemberRole::Owner => Role::Owner,
        };
        wire.conversation_id = ruling.log_id();
        wire.client_msg_id = String::new();
        Ok(Self { ruling, user, role, wire })
    }

    fn reply(_: &Done) -> Option<Self::Reply> {
        Some(v1::SetMemberRoleResponse {})
    }
}

impl Request for SetMemberRole {
    fn address(&self) -> Address {
        self.ruling.address()
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let hash = request_hash(Self::NAME, &self.wire);
        let act = GroupAct::SetRole { user: other(self.user, stamp)?, role: self.role };
        Ok(self.ruling.command(stamp, hash, act))
    }
}
