//! BlockPerson: blocks somebody.

use gogochat_proto::{ids::UserId, v1};
use gogochat_storage::store::{Command, Done};

use super::own_log::{OWN_LOG, ROWS, origin, refuse_caller};
use crate::{
    command::{Address, Ordered, Request, Stamp, WhenLate, request_hash},
    failure::id,
};

/// The request.
pub(crate) struct BlockPerson {
    peer: UserId,
    /// As it is hashed.
    wire: v1::BlockPersonRequest,
}

impl Ordered for BlockPerson {
    const NAME: &'static str = "gogochat.v1.SocialService/BlockPerson";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    const FORESEEN: bool = true;
    type Wire = v1::BlockPersonRequest;
    type Reply = v1::BlockPersonResponse;

    fn parse(wire: Self::Wire) -> Result<Self, v1::Error> {
        Ok(Self { peer: id("userId", &wire.user_id)?, wire })
    }

    fn reply(_: &Done) -> Option<Self::Reply> {
        Some(v1::BlockPersonResponse {})
    }
}

impl Request for BlockPerson {
    fn address(&self) -> Address {
        OWN_LOG
    }

    fn rows(&self) -> usize {
        ROWS
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        refuse_caller(self.peer, stamp)?;
        let origin = origin(stamp, request_hash(Self::NAME, &self.wire));
        Ok(Command::Block { origin, peer: self.peer })
    }
}
