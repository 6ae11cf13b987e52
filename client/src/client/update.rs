//! What a client tells its application.

use gogochat_proto::v1;

use crate::{Closed, Transport};

/// What a client tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// A session stands. Without an [`Self::Offline`] before it: it has taken the place of another,
    /// at a server that is going away.
    Online {
        /// Over this.
        transport: Transport,
        /// What the server said.
        welcome: v1::Welcome,
    },
    /// Everything that was missed has been handed out.
    CaughtUp,
    /// There is no session; the client connects again by itself.
    Offline {
        /// In words, for a log.
        why: String,
    },
    /// The next event of a log.
    Event(Box<v1::Event>),
    /// A log goes on after events that are not to be had any more; or the server has lost its end,
    /// and what follows are other events under seqs that were handed out before.
    Reset {
        /// The log.
        log_id: String,
    },
    /// A conversation is new to this device, or its head was told anew.
    Conversation(Box<v1::Conversation>),
    /// The user is no member any more.
    Gone {
        /// Of this conversation.
        conversation_id: String,
    },
    /// A message was acknowledged, or refused for good.
    Sent {
        /// Its conversation.
        conversation_id: String,
        /// Its id.
        client_msg_id: String,
        /// Its seq, or why it was refused.
        outcome: Result<v1::SendMessageResponse, v1::Error>,
    },
    /// Marks have moved: one's own, by another device, or how far all others have got.
    Watermark(v1::Watermark),
    /// Typing or presence.
    Ephemeral(v1::Ephemeral),
    /// The client has stopped for good: the device was signed out, the token is of no use, ...
    /// Nothing follows.
    Ended(Closed),
}
