//! The outputs of a session, and what the inputs other than frames result in.

use std::time::Instant;

use bytes::Bytes;
use gogochat_proto::{ids::LogId, method::Method, node, v1};

use super::calls::{Begun, ReplyTo};
use crate::{principal::Principal, tickets::TokenHash};

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Output {
    /// Have the core open the session, or go on with another token of the same device.
    Open(v1::Hello),
    /// Send an ordered call on: see [`super::Session::route`].
    Ordered { call: v1::Call, begun: Begun },
    /// Send a call on by itself.
    Unordered(v1::Call, &'static Method),
    /// Answer a call with an error.
    Refuse(u32, ReplyTo, v1::Error),
    /// Send marks on.
    Marks(Vec<node::MarkUp>),
    /// Send typing on, if the session is subscribed to the log.
    Ephemeral(LogId, Bytes),
    /// Ask the client whether it is there.
    Ping(v1::Ping),
    /// Answer the client, who asked that.
    Pong(v1::Pong),
}

/// By what a core is to know whose session it opens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The access token.
    Token(String),
    /// A good ticket, with the token that it came with.
    Ticket(Principal, TokenHash),
    /// It is live already.
    Live(Principal),
}

/// What it means that a core has opened a session. Where the session was about to move to yet another
/// stream, that one is `abandoned`: it goes on there no more, and the core there need not keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It is open for somebody else, or nobody has asked: it has to end.
    Mismatch,
    /// This answers the client's Hello.
    Answer {
        /// See [`Opened`].
        abandoned: Option<u64>,
    },
    /// The session moves, or the stream to its core was opened anew. The client need not know.
    Move {
        /// See [`Opened`].
        abandoned: Option<u64>,
    },
}

/// Where an ordered call is to go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallRoute {
    /// On this stream. The session has `left` another by that.
    Open {
        /// The stream.
        stream: u64,
        /// The stream that the session has left.
        left: Option<u64>,
    },
    /// The session is open on none.
    Closed,
    /// The session moves to another core: what came before has to be answered first.
    Wait,
    /// It was refused meanwhile.
    Gone,
}

/// Whether more is to be read from the client now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Yes.
    On,
    /// Not before its session is open.
    Held,
    /// Not before then: it has sent more frames than its budget has room for.
    Until(Instant),
}
