//! Ordered methods. Each has a type for its requests, which says which log a request concerns and
//! makes the store's command of it.
//!
//! A request is decoded once where a core takes the call, and once more where a worker commits it:
//! the bus between them carries bytes.

mod late;

use std::fmt::Debug;

use bytes::Bytes;
use gogochat_proto::{
    ids::{ClientMsgId, CommandId, LogId},
    partition::partition,
    v1,
};
use gogochat_storage::{
    bus::{ROWS_OF_A_MESSAGE, ReplyTo},
    store::{Command, Done, Hash, Millis, Origin},
};
use prost::Message;
use sha2::{Digest as _, Sha256};

pub(crate) use self::late::WhenLate;
use crate::{
    authorize::Caller,
    failure::{decode, fault},
};

/// A request of an ordered method, decoded and checked.
pub(crate) trait Request: Send + Sync {
    /// Where it goes.
    fn address(&self) -> Address;

    /// Rows that the command may load and write: what it takes of a batch, and of its user's budget.
    fn rows(&self) -> usize {
        ROWS_OF_A_MESSAGE as usize
    }

    /// The command that the store carries out.
    ///
    /// # Errors
    /// It can never be carried out for this caller.
    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error>;
}

/// An ordered method, implemented by the type of its requests.
pub(crate) trait Ordered: Request + Sized + 'static {
    /// "gogochat.v1.ChatService/SendMessage".
    const NAME: &'static str;
    /// What becomes of a request that was long on its way.
    const WHEN_LATE: WhenLate;
    /// Whether a reader looks first whether it would be refused: it costs far more than a message, or
    /// somebody else's rows.
    const FORESEEN: bool = false;
    /// The request on the wire.
    type Wire: Message + Default;
    /// The reply on the wire.
    type Reply: Message;

    /// Checks a request as far as that needs neither its caller nor the store.
    ///
    /// # Errors
    /// It can never be carried out.
    fn parse(wire: Self::Wire) -> Result<Self, v1::Error>;

    /// The reply to what the store has done; `None`: that does not belong to this method.
    fn reply(done: &Done) -> Option<Self::Reply>;
}

/// An ordered method as a row of a table.
pub(crate) struct OrderedMethod {
    /// [`Ordered::NAME`].
    pub(crate) name: &'static str,
    /// [`Ordered::WHEN_LATE`].
    pub(crate) when_late: WhenLate,
    /// [`Ordered::FORESEEN`].
    pub(crate) foreseen: bool,
    /// Decodes a body and checks it.
    pub(crate) parse: fn(Bytes) -> Result<Box<dyn Request>, v1::Error>,
    /// The encoded reply to what the store has done.
    pub(crate) reply: fn(&Done) -> Result<Bytes, v1::Error>,
}

impl OrderedMethod {
    /// The row of a method.
    pub(crate) const fn of<M: Ordered>() -> Self {
        let (when_late, foreseen) = (M::WHEN_LATE, M::FORESEEN);
        Self { name: M::NAME, when_late, foreseen, parse: parse::<M>, reply: reply::<M> }
    }
}

fn parse<M: Ordered>(body: Bytes) -> Result<Box<dyn Request>, v1::Error> {
    Ok(Box::new(M::parse(decode(body)?)?))
}

fn reply<M: Ordered>(done: &Done) -> Result<Bytes, v1::Error> {
    M::reply(done).map(|reply| encode(&reply)).ok_or_else(|| {
        fault("the store carried out another command than it was given", &format_args!("{}: {done:?}", M::NAME))
    })
}

/// An ordered call that a core takes: it is about to go onto the bus.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Who sent it.
    pub(crate) caller: Caller,
    /// "gogochat.v1.ChatService/SendMessage".
    pub(crate) method: &'static str,
    /// Where it goes.
    pub(crate) to: Address,
    /// The encoded request.
    pub(crate) body: Bytes,
    /// [`Request::rows`].
    pub(crate) rows: usize,
    /// Where the answer goes.
    pub(crate) reply_to: ReplyTo,
}

/// What the worker knows of a request beside the request itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    /// Who sent it.
    pub(crate) caller: Caller,
    /// What it is called on the bus.
    pub(crate) id: CommandId,
    /// When.
    pub(crate) now: Millis,
}

impl Stamp {
    /// The origin of a command under a name.
    pub(crate) fn origin(&self, client_msg_id: ClientMsgId, request_hash: Hash) -> Origin {
        let Caller { user: sender, device } = self.caller;
        Origin { sender, device, client_msg_id, request_hash, now: self.now }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    /// The conversation; `None`: the caller's own log.
    pub(crate) conversation: Option<LogId>,
    /// The device's name for it, if it keeps an order.
    pub(crate) client_msg_id: Option<ClientMsgId>,
}

/// The hash that tells a repeat from another request of the same name: of the method and the request,
/// encoded as we encode it.
pub(crate) fn request_hash(method: &str, request: &impl Message) -> Hash {
    let mut hash = Sha256::new();
    hash.update(method.as_bytes());
    hash.update([0]);
    hash.update(request.encode_to_vec());
    hash.finalize().into()
}

/// An encoded reply.
pub(crate) fn encode(reply: &impl Message) -> Bytes {
    reply.encode_to_vec().into()
}

/// The partition of a log. Any node computes the same from the id's text, which is the key that a
/// client gives.
pub(crate) fn partition_of(log: LogId) -> u32 {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    partition(log.uuid().as_hyphenated().encode_lower(&mut text).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_is_that_of_the_key() {
        let log = LogId::new_v7();
        assert_eq!(partition_of(log), partition(log.to_string().as_bytes()));
    }
}
