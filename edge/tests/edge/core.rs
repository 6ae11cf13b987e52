//! A core that behaves simply: it opens a session for whom the token names, commits what comes in the ordered lane to the log of its key, echoes other calls,
//! and replays to who announces interest.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::Stream;
use gogochat_proto::{
    error::ErrorCode,
    ids::{DeviceId, LogId, UserId},
    node::{
        self, core_item, edge_item,
        invoke_request::Caller,
        node_service_server::{NodeService, NodeServiceServer},
    },
    v1::{self, server_frame},
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Channel, Endpoint, Server},
};

#[derive(Clone, Default)]
pub(crate) struct Core(Arc<State>);

#[derive(Default)]
struct State {
    edge: Mutex<Option<mpsc::Sender<Result<node::CoreBatch, Status>>>>,
    /// What is stored, the same for cores that are one system.
    logs: Arc<Mutex<HashMap<LogId, Vec<Bytes>>>>,
    /// What the edge was sent of each log that it hears, as far as this core knows.
    interests: Mutex<HashMap<LogId, i64>>,
    subscriptions: Arc<Mutex<HashMap<UserId, Vec<LogId>>>>,
    seen: Mutex<Vec<edge_item::Item>>,
    /// Where unary calls came from.
    callers: Mutex<Vec<String>>,
    away: AtomicBool,
    /// It has told everything: the stream ends when the edge's side of it has.
    drained: AtomicBool,
    /// Ordered calls get no answer.
    mute: AtomicBool,
    /// Ordered calls are refused, and may be repeated.
    overloaded: AtomicBool,
    /// No session is opened, for now.
    is_full: AtomicBool,
    /// Sessions that wait to be opened, while they are held back.
    held: Mutex<Option<Vec<node::SessionOpen>>>,
    attached: AtomicU64,
    /// Nothing that the edge says is read, for now.
    stalled: watch::Sender<bool>,
    /// Calls outside the ordered lane get no answer, for now.
    pondering: watch::Sender<bool>,
}

impl Core {
    /// Another core on the same store.
    pub(crate) fn beside(&self) -> Self {
        let (logs, subscriptions) = (self.0.logs.clone(), self.0.subscriptions.clone());
        Self(Arc::new(State { logs, subscriptions, ..State::default() }))
    }

    /// The way to this core, over pipes in memory.
    pub(crate) fn channel(&self) -> Channel {
        let (pipes, incoming) = mpsc::channel::<Result<tokio::io::DuplexStream, std::io::Error>>(8);
        let service = NodeServiceServer::new(self.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(ReceiverStream::new(incoming)));
        Endpoint::from_static("http://core").connect_with_connector_lazy(tower::service_fn(move |_| {
            let pipes = pipes.clone();
            async move {
                let (ours, theirs) = tokio::io::duplex(256 * 1024);
                pipes.send(Ok(theirs)).await.map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(TokioIo::new(ours))
            }
        }))
    }

    /// Conversations that a user's sessions are subscribed to.
    pub(crate) fn join(&self, user: UserId, log: LogId) {
        self.0.subscriptions.lock().entry(user).or_default().push(log);
    }

    /// Commits an event of `size` bytes to a log and tells the edge if it is interested; gives the seq.
    pub(crate) fn commit(&self, log: LogId, size: usize) -> i64 {
        self.commit_event(log, size, None, Bytes::new())
    }

    pub(crate) fn commit_event(
        &self,
        log: LogId,
        size: usize,
        subscribe: Option<node::Subscription>,
        unsubscribe: Bytes,
    ) -> i64 {
        let (seq, frame) = self.store(log, size);
        if let Some(sent) = self.0.interests.lock().get_mut(&log) {
            *sent = seq;
            self.fanout(log, seq, frame, subscribe, unsubscribe);
        }
        seq
    }

    /// Commits the event with which a user leaves, and tells the edge of it in this log alone.
    pub(crate) fn leave(&self, log: LogId, user: UserId) {
        let (seq, frame) = self.store(log, 1);
        let departed = user.to_bytes();
        let event = node::Fanout { log_id: log.to_bytes(), seq, frame, departed, ..Default::default() };
        self.tell(core_item::Item::Fanout(event));
    }

    /// Commits an event and loses its fan-out on the way.
    pub(crate) fn commit_silently(&self, log: LogId) -> i64 {
        self.store(log, 1).0
    }

    pub(crate) fn last_seq(&self, log: LogId) -> i64 {
        self.0.logs.lock().get(&log).map_or(0, |events| events.len() as i64)
    }

    pub(crate) fn tell(&self, item: core_item::Item) {
        let batch = node::CoreBatch { items: vec![node::CoreItem { item: Some(item) }] };
        let edge = self.0.edge.lock().clone().expect("an edge");
        edge.try_send(Ok(batch)).expect("room");
    }

    pub(crate) fn set_mute(&self, mute: bool) {
        self.0.mute.store(mute, Ordering::Relaxed);
    }

    /// Answers no call outside the ordered lane, or goes on.
    pub(crate) fn set_pondering(&self, pondering: bool) {
        self.0.pondering.send_replace(pondering);
    }

    pub(crate) fn set_overloaded(&self, overloaded: bool) {
        self.0.overloaded.store(overloaded, Ordering::Relaxed);
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        self.0.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Opens no session until [`Self::open_held`].
    pub(crate) fn hold_opens(&self) {
        *self.0.held.lock() = Some(Vec::new());
    }

    pub(crate) fn open_held(&self) {
        let held = self.0.held.lock().take();
        for open in held.into_iter().flatten() {
            self.open(&open);
        }
    }

    /// Goes away, or comes back.
    pub(crate) fn set_away(&self, away: bool) {
        self.0.away.store(away, Ordering::Relaxed);
        if away {
            *self.0.edge.lock() = None;
        }
    }

    /// Reads nothing that the edge says, or goes on.
    pub(crate) fn set_stalled(&self, stalled: bool) {
        self.0.stalled.send_replace(stalled);
    }

    pub(crate) fn interests(&self) -> usize {
        self.0.interests.lock().len()
    }

    /// Has told everything that it has committed: it ends the stream in good order once the edge has ended its side.
    pub(crate) fn tell_everything(&self) {
        self.0.drained.store(true, Ordering::Relaxed);
        self.tell(core_item::Item::DrainMs(5_000));
        self.tell(core_item::Item::Drained(node::Drained {}));
    }

    /// Breaks the stream off.
    pub(crate) fn break_off(&self) {
        let edge = self.0.edge.lock().take().expect("an edge");
        edge.try_send(Err(Status::unavailable("broken off"))).expect("room");
    }

    pub(crate) fn attached(&self) -> u64 {
        self.0.attached.load(Ordering::Relaxed)
    }

    pub(crate) fn is_interested(&self, log: LogId) -> bool {
        self.0.interests.lock().contains_key(&log)
    }

    /// What the edge said that `pick` wants.
    pub(crate) fn seen<T>(&self, pick: impl FnMut(&edge_item::Item) -> Option<T>) -> Vec<T> {
        self.0.seen.lock().iter().filter_map(pick).collect()
    }

    /// Where the unary calls came from since this was asked last.
    pub(crate) fn take_callers(&self) -> Vec<String> {
        std::mem::take(&mut self.0.callers.lock())
    }

    fn store(&self, log: LogId, size: usize) -> (i64, Bytes) {
        let mut logs = self.0.logs.lock();
        let events = logs.entry(log).or_default();
        let seq = events.len() as i64 + 1;
        let event = v1::Event {
            log_id: log.to_string(),
            seq,
            body: Some(v1::event::Body::Message(v1::Message { text: "x".repeat(size) })),
            ..Default::default()
        };
        let frame: Bytes = v1::ServerFrame::from(server_frame::Frame::Event(event)).encode_to_vec().into();
        events.push(frame.clone());
        (seq, frame)
    }

    fn fanout(&self, log: LogId, seq: i64, frame: Bytes, subscribe: Option<node::Subscription>, unsubscribe: Bytes) {
        self.tell(core_item::Item::Fanout(node::Fanout {
            log_id: log.to_bytes(),
            seq,
            frame,
            subscribe,
            unsubscribe,
            departed: Bytes::new(),
            also_departed: Vec::new(),
        }));
    }

    fn take(&self, item: edge_item::Item) {
        self.0.seen.lock().push(item.clone());
        match item {
            edge_item::Item::Open(open) => {
                if let Some(held) = self.0.held.lock().as_mut() {
                    return held.push(open);
                }
                self.open(&open);
            }
            edge_item::Item::Command(command) if !self.0.mute.load(Ordering::Relaxed) => {
                let overloaded = self.0.overloaded.load(Ordering::Relaxed);
                if let (false, Ok(log)) = (overloaded, command.key.parse()) {
                    self.commit(log, command.body.len());
                }
                self.tell(core_item::Item::Result(node::Result {
                    session: command.session,
                    call_id: command.call_id,
                    body: command.body,
                    error: overloaded.then(|| ErrorCode::Overloaded.with("too much")),
                }));
            }
            edge_item::Item::Interest(interest) => {
                let log = LogId::from_slice(&interest.log_id).unwrap();
                let missed: Vec<_> = self.0.logs.lock().get(&log).cloned().unwrap_or_default();
                let sent = self.0.interests.lock().insert(log, missed.len() as i64);
                if sent == Some(interest.have_seq) && !interest.verify {
                    self.0.interests.lock().insert(log, interest.have_seq);
                    return;
                }
                for (seq, frame) in (1..).zip(missed).filter(|(seq, _)| *seq > interest.have_seq) {
                    self.fanout(log, seq, frame, None, Bytes::new());
                }
            }
            edge_item::Item::Uninterest(log) => {
                self.0.interests.lock().remove(&LogId::from_slice(&log).unwrap());
            }
            _ => {}
        }
    }

    fn open(&self, open: &node::SessionOpen) {
        let session = open.session;
        let is_full = self.0.is_full.load(Ordering::Relaxed);
        let refuse = |code: ErrorCode| {
            let error = Some(code.with("refused"));
            self.tell(core_item::Item::Refused(node::SessionRefused { session, error }));
        };
        if is_full {
            return refuse(ErrorCode::Overloaded);
        }
        let token_hash = match &open.principal {
            Some(_) => open.token_hash.clone(),
            None => hash(&open.access_token),
        };
        let (principal, life_ms) = match (&open.principal, open.access_token.split_once(' ')) {
            (Some(principal), _) => (principal.clone(), 0),
            (None, Some((kind, user))) => {
                let user: UserId = user.parse().unwrap();
                let device_id = DeviceId::new_v7().to_bytes();
                let principal = node::Principal { user_id: user.to_bytes(), device_id };
                (principal, if kind == "brief" { 1_500 } else { 0 })
            }
            (None, None) => {
                return match open.access_token.as_str() {
                    "expired" => refuse(ErrorCode::TokenExpired),
                    "slow" => {}
                    _ => refuse(ErrorCode::TokenInvalid),
                };
            }
        };
        let user = UserId::from_slice(&principal.user_id).unwrap();
        let logs = self.0.subscriptions.lock().get(&user).cloned().unwrap_or_default();
        let subscriptions = logs
            .into_iter()
            .map(|log| node::Subscription { log_id: log.to_bytes(), from_seq: self.last_seq(log) })
            .collect();
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
        self.tell(core_item::Item::Opened(node::SessionOpened {
            session,
            own_seq: self.last_seq(user.into()),
            principal: Some(principal),
            subscriptions,
            expires_ms: if life_ms > 0 { now + life_ms } else { 0 },
            token_hash,
            epoch: EPOCH.to_owned(),
        }));
    }
}

/// The history that this core's store tells.
pub(crate) const EPOCH: &str = "019016a4-5f0e-4c3e-8a53-7d2b1f3c9e10";

/// It is answered with as many bytes as its body says in decimal digits.
pub(crate) const LIST_EVENTS: &str = "gogochat.v1.ChatService/ListEvents";

/// What nodes say of an access token.
pub(crate) fn hash(token: &str) -> Bytes {
    Bytes::copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
}

#[tonic::async_trait]
impl NodeService for Core {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<node::CoreBatch, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<node::EdgeBatch>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        if self.0.away.load(Ordering::Relaxed) {
            return Err(Status::unavailable("away"));
        }
        let (sender, batches) = mpsc::channel(100_000);
        *self.0.edge.lock() = Some(sender);
        self.0.interests.lock().clear();
        self.0.attached.fetch_add(1, Ordering::Relaxed);
        let core = self.clone();
        let mut incoming = request.into_inner();
        tokio::spawn(async move {
            let mut stalled = core.0.stalled.subscribe();
            while stalled.wait_for(|stalled| !stalled).await.is_ok()
                && let Some(Ok(batch)) = incoming.next().await
            {
                if core.0.away.load(Ordering::Relaxed) {
                    return;
                }
                for item in batch.items.into_iter().filter_map(|item| item.item) {
                    core.take(item);
                }
            }
            if core.0.drained.swap(false, Ordering::Relaxed) {
                *core.0.edge.lock() = None;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(batches))))
    }

    async fn invoke(&self, request: Request<node::InvokeRequest>) -> Result<Response<node::InvokeReply>, Status> {
        let request = request.into_inner();
        self.0.callers.lock().push(request.address.clone());
        let _ = self.0.pondering.subscribe().wait_for(|pondering| !pondering).await;
        let error = match (request.method.as_str(), &request.caller) {
            ("gogochat.v1.ChatService/GetConversation", _) => Some(ErrorCode::NotAMember.with("not yours")),
            (_, Some(Caller::AccessToken(token))) if token == "expired" => Some(ErrorCode::TokenExpired.with("late")),
            ("gogochat.v1.AccountService/GetAccount", None) => Some(ErrorCode::Unauthenticated.with("who?")),
            _ => None,
        };
        let body = match (&error, request.method.as_str()) {
            (Some(_), _) => Bytes::new(),
            // A page of as many bytes as the request says.
            (None, LIST_EVENTS) => vec![0; std::str::from_utf8(&request.body).unwrap().parse().unwrap()].into(),
            (None, _) => request.body,
        };
        Ok(Response::new(node::InvokeReply { body, error, revoked: Vec::new() }))
    }
}
