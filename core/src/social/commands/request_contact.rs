//! RequestContact: asks somebody to be a contact, or accepts where the other has asked before.

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_NOTE,
    v1,
};
use gogochat_storage::store::{Command, Done};

use super::own_log::{OWN_LOG, ROWS, origin, refuse_caller};
use crate::{
    command::{Address, Ordered, Request, Stamp, WhenLate, request_hash},
    failure::id,
    text,
};

/// The request.
pub(crate) struct RequestContact {
    to: UserId,
    note: String,
    /// As it is hashed.
    wire: v1::RequestContactRequest,
}

impl Ordered for RequestContact {
    const NAME: &'static str = "gogochat.v1.SocialService/RequestContact";
    const WHEN_LATE: WhenLate = WhenLate::Refused;
    const FORESEEN: bool = true;
    type Wire = v1::RequestContactRequest;
    type Reply = v1::RequestContactResponse;

    fn parse(wire: Self::Wire) -> Result<Self, v1::Error> {
        let note = text::note("note", &wire.note, MAX_NOTE)?;
        Ok(Self { to: id("userId", &wire.user_id)?, note, wire })
    }

    fn reply(done: &Done) -> Option<Self::Reply> {
        let (state, conversation_id) = match done {
            Done::Requested => (v1::ContactState::Requested, String::new()),
            Done::Accepted { conversation } => (v1::ContactState::Accepted, conversation.to_string()),
            _ => return None,
        };
        Some(v1::RequestContactResponse { state: state.into(), conversation_id })
    }
}

impl Request for RequestContact {
    fn address(&self) -> Address {
        OWN_LOG
    }

    fn rows(&self) -> usize {
        ROWS
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        refuse_caller(self.to, stamp)?;
        let origin = origin(stamp, request_hash(Self::NAME, &self.wire));
        Ok(Command::RequestContact { origin, to: self.to, note: self.note, conversation: LogId::new_v7() })
    }
}
