//! RevokeInvite: ends a code.

use gogochat_proto::v1;
use gogochat_storage::store::{Command, Done, GroupAct};
use uuid::Uuid;

use super::fields::{Ruling, code};
use crate::command::{Address, Ordered, Request, Stamp, WhenLate, request_hash};

/// The request.
pub(crate) struct RevokeInvite {
    ruling: Ruling,
    code: Uuid,
    /// As it is hashed: the log's id in its one spelling, without the name.
    wire: v1::RevokeInviteRequest,
}

impl Ordered for RevokeInvite {
    const NAME: &'static str = "gogochat.v1.ChatService/RevokeInvite";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    type Wire = v1::RevokeInviteRequest;
    type Reply = v1::RevokeInviteResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let ruling = Ruling::parse(&wire.conversation_id, &wire.client_msg_id)?;
        let code = code(&wire.code)?;
        wire.conversation_id = ruling.log_id();
        wire.client_msg_id = String::new();
        Ok(Self { ruling, code, wire })
    }

    fn reply(_: &Done) -> Option<Self::Reply> {
        Some(v1::RevokeInviteResponse {})
    }
}

impl Request for RevokeInvite {
    fn address(&self) -> Address {
        self.ruling.address()
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let hash = request_hash(Self::NAME, &self.wire);
        let act = GroupAct::Revoke { code: self.code };
        Ok(self.ruling.command(stamp, hash, act))
    }
}
