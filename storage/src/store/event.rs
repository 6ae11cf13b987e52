//! Events: the entries of logs.

use bytes::Bytes;
use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};

use super::Millis;

/// A part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// seq > the given one, the oldest of them first.
    After(i64),
    /// at_least <= seq < before, the newest of them (given in ascending order all the same).
    Before {
        /// Below this; `i64::MAX` for the newest.
        before: i64,
        /// From here.
        at_least: i64,
    },
}

/// An event in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The log.
    pub log: LogId,
    /// Its place there, from 1, without gaps.
    pub seq: i64,
    /// When it was committed.
    pub time_ms: Millis,
    /// Who caused it.
    pub sender: UserId,
    /// From which device; `None` for what the system wrote into a user's own log.
    pub device: Option<DeviceId>,
    /// The device's name for the command.
    pub client_msg_id: Option<ClientMsgId>,
    /// An encoded `gogochat.v1.Event` with nothing but its body.
    pub payload: Bytes,
    /// In users' own logs, right after the commit: what that user's sessions now hear. Not kept:
    /// `None` on events that were read.
    pub subscription: Option<SubscriptionChange>,
}

/// A user's sessions begin or cease to hear a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionChange {
    /// From the event after `from_seq` on.
    Subscribe {
        /// The conversation.
        log: LogId,
        /// The last seq that they are not sent.
        from_seq: i64,
    },
    /// No more.
    Unsubscribe {
        /// The conversation.
        log: LogId,
    },
}
