//! How long a core takes to look for what an edge may lack, after it has begun or another was lost, and how long a live message waits meanwhile:
//! `cargo run --release -p gogochat-core --example catch_up [FOLDER|mysql://...] [LOGS]`.
//!
//! With a folder, on a SQLite file there; with a URL, on that MySQL database, which has to be empty. An edge is interested in LOGS (default 100,000). One
//! of 1,000 has a message that nobody was told of: all is looked for when the last of these has come. Meanwhile messages are sent to logs that lack nothing.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    io::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use gogochat_core::{Argon2Cost, Core, CoreConfig};
use gogochat_proto::{
    ids::{ClientMsgId, DeviceId, LogId, UserId},
    node::{
        self, EdgeItem, core_item, edge_item::Item, invoke_request::Caller, node_service_client::NodeServiceClient,
    },
    v1::{self, event::Body},
};
use gogochat_storage::{
    open::{BlobsConfig, StorageConfig, open},
    store::{Command, Origin, Store},
};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, service::Routes};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().unwrap_or_else(|| std::env::temp_dir().display().to_string());
    let count: usize = arguments.next().map_or(Ok(100_000), |count| count.parse())?;
    let is_url = place.starts_with("mysql:");
    let folder = tempfile::tempdir_in(if is_url { std::env::temp_dir() } else { PathBuf::from(&place) })?;
    let store_url = if is_url { place } else { format!("sqlite:{}", folder.path().join("gogochat.db").display()) };
    let blobs = BlobsConfig::Folder(folder.path().join("blobs"));
    let storage = open(&StorageConfig { store_url, blobs, ..Default::default() }).await?;
    let store = storage.store.clone();
    let argon2 = Argon2Cost { memory_kib: 64, passes: 1, lanes: 1 };
    let core =
        Core::start(CoreConfig { argon2, drain_grace: Duration::ZERO, ..CoreConfig::default() }, storage).await?;
    let client = NodeServiceClient::new(core.node_service());
    let sender = Sender::register(client.clone()).await?;
    let mut logs = sender.groups(&*store, count).await?;
    let mut edge = Edge::attach(client).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{HEAD}")?;
    for (name, verify) in [("a core has begun", false), ("another was lost", true)] {
        let (unsent, live) = (logs.iter().step_by(UNSENT).copied().collect(), logs.iter().skip(1).step_by(UNSENT));
        let live: Vec<_> = live.copied().collect();
        sender.commit_silently(&*store, &unsent).await?;
        let have: Vec<_> = logs.iter().map(|log| (*log, edge.have.get(log).copied().unwrap_or(1))).collect();
        let begin = Instant::now();
        edge.ask(have, verify);
        let found = watch::Sender::new(false);
        let (waits, took) = tokio::join!(sender.talk(&live, found.subscribe()), async {
            edge.hear(unsent).await.inspect(|()| _ = found.send_replace(true)).map(|()| begin.elapsed())
        });
        let (acknowledged, took) = (waits?, took?.as_secs_f64());
        let mut waits = edge.waits(acknowledged).await?;
        waits.sort_by(f64::total_cmp);
        let at = |part: f64| waits.get((part * (waits.len() as f64 - 1.0)) as usize).copied().unwrap_or(f64::NAN);
        writeln!(out, "{name:<18} {took:>8.2} {:>9} {:>8.1} {:>8.1} {:>8.1}", waits.len(), at(0.5), at(0.99), at(1.0))?;
        logs.rotate_left(UNSENT / 2);
    }
    core.stop().await;
    Ok(())
}

/// An edge that is interested in every log.
struct Edge {
    up: mpsc::Sender<node::EdgeBatch>,
    down: Streaming<node::CoreBatch>,
    have: HashMap<LogId, i64>,
    heard: HashMap<(LogId, i64), Instant>,
}

impl Edge {
    async fn attach(mut client: NodeServiceClient<Routes>) -> Result<Self, Failure> {
        let (up, batches) = mpsc::channel(16);
        let hello = node::EdgeHello {
            node: "edge".into(),
            version: "0".into(),
            instance: 1,
            clock_ms: 0,
            aggregates_marks: true,
        };
        up.send(node::EdgeBatch { items: vec![EdgeItem { item: Some(Item::Hello(hello)) }] }).await?;
        let down = client.attach(ReceiverStream::new(batches)).await?.into_inner();
        Ok(Self { up, down, have: HashMap::new(), heard: HashMap::new() })
    }

    /// Asks for what comes after what it has, in batches as edges send them, and waits for nothing.
    fn ask(&self, have: Vec<(LogId, i64)>, verify: bool) {
        let up = self.up.clone();
        tokio::spawn(async move {
            for part in have.chunks(1_024) {
                let interest = |(log, have_seq): &(LogId, i64)| EdgeItem {
                    item: Some(Item::Interest(node::Interest { log_id: log.to_bytes(), have_seq: *have_seq, verify })),
                };
                if up.send(node::EdgeBatch { items: part.iter().map(interest).collect() }).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Takes what comes until each of these logs has told something.
    async fn hear(&mut self, mut logs: HashSet<LogId>) -> Result<(), Failure> {
        while !logs.is_empty() {
            for log in self.take().await? {
                logs.remove(&log);
            }
        }
        Ok(())
    }

    /// How many ms after its acknowledgement each message came.
    async fn waits(&mut self, acknowledged: Vec<(LogId, i64, Instant)>) -> Result<Vec<f64>, Failure> {
        let mut waits = Vec::new();
        for (log, seq, at) in acknowledged {
            while !self.heard.contains_key(&(log, seq)) {
                self.take().await?;
            }
            let heard = self.heard.get(&(log, seq)).copied().unwrap_or(at);
            waits.push(heard.saturating_duration_since(at).as_secs_f64() * 1e3);
        }
        Ok(waits)
    }

    async fn take(&mut self) -> Result<Vec<LogId>, Failure> {
        let batch = self.down.message().await?.ok_or("the core has ended the stream")?;
        let mut logs = Vec::new();
        for item in batch.items {
            if let Some(core_item::Item::Fanout(event)) = item.item {
                let log = LogId::from_slice(&event.log_id).ok_or("no id")?;
                self.heard.entry((log, event.seq)).or_insert_with(Instant::now);
                self.have.insert(log, event.seq);
                logs.push(log);
            }
        }
        Ok(logs)
    }
}

/// A user who is in every group.
struct Sender {
    client: NodeServiceClient<Routes>,
    user: UserId,
    device: DeviceId,
    token: String,
}

impl Sender {
    async fn register(client: NodeServiceClient<Routes>) -> Result<Self, Failure> {
        let request =
            v1::RegisterRequest { name: "sender".into(), password: "correct horse".into(), ..Default::default() };
        let body = invoke(client.clone(), "AccountService/Register", None, &request).await?;
        let session = v1::Session::decode(body)?;
        let user = session.user.ok_or("no user")?.id.parse()?;
        Ok(Self { client, user, device: session.device_id.parse()?, token: session.access_token })
    }

    fn origin(&self) -> Origin {
        let client_msg_id = ClientMsgId::new_v7();
        Origin { sender: self.user, device: self.device, client_msg_id, request_hash: [0; 32], now: 0 }
    }

    /// Groups, each with one event.
    async fn groups(&self, store: &dyn Store, count: usize) -> Result<Vec<LogId>, Failure> {
        let logs: Vec<_> = (0..count).map(|_| LogId::new_v7()).collect();
        for part in logs.chunks(1_000) {
            let create = |log: &LogId| {
                let (origin, title) = (self.origin(), "Group".to_owned());
                Command::CreateGroup { log: *log, origin, title, members: Vec::new() }
            };
            all_done(store, part.iter().map(create).collect()).await?;
        }
        Ok(logs)
    }

    /// As a core that is lost before it tells anybody.
    async fn commit_silently(&self, store: &dyn Store, logs: &HashSet<LogId>) -> Result<(), Failure> {
        let body = Some(Body::Message(v1::Message { text: "unsent".into() }));
        let payload = bytes::Bytes::from(v1::Event { body, ..Default::default() }.encode_to_vec());
        let append = |log: &LogId| Command::Append { log: *log, origin: self.origin(), payload: payload.clone() };
        all_done(store, logs.iter().map(append).collect()).await
    }

    /// Sends a message every 20 ms until all is found, once to each log at most: those that were acknowledged, and when.
    async fn talk(
        &self,
        logs: &[LogId],
        mut found: watch::Receiver<bool>,
    ) -> Result<Vec<(LogId, i64, Instant)>, Failure> {
        let mut acknowledged = Vec::new();
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        for log in logs.iter().cycle() {
            tokio::select! {
                _ = pace.tick() => {}
                _ = found.wait_for(|found| *found) => return Ok(acknowledged),
            }
            let (conversation_id, client_msg_id) = (log.to_string(), ClientMsgId::new_v7().to_string());
            let request = v1::SendMessageRequest { conversation_id, client_msg_id, text: "live".into() };
            let body =
                invoke(self.client.clone(), "ChatService/SendMessage", Some(self.token.clone()), &request).await?;
            acknowledged.push((*log, v1::SendMessageResponse::decode(body)?.seq, Instant::now()));
        }
        Ok(acknowledged)
    }
}

async fn all_done(store: &dyn Store, batch: Vec<Command>) -> Result<(), Failure> {
    match store.commit(batch).await?.into_iter().find_map(Result::err) {
        Some(refusal) => Err(refusal.into()),
        None => Ok(()),
    }
}

async fn invoke(
    mut client: NodeServiceClient<Routes>,
    method: &str,
    token: Option<String>,
    request: &impl prost::Message,
) -> Result<bytes::Bytes, Failure> {
    let (method, body) = (format!("gogochat.v1.{method}"), request.encode_to_vec().into());
    let request = node::InvokeRequest { method, body, caller: token.map(Caller::AccessToken), ..Default::default() };
    let reply = client.invoke(request).await?.into_inner();
    match reply.error {
        Some(error) => Err(error.message.into()),
        None => Ok(reply.body),
    }
}

const HEAD: &str = "                   s to all      live   ms p50   ms p99   ms max";
/// One log of so many has a message that nobody was told of.
const UNSENT: usize = 1_000;
