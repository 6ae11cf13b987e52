//! What goes out: messages of the outbox, calls of the application's, marks, typing.

use std::time::Duration;

use bytes::Bytes;
use gogochat_proto::{
    ids::LogId,
    method,
    v1::{self, client_frame::Frame},
};
use prost::Message;
use tokio::time::Instant;

use super::{
    super::{
        calls::{Asked, Purpose},
        outbox::{Fate, Item},
        update::Update,
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

    /// Makes a call of the application's. Off line it fails at once. One that carries a
    /// client_msg_id is repeated when it is refused for now: until it comes again, the server holds
    /// back what follows it in the conversation.
    pub(crate) fn call(
        &mut self,
        now: Instant,
        method: &str,
        key: String,
        body: Bytes,
        reply: tokio::sync::oneshot::Sender<Result<Bytes, CallError>>,
    ) {
        let repeatable = method::find(method).is_some_and(|method| method.repeatable);
        let until = repeatable.then(|| now + REPEATED);
        let asked = Asked { method: method.to_owned(), key, body, until, reply };
        if self.online {
            self.make(now, asked);
        } else {
            asked.answer(Err(Closed::broken("there is no session at the moment").into()));
        }
    }

    pub(super) fn make(&mut self, now: Instant, asked: Asked) {
        let (method, key, body) = (asked.method.clone(), asked.key.clone(), asked.body.clone());
        let call = self.calls.make(now, &method, key, body, Purpose::User(asked));
        self.out.push_back(Output::Frame(Frame::Call(call)));
    }

    pub(super) fn answered(&mut self, now: Instant, asked: Asked, result: Result<Bytes, v1::Error>) {
        if let (Err(error), Some(until)) = (&result, asked.until)
            && error.retryable()
        {
            let wait = Duration::from_millis(error.retry_after_ms.unsigned_abs());
            let again = now + wait.mul_f64(1.0 + JITTER * (self.settings.random)());
            if again <= until {
                return self.timer(again, Timer::Again(asked));
            }
        }
        asked.answer(result.map_err(CallError::Refused));
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
            self.timer(at, Timer::Wake(conversation));
        }
        if answered.fate == Fate::Settled {
            self.update(Update::Sent { conversation_id: conversation.to_string(), client_msg_id, outcome });
        }
        self.send_waiting(now);
    }

    pub(super) fn send_waiting(&mut self, now: Instant) {
        while self.online
            && !self.holding
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
/// How long a call with a client_msg_id is repeated.
const REPEATED: Duration = Duration::from_secs(30);
/// The part of a wait that is added to it at most, so that calls which were refused together come
/// again apart.
const JITTER: f64 = 0.25;
