//! Mark: moves the caller's marks. Marks only grow, so this needs no order, no `client_msg_id`, and no
//! bus: only a core of the release before puts it there.

use bytes::Bytes;
use gogochat_proto::{error::violation, ids::LogId, v1};
use gogochat_storage::store::{self, Command, Done};

use crate::{
    authorize::Caller,
    command::{Address, Ordered, Request, Stamp, WhenLate},
    failure::{decode, id},
};

/// The request. Also the method that a realtime frame of marks stands for.
pub(crate) struct Mark {
    log: LogId,
    delivered: i64,
    read: i64,
}

impl Mark {
    /// The mark that an encoded request asks for.
    ///
    /// # Errors
    /// As [`Ordered::parse`].
    pub(crate) fn read(body: Bytes, caller: Caller) -> Result<store::Mark, v1::Error> {
        let Self { log, delivered, read } = Self::parse(decode(body)?)?;
        Ok(store::Mark { log, user: caller.user, delivered, read })
    }
}

impl Ordered for Mark {
    const NAME: &'static str = "gogochat.v1.ChatService/Mark";
    const WHEN_LATE: WhenLate = WhenLate::Committed;
    type Wire = v1::MarkRequest;
    type Reply = v1::MarkResponse;

    fn parse(wire: Self::Wire) -> Result<Self, v1::Error> {
        for (field, seq) in [("deliveredSeq", wire.delivered_seq), ("readSeq", wire.read_seq)] {
            if seq < 0 {
                return Err(violation(field, "must not be negative"));
            }
        }
        let log = id("conversationId", &wire.conversation_id)?;
        Ok(Self { log, delivered: wire.delivered_seq, read: wire.read_seq })
    }

    fn reply(done: &Done) -> Option<Self::Reply> {
        match *done {
            Done::Marked { delivered, read } => Some(v1::MarkResponse { delivered_seq: delivered, read_seq: read }),
            _ => None,
        }
    }
}

impl Request for Mark {
    fn address(&self) -> Address {
        Address { conversation: Some(self.log), client_msg_id: None }
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let Self { log, delivered, read } = *self;
        Ok(Command::Mark { log, user: stamp.caller.user, delivered, read })
    }
}
