//! MuteMember: a member may not write for a while, or may again.

use gogochat_proto::{error::violation, ids::UserId, v1};
use gogochat_storage::store::{Command, Done, GroupAct, Millis};

use super::fields::{Ruling, other};
use crate::{
    command::{Address, Ordered, Request, Stamp, WhenLate, request_hash},
    failure::id,
};

/// The request.
pub(crate) struct MuteMember {
    ruling: Ruling,
    user: UserId,
    for_ms: Millis,
    /// As it is hashed: the log's id in its one spelling, without the name.
    wire: v1::MuteMemberRequest,
}

impl Ordered for MuteMember {
    const NAME: &'static str = "gogochat.v1.ChatService/MuteMember";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    type Wire = v1::MuteMemberRequest;
    type Reply = v1::MuteMemberResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        let ruling = Ruling::parse(&wire.conversation_id, &wire.client_msg_id)?;
        let user = id("userId", &wire.user_id)?;
        let for_ms = wire.for_ms;
        if !(0..=MAX_MUTE_MS).contains(&for_ms) {
            return Err(violation("forMs", "from 0 to ten years"));
        }
        wire.conversation_id = ruling.log_id();
        wire.client_msg_id = String::new();
        Ok(Self { ruling, user, for_ms, wire })
    }

    fn reply(_: &Done) -> Option<Self::Reply> {
        Some(v1::MuteMemberResponse {})
    }
}

impl Request for MuteMember {
    fn address(&self) -> Address {
        self.ruling.address()
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let hash = request_hash(Self::NAME, &self.wire);
        let until_ms = if self.for_ms == 0 { 0 } else { stamp.now + self.for_ms };
        let act = GroupAct::Mute { user: other(self.user, stamp)?, until_ms };
        Ok(self.ruling.command(stamp, hash, act))
    }
}

/// Ten years.
const MAX_MUTE_MS: Millis = 10 * 365 * 24 * 3_600 * 1_000;
