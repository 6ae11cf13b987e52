//! Takes what an edge sends on its Attach stream, in order.

use std::{
    collections::HashMap,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gogochat_proto::{
    error::ErrorCode,
    ids::{ClientMsgId, LogId, UserId},
    node::{self, EdgeBatch, edge_item::Item},
    v1::{self, ephemeral::Kind, server_frame::Frame},
};
use gogochat_storage::{bus::ReplyTo, store};
use prost::Message as _;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::{
    Gateway,
    dispatch::{self, Route},
    lanes::{Entry, Lanes},
    publish::Checked,
};
use crate::{
    authorize::Caller,
    chat::{Sender, SenderOrder, Turn, commands::Mark},
    command::{Ordered as _, OrderedMethod, Taken},
    fanout::{Attachment, Session, result},
};

/// How an edge's stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The edge has said all it had to say, and it was taken.
    InOrder,
    /// It broke, or this core had to end it.
    Broken,
}

/// Reads one edge's stream.
pub(crate) struct Reader {
    gateway: Arc<Gateway>,
    attachment: Arc<Attachment>,
    opens: mpsc::Sender<node::SessionOpen>,
    order: SenderOrder,
    lanes: Lanes,
    looks: FuturesUnordered<Pin<Box<dyn Future<Output = Look> + Send>>>,
    /// When the last ordered call of a session was published.
    published: HashMap<u64, Instant>,
    /// The bus's, in which all that came by this stream was published.
    era: u64,
}

impl Reader {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        attachment: Arc<Attachment>,
        opens: mpsc::Sender<node::SessionOpen>,
    ) -> Self {
        Self {
            gateway,
            attachment,
            opens,
            order: SenderOrder::new(MAX_WAITING),
            lanes: Lanes::default(),
            looks: FuturesUnordered::new(),
            published: HashMap::new(),
            era: 0,
        }
    }

    /// Reads until the edge ends the stream or breaks its rules, or until commands that were on their way are
    /// lost. Then the edge has to take calls without an answer as lost too, which it does when a stream ends.
    pub(super) async fn run(mut self, first: EdgeBatch, mut inbound: Streaming<EdgeBatch>) -> End {
        let mut eras = self.gateway.bus.era();
        self.era = *eras.borrow_and_update();
        let mut batch = Ok(Some(first));
        loop {
            match batch {
                Ok(Some(batch)) => {
                    for item in batch.items.into_iter().filter_map(|item| item.item) {
                        self.take(item).await;
                    }
                }
                Ok(None) => {
                    while let Some(look) = self.looks.next().await {
                        self.looked(look).await;
                    }
                    return End::InOrder;
                }
                Err(status) => {
                    tracing::debug!(attachment = self.attachment.id, %status, "an edge's stream broke");
                    return End::Broken;
                }
            }
            batch = loop {
                tokio::select! {
                    batch = inbound.message() => break batch,
                    Some(look) = self.looks.next(), if !self.looks.is_empty() => self.looked(look).await,
                    Ok(()) = eras.changed() => {
                        self.attachment.queue.close(Status::unavailable("the bus has lost commands"));
                        return End::Broken;
                    }
                }
            };
        }
    }

    async fn take(&mut self, item: Item) {
        match item {
            Item::Hello(_) => {}
            Item::Open(open) => self.open(open),
            Item::Close(close) => self.close(close.session),
            Item::Command(command) => self.command(command).await,
            Item::Interest(interest) => {
                if let Some(log) = LogId::from_slice(&interest.log_id) {
                    self.gateway.fanout.ask(&self.attachment, log, interest.have_seq.max(0), interest.verify);
                }
            }
            Item::Uninterest(log) => {
                if let Some(log) = LogId::from_slice(&log) {
                    self.gateway.fanout.unask(self.attachment.id, log);
                }
            }
            Item::Marks(marks) => self.marks(marks),
            Item::Ephemeral(ephemeral) => self.ephemeral(&ephemeral),
            Item::Revoke(revoke) => self.gateway.sign_outs.heard_of(&revoke),
        }
    }

    fn open(&self, open: node::SessionOpen) {
        let session = open.session;
        self.attachment.begin(session);
        if self.opens.try_send(open).is_err() {
            let error = ErrorCode::Overloaded.with("too many sessions are being opened");
            self.gateway.refuse(&self.attachment, session, error);
        }
    }

    fn close(&mut self, session: u64) {
        self.order.end(self.attachment.id, session);
        self.lanes.end(session);
        self.published.remove(&session);
        if let Some(closed) = self.attachment.close(session) {
            self.gateway.left(&self.attachment, session, closed);
        }
    }

    async fn command(&mut self, command: node::Command) {
        match self.lanes.enter(command) {
            Entry::Free(command) => self.begin(command).await,
            Entry::Waits => {}
            Entry::Full(command) => {
                let full = ErrorCode::Overloaded.with("too many calls wait behind one that is looked at");
                if let Err(error) = self.parse(&command).and_then(|call| self.hold(&call, Err(full))) {
                    self.refuse(command.session, command.call_id, error);
                }
            }
        }
    }

    /// Takes a call, or has it looked at first.
    async fn begin(&mut self, command: node::Command) {
        let (session, call_id) = (command.session, command.call_id);
        let call = match self.try_begin(command) {
            Ok(call) => call,
            Err(error) => return self.refuse(session, call_id, error),
        };
        if call.method.name == Mark::NAME {
            self.mark(call);
        } else if call.method.foreseen && !self.waits(session) {
            self.look_at(call);
        } else {
            self.publish(call).await;
        }
    }

    fn try_begin(&mut self, command: node::Command) -> Result<Call, v1::Error> {
        let awaited = command.awaited;
        let call = self.parse(&command)?;
        if let Some((sender, _)) = call.sender
            && awaited
        {
            self.order.resume(sender);
        }
        self.come(&call)?;
        let charged = self.gateway.charge(call.method, call.caller, call.address, call.checked.rows);
        self.hold(&call, charged)?;
        Ok(call)
    }

    fn parse(&self, command: &node::Command) -> Result<Call, v1::Error> {
        let session = command.session;
        let (caller, address) = self.caller(session)?;
        let entry = dispatch::find(&command.method)?;
        let Route::Ordered(method) = entry.route else {
            return Err(ErrorCode::UnknownMethod.with("this method is not one of the ordered lane"));
        };
        let body = command.body.clone();
        let checked = self.gateway.check(method, caller, Some(&command.key), body.clone())?;
        let sender = checked.to.client_msg_id.map(|id| {
            let log = checked.to.conversation.unwrap_or_else(|| caller.user.into());
            (Sender { attachment: self.attachment.id, session, log }, id)
        });
        Ok(Call { session, call_id: command.call_id, method, caller, address, body, checked, sender })
    }

    /// Whether it is a call's turn.
    fn come(&mut self, call: &Call) -> Result<(), v1::Error> {
        match call.sender {
            Some((sender, id)) if self.order.come(sender, id, Instant::now()) == Turn::OutOfOrder => {
                Err(ErrorCode::OutOfOrder.with("an earlier command was refused: repeat that one first"))
            }
            _ => Ok(()),
        }
    }

    /// What its sender calls after one that may come again waits for it.
    fn hold(&mut self, call: &Call, answer: Result<(), v1::Error>) -> Result<(), v1::Error> {
        if let (Err(error), Some((sender, id))) = (&answer, call.sender)
            && error.retryable()
        {
            self.order.refused(sender, id, Instant::now());
        }
        answer
    }

    /// Whether an ordered call of the session may wait for its commit: what would be refused now may not be
    /// then.
    fn waits(&self, session: u64) -> bool {
        self.published.get(&session).is_some_and(|when| when.elapsed() < WAITS)
    }

    fn look_at(&mut self, call: Call) {
        self.lanes.begin(call.session);
        let gateway = self.gateway.clone();
        self.looks.push(Box::pin(async move {
            let answer = gateway.foresee(call.method, call.caller, call.address, call.body.clone()).await;
            Look { call, answer }
        }));
    }

    /// A look is over: the call is refused or taken, and then what waited behind it.
    async fn looked(&mut self, Look { call, answer }: Look) {
        let session = call.session;
        match answer.and_then(|()| self.caller(session).map(drop)) {
            Ok(()) => self.publish(call).await,
            Err(error) => self.refuse(session, call.call_id, error),
        }
        while let Some(next) = self.lanes.next(session) {
            let looks = self.looks.len();
            self.begin(next).await;
            if self.looks.len() > looks {
                return;
            }
        }
    }

    async fn publish(&mut self, call: Call) {
        let reply_to = ReplyTo { attachment: self.attachment.id, session: call.session, call_id: call.call_id };
        let (Checked { to, rows }, body) = (call.checked, call.body.clone());
        let taken = Taken { caller: call.caller, method: call.method.name, to, body, rows, reply_to };
        let published = self.gateway.publish(Some(self.era), taken).await;
        match self.hold(&call, published) {
            Ok(()) => {
                self.published.insert(call.session, Instant::now());
            }
            Err(error) => self.refuse(call.session, call.call_id, error),
        }
    }

    fn refuse(&self, session: u64, call_id: u32, error: v1::Error) {
        self.gateway.metrics.refused(&error.code);
        self.attachment.push(result(session, call_id, Err(error)));
    }

    fn caller(&self, session: u64) -> Result<(Caller, Option<IpAddr>), v1::Error> {
        match self.attachment.session(session) {
            Some(Session::Open { caller, address }) => Ok((caller, address)),
            Some(Session::Revoked { .. }) => Err(ErrorCode::TokenInvalid.with("the device was signed out")),
            Some(Session::Opening) | None => Err(ErrorCode::Unauthenticated.with("the session is not open")),
        }
    }

    /// A call of Mark: it keeps no order with other calls.
    fn mark(&self, call: Call) {
        let from = ReplyTo { attachment: self.attachment.id, session: call.session, call_id: call.call_id };
        let added = Mark::read(call.body, call.caller).and_then(|mark| self.gateway.mark(mark, &from));
        if let Err(error) = added {
            self.refuse(call.session, call.call_id, error);
        }
    }

    fn marks(&self, up: node::MarksUp) {
        let Ok((caller, _)) = self.caller(up.session) else { return };
        let from = ReplyTo { attachment: self.attachment.id, session: up.session, call_id: 0 };
        for mark in up.marks {
            if let Some(log) = LogId::from_slice(&mark.log_id) {
                let (delivered, read) = (mark.delivered_seq.max(0), mark.read_seq.max(0));
                // Past the bound it is lost until the member's next; that is counted.
                let _ = self.gateway.mark(store::Mark { log, user: caller.user, delivered, read }, &from);
            }
        }
    }

    fn ephemeral(&self, up: &node::EphemeralUp) {
        let Ok((caller, _)) = self.caller(up.session) else { return };
        let Some(log) = LogId::from_slice(&up.log_id) else { return };
        if let Some(frame) = typing(caller.user, log, up.ephemeral.clone()) {
            self.gateway.typing.say(log, caller.user, frame);
        }
    }
}

/// An ordered call that was decoded and checked.
struct Call {
    session: u64,
    call_id: u32,
    method: &'static OrderedMethod,
    caller: Caller,
    address: Option<IpAddr>,
    body: Bytes,
    checked: Checked,
    /// Who waits for it, and its name, if it keeps an order.
    sender: Option<(Sender, ClientMsgId)>,
}

/// What a reader says of a call.
struct Look {
    call: Call,
    answer: Result<(), v1::Error>,
}

/// Typing alone comes from clients.
fn typing(user: UserId, log: LogId, ephemeral: Bytes) -> Option<Frame> {
    let kind = v1::Ephemeral::decode(ephemeral).ok()?.kind?;
    matches!(kind, Kind::Typing(_)).then(|| {
        Frame::Ephemeral(v1::Ephemeral {
            conversation_id: log.to_string(),
            user_id: user.to_string(),
            kind: Some(kind),
        })
    })
}

/// How long a call waits for its commit at most, before its client repeats it.
const WAITS: Duration = Duration::from_secs(15);
const MAX_WAITING: usize = 1 << 16;
