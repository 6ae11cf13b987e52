//! Methods of the ordered lane: each is checked where it comes in, carried by the bus, and read again by the worker that commits it.

use bytes::Bytes;
use gogochat_proto::{
    error::ErrorCode,
    ids::{ClientMsgId, CommandId, LogId},
    partition::partition,
    v1,
};
use gogochat_storage::store::{Command, Done, Hash, Millis, Origin};
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::{authorize::Caller, seldom::Seldom};

/// An ordered method: how its request becomes a command, and the command's result a reply.
pub(crate) struct Ordered {
    /// "gogochat.v1.ChatService/SendMessage".
    pub(crate) name: &'static str,
    /// Reads the request as far as its way is concerned, and refuses what can never be carried out.
    pub(crate) address: fn(Bytes) -> Result<Address, v1::Error>,
    /// The command of a request.
    pub(crate) command: fn(Bytes, Stamp) -> Result<Command, v1::Error>,
    /// What becomes of it when it was long on its way.
    pub(crate) late: Late,
    /// The reply.
    pub(crate) reply: fn(&Done) -> Result<Bytes, v1::Error>,
}

/// What the server knows of a request as it carries it out.
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

/// What becomes of a command that the bus gives later than [`TOO_LATE`] after it came, because no core was there to take it: its sender was told long since
/// that it is not sure what became of it, or has given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// It is carried out all the same: it has a name by which its sender repeats it, perhaps still does, and is told of it whenever it is carried out; and
    /// what the same sender sent behind it must not get in front of it.
    CarriedOut,
    /// It is refused, to be repeated by who still wants it: it has no name, its sender has seen how things stand since and gone on from there, and what was meant
    /// for how they stood then may undo what was agreed since.
    Refused,
}

impl Late {
    /// Refuses what is too late to be carried out. One that comes from the future, or does not say when it came, does not.
    ///
    /// # Errors
    /// `deadline_exceeded`.
    pub(crate) fn admit(self, published: Millis, now: Millis) -> Result<(), v1::Error> {
        let age = now.saturating_sub(published);
        if self == Self::CarriedOut || published == 0 || age <= TOO_LATE {
            return Ok(());
        }
        if let Some(times) = REFUSED.due() {
            tracing::warn!(
                times,
                "a command came {} s late, and was refused: no core took commands then, or the clocks of cores differ",
                age / 1_000
            );
        }
        Err(ErrorCode::DeadlineExceeded.with("it was too long on its way: repeat it"))
    }
}

static REFUSED: Seldom = Seldom::new();
/// Far past what anybody waits for an answer (a call 10 s, a client 30 s with all its repeats), and past what the clocks of two cores may differ by while anything
/// else is well.
const TOO_LATE: Millis = 5 * 60 * 1_000;

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
    fn late_is_what_came_before_the_limit_and_says_so() {
        let now = 1_800_000_000_000;
        for published in [now - TOO_LATE, now, now + 10 * TOO_LATE, 0] {
            assert_eq!(Late::Refused.admit(published, now), Ok(()), "{published}");
        }
        let refused = Late::Refused.admit(now - TOO_LATE - 1, now).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.retryable()), ("deadline_exceeded", true));
        assert_eq!(Late::CarriedOut.admit(1, now), Ok(()));
    }

    #[test]
    fn the_partition_is_that_of_the_key() {
        let log = LogId::new_v7();
        assert_eq!(partition_of(log), partition(log.to_string().as_bytes()));
    }
}
