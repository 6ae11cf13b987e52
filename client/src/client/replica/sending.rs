//! What goes out: messages of the outbox, calls of the application's, marks, typing.

use bytes::Bytes;
use gogochat_proto::{
    ids::LogId,
    v1::{self, client_frame::Frame},
};
use prost::Message;
use tokio::time::Instant;

use super::{
    super::{
        Update,
        calls::Purpose,
        outbox::{Fate, Item},
    },
    Output, Replica, Timer,
};
use crate::{CallError, Closed};

impl Replica {
    /// Queues a message.
    pub(crate) fn post(&mut self, now: Instant, conversation: LogId, client_msg_id: String, text: String) {
        let request = v1::SendMessageRequest {
            conversation_id: conversation.to_string(),
            client_msg_id: client_msg_id.clone(),
            text,
        };
        self.outbox.push(conversation, Item { client_msg_id, body: request.encode_to_vec().into() });
        self.send_waiting(now);
    }

    /// Makes a call of the application's. Off line it fails at once.
    pub(crate) fn call(
        &mut self,
        now: Instant,
        method: &str,
        key: String,
        body: Bytes,
        reply: tokio::sync::oneshot::Sender<Result<Bytes, CallError>>,
    ) {
        if self.online {
            let call = self.calls.make(now, method, key, body, Purpose::User(reply));
            self.out.push_back(Output::Frame(Frame::Call(call)));
        } else {
            let _ = reply.send(Err(Closed::broken("there is no session at the moment").into()));
        }
    }

    /// The user has seen everything up to `seq`.
    pub(crate) fn read(&mut self, now: Instant, conversation: LogId, seq: i64) {
        self.marks.read(conversation, seq);
        self.send_marks(now);
    }

    /// The user types, or has stopped.
    pub(crate) fn typing(&mut self, conversation: LogId, stopped: bool) {
        if self.online {
            self.out.push_back(Output::Lossy(crate::session::typing(&conversation.to_string(), stopped)));
        }
    }

    pub(super) fn sent(
        &mut self,
        now: Instant,
        conversation: LogId,
        client_msg_id: String,
        outcome: Result<v1::SendMessageResponse, v1::Error>,
    ) {
        let answered = match &outcome {
            Ok(_) => self.outbox.acknowledged(now, conversation, &client_msg_id),
            Err(error) => self.outbox.refused(now, conversation, &client_msg_id, error),
        };
        if let Some(at) = answered.wake {
            self.timer(at, Timer::Lane(conversation));
        }
        if answered.fate == Fate::Settled {
            self.update(Update::Sent { conversation_id: conversation.to_string(), client_msg_id, outcome });
        }
        self.send_waiting(now);
    }

    pub(super) fn send_waiting(&mut self, now: Instant) {
        while self.online
            && let Some((conversation, Item { client_msg_id, body })) = self.outbox.next()
        {
            let purpose = Purpose::Send { conversation, client_msg_id };
            let call = self.calls.make(now, SEND_MESSAGE, conversation.to_string(), body, purpose);
            self.out.push_back(Output::Frame(Frame::Call(call)));
        }
    }

    pub(super) fn send_marks(&mut self, now: Instant) {
        if self.online {
            let marks = self.marks.take(now);
            if !marks.is_empty() {
                self.out.push_back(Output::Frame(Frame::Marks(v1::Marks { marks })));
            }
        }
    }
}

pub(super) const SEND_MESSAGE: &str = "gogochat.v1.ChatService/SendMessage";
