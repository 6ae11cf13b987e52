//! A whole core over an in-memory duplex, on a real SQLite store, and an edge's side of it.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use gogochat_core::{Argon2Cost, Core, CoreConfig};
use gogochat_proto::{
    ids::{DeviceId, LogId, UserId},
    node::{
        self, EdgeBatch, EdgeItem, core_item::Item, edge_item::Item as Up, invoke_request::Caller,
        node_service_client::NodeServiceClient,
    },
    v1,
};
use gogochat_storage::{
    open::{BlobsConfig, Storage, StorageConfig, open},
    store::{By, Store},
};
use prost::Message;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Streaming,
    service::Routes,
    transport::{Channel, Endpoint, Server},
};

pub(crate) type Answer<T> = Result<T, v1::Error>;

/// A core that runs.
pub(crate) struct Node {
    pub(crate) core: Core,
    pub(crate) channel: Channel,
    pub(crate) store: Arc<dyn Store>,
    _folder: TempDir,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::with(config(), |storage| storage).await
    }

    /// With another configuration, or storage with something in between.
    pub(crate) async fn with(config: CoreConfig, change: impl FnOnce(Storage) -> Storage) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let url = format!("sqlite:{}", path.display());
        let blobs = BlobsConfig::Folder(folder.path().join("blobs"));
        let storage = change(open(&StorageConfig { store_url: url, blobs, ..Default::default() }).await.unwrap());
        let store = storage.store.clone();
        let core = Core::start(config, storage).await.unwrap();
        let channel = serve(core.node_service());
        Self { core, channel, store, _folder: folder }
    }

    /// Another core on the same store, as a process of its own would be; both commit.
    pub(crate) async fn beside(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", self._folder.path().join("test.db").display());
        let blobs = BlobsConfig::Folder(folder.path().join("blobs"));
        let storage = open(&StorageConfig { store_url: url, blobs, ..Default::default() }).await.unwrap();
        let store = storage.store.clone();
        let core = Core::start(config(), storage).await.unwrap();
        let channel = serve(core.node_service());
        Self { core, channel, store, _folder: folder }
    }

    /// A user whom the command line has made an administrator.
    pub(crate) async fn administrator(&self, name: &str) -> User {
        let user = self.register(name).await;
        let by = By { actor: None, address: String::new(), now: 1 };
        assert!(self.store.set_administrator(user.id, true, &by).await.unwrap());
        user
    }

    /// A unary call, with a token or without.
    pub(crate) async fn call<R: Message + Default>(
        &self,
        method: &str,
        token: Option<&str>,
        request: &impl Message,
    ) -> Answer<R> {
        let body = request.encode_to_vec().into();
        let reply = self.invoke(method, token.map(|t| Caller::AccessToken(t.to_owned())), body, "192.0.2.1").await?;
        Ok(R::decode(reply).unwrap())
    }

    pub(crate) async fn invoke(
        &self,
        method: &str,
        caller: Option<Caller>,
        body: Bytes,
        address: &str,
    ) -> Answer<Bytes> {
        let (method, address) = (format!("gogochat.v1.{method}"), address.to_owned());
        let request = node::InvokeRequest { method, body, caller, address, ..Default::default() };
        let reply = NodeServiceClient::new(self.channel.clone()).invoke(request).await.unwrap().into_inner();
        match reply.error {
            Some(error) => Err(error),
            None => Ok(reply.body),
        }
    }

    pub(crate) async fn register(&self, name: &str) -> User {
        let request = v1::RegisterRequest { name: name.into(), password: PASSWORD.into(), ..Default::default() };
        let session: v1::Session = self.call("AccountService/Register", None, &request).await.unwrap();
        User::of(session)
    }

    /// Another device of a user.
    pub(crate) async fn log_in(&self, name: &str) -> Answer<User> {
        let request = v1::LogInRequest { name: name.into(), password: PASSWORD.into(), ..Default::default() };
        self.call("AccountService/LogIn", None, &request).await.map(User::of)
    }

    /// Makes two users contacts: their conversation.
    pub(crate) async fn befriend(&self, one: &User, other: &User) -> LogId {
        let request = v1::RequestContactRequest { user_id: other.id.to_string(), note: String::new() };
        let _: v1::RequestContactResponse =
            self.call("SocialService/RequestContact", Some(&one.token), &request).await.unwrap();
        let accept = v1::AcceptContactRequest { user_id: one.id.to_string() };
        let accepted: v1::AcceptContactResponse =
            self.call("SocialService/AcceptContact", Some(&other.token), &accept).await.unwrap();
        accepted.conversation_id.parse().unwrap()
    }

    pub(crate) async fn send(&self, user: &User, log: LogId, text: &str) -> Answer<v1::SendMessageResponse> {
        self.call("ChatService/SendMessage", Some(&user.token), &message(log, text)).await
    }

    /// Every text of a log, in order, read page by page.
    pub(crate) async fn texts(&self, user: &User, log: LogId) -> Vec<(i64, String)> {
        let mut texts = Vec::new();
        let mut after = 0;
        loop {
            let page: v1::ListEventsResponse =
                self.call("ChatService/ListEvents", Some(&user.token), &events_after(log, after, 500)).await.unwrap();
            for event in page.events {
                after = event.seq;
                texts.extend(text(&event).map(|text| (event.seq, text)));
            }
            if !page.more {
                return texts;
            }
        }
    }
}

/// A user on one device.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) device: DeviceId,
    pub(crate) token: String,
    pub(crate) refresh: String,
}

impl User {
    pub(crate) fn of(session: v1::Session) -> Self {
        Self {
            id: session.user.unwrap().id.parse().unwrap(),
            device: session.device_id.parse().unwrap(),
            token: session.access_token,
            refresh: session.refresh_token,
        }
    }

    pub(crate) fn principal(&self) -> node::Principal {
        node::Principal { user_id: self.id.to_bytes(), device_id: self.device.to_bytes() }
    }

    pub(crate) fn own(&self) -> LogId {
        self.id.into()
    }
}

/// An edge, attached.
pub(crate) struct Edge {
    up: mpsc::Sender<EdgeBatch>,
    down: Streaming<node::CoreBatch>,
    waiting: VecDeque<Item>,
    /// What it was told to sign tickets with.
    pub(crate) ticket_keys: Vec<node::TicketKey>,
}

impl Edge {
    pub(crate) async fn attach(node: &Node) -> Self {
        Self::over(node.channel.clone()).await
    }

    pub(crate) async fn over(channel: Channel) -> Self {
        Self::greeting(channel, true).await
    }

    /// One that knows of no aggregates.
    pub(crate) async fn of_the_release_before(node: &Node) -> Self {
        Self::greeting(node.channel.clone(), false).await
    }

    async fn greeting(channel: Channel, aggregates_marks: bool) -> Self {
        let (up, batches) = mpsc::channel(1_024);
        let down = NodeServiceClient::new(channel)
            .max_decoding_message_size(16 * 1024 * 1024)
            .attach(ReceiverStream::new(batches))
            .await
            .unwrap()
            .into_inner();
        let edge = Self { up, down, waiting: VecDeque::new(), ticket_keys: Vec::new() };
        let hello =
            node::EdgeHello { node: "edge".into(), version: "test".into(), aggregates_marks, ..Default::default() };
        edge.send(Up::Hello(hello)).await;
        edge
    }

    pub(crate) async fn send(&self, item: Up) {
        self.send_all([item]).await;
    }

    pub(crate) async fn send_all(&self, items: impl IntoIterator<Item = Up>) {
        let items = items.into_iter().map(|item| EdgeItem { item: Some(item) }).collect();
        self.up.send(EdgeBatch { items }).await.unwrap();
    }

    /// The next item that `wanted` takes; what comes before it stays for others. Panics after ten seconds.
    pub(crate) async fn next<T>(&mut self, what: &str, wanted: impl FnMut(&Item) -> Option<T>) -> T {
        let waited = tokio::time::timeout(DEADLINE, self.find(wanted)).await;
        waited
            .unwrap_or_else(|_| panic!("no {what}; waiting: {:?}", self.waiting))
            .unwrap_or_else(|s| panic!("no {what}: {s}"))
    }

    async fn find<T>(&mut self, mut wanted: impl FnMut(&Item) -> Option<T>) -> Result<T, tonic::Status> {
        let mut looked = 0;
        loop {
            while looked < self.waiting.len() {
                if let Some(found) = wanted(&self.waiting[looked]) {
                    self.waiting.remove(looked);
                    return Ok(found);
                }
                looked += 1;
            }
            let batch = self.down.message().await?.ok_or_else(|| tonic::Status::unavailable("the stream has ended"))?;
            for item in batch.items.into_iter().filter_map(|item| item.item) {
                match item {
                    Item::TicketKey(key) => self.ticket_keys.push(key),
                    item => self.waiting.push_back(item),
                }
            }
        }
    }

    /// The status that the stream ends with.
    pub(crate) async fn end(&mut self) -> tonic::Status {
        let end = async {
            loop {
                match self.down.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return tonic::Status::ok(""),
                    Err(status) => return status,
                }
            }
        };
        tokio::time::timeout(DEADLINE, end).await.expect("the stream goes on")
    }

    /// Everything that has come by the time a command, sent now, is answered.
    pub(crate) async fn settle(&mut self) -> Vec<Item> {
        let session = u64::MAX;
        let call_id = next_call();
        self.send(command(session, call_id, "ChatService/SendMessage", "", &v1::Ping::default())).await;
        self.result(session, call_id).await.unwrap_err();
        self.waiting.drain(..).collect()
    }

    pub(crate) async fn open(&mut self, user: &User) -> (u64, node::SessionOpened) {
        let session = next_session();
        let open = node::SessionOpen { session, access_token: user.token.clone(), ..Default::default() };
        (session, self.try_open(open).await.unwrap())
    }

    pub(crate) async fn try_open(&mut self, open: node::SessionOpen) -> Answer<node::SessionOpened> {
        let session = open.session;
        self.send(Up::Open(open)).await;
        self.next("opened", |item| match item {
            Item::Opened(opened) if opened.session == session => Some(Ok(opened.clone())),
            Item::Refused(refused) if refused.session == session => Some(Err(refused.error.clone().unwrap())),
            _ => None,
        })
        .await
    }

    /// Opens a session and asks for all its logs, as an edge does.
    pub(crate) async fn enter(&mut self, user: &User) -> u64 {
        let (session, opened) = self.open(user).await;
        self.interest(user.own(), opened.own_seq).await;
        for subscription in opened.subscriptions {
            self.interest(LogId::from_slice(&subscription.log_id).unwrap(), subscription.from_seq).await;
        }
        session
    }

    pub(crate) async fn interest(&self, log: LogId, have_seq: i64) {
        self.send(interest(log, have_seq, false)).await;
    }

    /// Ends its side of the stream.
    pub(crate) fn end_its_side(&mut self) {
        self.up = mpsc::channel(1).0;
    }

    /// An ordered call, answered.
    pub(crate) async fn call<R: Message + Default>(
        &mut self,
        session: u64,
        method: &str,
        key: impl ToString,
        request: &impl Message,
    ) -> Answer<R> {
        let call_id = next_call();
        self.send(command(session, call_id, method, &key.to_string(), request)).await;
        self.result(session, call_id).await.map(|body| R::decode(body).unwrap())
    }

    pub(crate) async fn result(&mut self, session: u64, call_id: u32) -> Answer<Bytes> {
        self.next("result", |item| match item {
            Item::Result(result) if result.session == session && result.call_id == call_id => {
                Some(result.error.clone().map_or_else(|| Ok(result.body.clone()), Err))
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn say(&mut self, session: u64, log: LogId, text: &str) -> Answer<v1::SendMessageResponse> {
        self.call(session, "ChatService/SendMessage", log, &message(log, text)).await
    }

    /// The next event of a log.
    pub(crate) async fn event(&mut self, log: LogId) -> (node::Fanout, v1::Event) {
        self.next("event", |item| match item {
            Item::Fanout(fanout) if fanout.log_id == log.to_bytes() => Some((fanout.clone(), event(fanout))),
            _ => None,
        })
        .await
    }

    /// The event after `have`, as an edge takes it: what it has already it drops, and what is missing before another one it asks for, once.
    pub(crate) async fn event_after(&mut self, log: LogId, have: i64) -> v1::Event {
        let mut asked = false;
        loop {
            let (fanout, event) = self.event(log).await;
            if fanout.seq == have + 1 {
                return event;
            }
            if fanout.seq > have && !std::mem::replace(&mut asked, true) {
                self.interest(log, have).await;
            }
        }
    }

    /// The next ephemeral of a log.
    pub(crate) async fn ephemeral(
        &mut self,
        log: LogId,
        kind: node::EphemeralKind,
    ) -> (node::EphemeralDown, v1::server_frame::Frame) {
        self.next("ephemeral", |item| match item {
            Item::Ephemeral(down) if down.log_id == log.to_bytes() && down.kind() == kind => {
                Some((down.clone(), v1::ServerFrame::decode(down.frame.clone()).unwrap().frame.unwrap()))
            }
            _ => None,
        })
        .await
    }
}

pub(crate) fn event(fanout: &node::Fanout) -> v1::Event {
    match v1::ServerFrame::decode(fanout.frame.clone()).unwrap().frame.unwrap() {
        v1::server_frame::Frame::Event(event) => {
            assert_eq!(event.seq, fanout.seq);
            event
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn text(event: &v1::Event) -> Option<String> {
    match event.body.as_ref()? {
        v1::event::Body::Message(message) => Some(message.text.clone()),
        _ => None,
    }
}

pub(crate) fn command(session: u64, call_id: u32, method: &str, key: &str, request: &impl Message) -> Up {
    Up::Command(node::Command {
        awaited: false,
        session,
        call_id,
        method: format!("gogochat.v1.{method}"),
        key: key.to_owned(),
        body: request.encode_to_vec().into(),
    })
}

pub(crate) fn interest(log: LogId, have_seq: i64, verify: bool) -> Up {
    Up::Interest(node::Interest { log_id: log.to_bytes(), have_seq, verify })
}

pub(crate) fn message(log: LogId, text: &str) -> v1::SendMessageRequest {
    v1::SendMessageRequest { conversation_id: log.to_string(), client_msg_id: new_id(), text: text.into() }
}

pub(crate) fn events_after(log: LogId, seq: i64, limit: i32) -> v1::ListEventsRequest {
    v1::ListEventsRequest {
        conversation_id: log.to_string(),
        limit,
        from: Some(v1::list_events_request::From::AfterSeq(seq)),
    }
}

pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

pub(crate) fn next_session() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn next_call() -> u32 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed) as u32
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    answer.unwrap_err().code
}

/// The field that a refusal names.
pub(crate) fn field<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    let error = answer.unwrap_err();
    assert_eq!(error.code, "invalid_argument");
    error.violations.into_iter().next().unwrap().field
}

/// Waits for a condition, ten seconds at most.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, looking).await.unwrap_or_else(|_| panic!("{what} did not come true"))
}

pub(crate) fn serve(routes: Routes) -> Channel {
    serve_with_window(routes, 8 * 1024 * 1024)
}

/// With so many bytes on their way in each direction of a stream, about.
pub(crate) fn serve_with_window(routes: Routes, window: u32) -> Channel {
    let (dial, dialled) = mpsc::channel::<io::Result<tokio::io::DuplexStream>>(1);
    let server = Server::builder()
        .initial_stream_window_size(window)
        .initial_connection_window_size(window)
        .add_routes(routes)
        .serve_with_incoming(ReceiverStream::new(dialled));
    tokio::spawn(server);
    let connector = tower::service_fn(move |_| {
        let dial = dial.clone();
        async move {
            let (near, far) = tokio::io::duplex(256 * 1024);
            dial.send(Ok(far)).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok::<_, io::Error>(hyper_util::rt::TokioIo::new(near))
        }
    });
    Endpoint::from_static("http://core")
        .initial_stream_window_size(window)
        .initial_connection_window_size(window)
        .connect_with_connector_lazy(connector)
}

/// Cheap passwords, and limits that only the tests of limits meet.
pub(crate) fn config() -> CoreConfig {
    let mut config = CoreConfig { argon2: Argon2Cost { memory_kib: 64, passes: 1, lanes: 1 }, ..CoreConfig::default() };
    let plenty = gogochat_core::Rate { burst: 100_000, per_minute: 100_000 };
    config.rates.register_by_address = plenty;
    config.rates.log_in_by_address = plenty;
    config.rates.failed_log_ins = plenty;
    config.rates.unknown_refreshes = plenty;
    config.rates.wrong_factors = plenty;
    config.rates.password_changes = plenty;
    config.rates.contact_requests = plenty;
    config.rates.rows = gogochat_core::Rate { burst: u32::MAX, per_minute: u32::MAX };
    config.rates.profile_changes = plenty;
    config.rates.unknown_invites = plenty;
    config.drain_grace = Duration::ZERO;
    config
}

pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
