//! AcceptContact: agrees to a request.

use gogochat_proto::{
    ids::{LogId, UserId},
    v1,
};
use gogochat_storage::store::{Command, Done};

use super::own_log::{OWN_LOG, ROWS, origin, refuse_caller};
use crate::{
    command::{Address, Ordered, Request, Stamp, WhenLate, request_hash},
    failure::id,
};

/// The request.
pub(crate) struct AcceptContact {
    from: UserId,
    /// As it is hashed.
    wire: v1::AcceptContactRequest,
}

impl Ordered for AcceptContact {
    const NAME: &'static str = "gogochat.v1.SocialService/AcceptContact";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    const FORESEEN: bool = true;
    type Wire = v1::AcceptContactRequest;
    type Reply = v1::AcceptContactResponse;

    fn parse(wire: Self::Wire) -> Result<Self, v1::Error> {
        Ok(Self { from: id("userId", &wire.user_id)?, wire })
    }

    fn reply(done: &Done) -> Option<Self::Reply> {
        match done {
            Done::Accepted { conversation } => {
                Some(v1::AcceptContactResponse { conversation_id: conversation.to_string() })
            }
            _ => None,
        }
    }
}

impl Request for AcceptContact {
    fn address(&self) -> Address {
        OWN_LOG
    }

    fn rows(&self) -> usize {
        ROWS
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        refuse_caller(self.from, stamp)?;
        let origin = origin(stamp, request_hash(Self::NAME, &self.wire));
        Ok(Command::AcceptContact { origin, from: self.from, conversation: LogId::new_v7() })
    }
}
