//! SendMessage: says something in a conversation.

use gogochat_proto::{
    error::{ErrorCode, violation},
    limits::MAX_TEXT,
    text::is_visible,
    v1::{self, event::Body},
};
use gogochat_storage::store::{Command, Done};

use super::fields::Named;
use crate::{
    command::{Address, Ordered, Request, Stamp, WhenLate, request_hash},
    log,
};

/// The request.
pub(crate) struct SendMessage {
    named: Named,
    /// As it is hashed: the log's id in its one spelling, without the name.
    wire: v1::SendMessageRequest,
}

impl Ordered for SendMessage {
    const NAME: &'static str = "gogochat.v1.ChatService/SendMessage";
    const WHEN_LATE: WhenLate = WhenLate::Committed;
    type Wire = v1::SendMessageRequest;
    type Reply = v1::SendMessageResponse;

    fn parse(mut wire: Self::Wire) -> Result<Self, v1::Error> {
        if wire.text.len() > MAX_TEXT {
            return Err(ErrorCode::TextTooLong.with(format!("the text is over {MAX_TEXT} bytes")));
        }
        if !is_visible(&wire.text) {
            return Err(violation("text", "must show something"));
        }
        let named = Named::parse(&wire.conversation_id, &wire.client_msg_id)?;
        wire.conversation_id = named.log.to_string();
        wire.client_msg_id = String::new();
        Ok(Self { named, wire })
    }

    fn reply(done: &Done) -> Option<Self::Reply> {
        match *done {
            Done::Appended { seq, time_ms, duplicate } => Some(v1::SendMessageResponse { seq, time_ms, duplicate }),
            _ => None,
        }
    }
}

impl Request for SendMessage {
    fn address(&self) -> Address {
        self.named.address()
    }

    fn command(self: Box<Self>, stamp: Stamp) -> Result<Command, v1::Error> {
        let origin = stamp.origin(self.named.client_msg_id, request_hash(Self::NAME, &self.wire));
        let payload = log::payload(Body::Message(v1::Message { text: self.wire.text }));
        Ok(Command::Append { log: self.named.log, origin, payload })
    }
}
