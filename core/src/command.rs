//! Methods of the ordered lane: each is checked where it comes in, carried by the bus, and read again by the worker that commits it.

use bytes::Bytes;
use gogochat_proto::{
    error::ErrorCode,
    ids::{ClientMsgId, LogId},
    partition::partition,
    v1,
};
use gogochat_storage::store::{Command, Done, Hash, Millis};
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::authorize::Caller;

/// An ordered method: how its request becomes a command, and the command's result a reply.
pub(crate) struct Ordered {
    /// "gogochat.v1.ChatService/SendMessage".
    pub(crate) name: &'static str,
    /// Reads the request as far as its way is concerned, and refuses what can never be carried out.
    pub(crate) address: fn(Bytes) -> Result<Address, v1::Error>,
    /// The command of a request.
    pub(crate) command: fn(Bytes, Caller, Millis) -> Result<Command, v1::Error>,
    /// The reply.
    pub(crate) reply: fn(&Done) -> Result<Bytes, v1::Error>,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    /// The conversation; `None`: the caller's own log.
    pub(crate) conversation: Option<LogId>,
    /// The device's name for it, if it keeps an order.
    pub(crate) client_msg_id: Option<ClientMsgId>,
}

/// The hash that tells a repeat from another request of the same name: of the method and the request, encoded as we encode it.
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

/// The store carried out another command than it was given.
pub(crate) fn unexpected(done: &Done) -> v1::Error {
    tracing::error!(?done, "a result that does not belong to its command");
    ErrorCode::Internal.with("a fault of the server")
}

/// The partition of a log. Any node computes the same from the id's text, which is the key that a client gives.
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
