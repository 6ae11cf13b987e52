//! The cores: which there are, which of them is a session's home, and which one answers an
//! unordered call.

mod core_link;
mod core_queue;
mod core_stream;
mod downstream;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gogochat_proto::{
    error::ErrorCode,
    ids::LogId,
    method::{self, Method},
    node::{self, edge_item::Item},
    service::Service,
    v1,
};
use parking_lot::RwLock;
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::core_link::{Core, CoreLink, Cores};
pub(crate) use self::{
    core_stream::{Away, CoreStream, Home},
    downstream::{Announcement, Downstream, StreamEnd},
};

/// Which cores with `chat` an edge is attached to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The names of those that it is attached to, sorted.
    pub attached: Vec<String>,
    /// The others.
    pub away: Vec<OutOfReach>,
}

/// A core that an edge is not attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfReach {
    /// Its name.
    pub name: String,
    /// For how long it has not been attached.
    pub away: Duration,
    /// Whether it is known to be up. Then the path to it is broken, and what it commits does not come
    /// here.
    pub lives: bool,
}

/// All cores.
#[derive(Debug)]
pub(crate) struct Upstreams {
    hello: node::EdgeHello,
    /// See [`crate::Limits::core_queue`].
    core_queue: usize,
    cores: RwLock<Vec<Arc<CoreStream>>>,
    next: AtomicU32,
    turn: AtomicUsize,
    changed: Arc<Notify>,
    invocations: Semaphore,
}

impl Upstreams {
    /// None yet: see [`Self::run`].
    pub(crate) fn new(node: String, core_queue: usize) -> Arc<Self> {
        let instance = rand::random::<u64>().max(1);
        Arc::new(Self {
            hello: node::EdgeHello {
                node,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                instance,
                clock_ms: 0,
                aggregates_marks: true,
            },
            core_queue,
            cores: RwLock::default(),
            next: AtomicU32::new(0),
            turn: AtomicUsize::new(0),
            changed: Arc::default(),
            invocations: Semaphore::new(MAX_INVOCATIONS),
        })
    }

    /// Keeps a stream to every core that sessions can be opened at, as the cores come and go, until
    /// `stop`.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut nodes: Cores,
        downstream: Arc<impl Downstream>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) {
        loop {
            let now = nodes.borrow_and_update().clone();
            self.follow(now, &downstream, &tasks, &stop);
            match stop.run_until_cancelled(nodes.changed()).await {
                Some(Ok(())) => {}
                // They never change any more.
                Some(Err(_)) => return stop.cancelled().await,
                None => return,
            }
        }
    }

    fn follow(
        self: &Arc<Self>,
        now: Vec<Core>,
        downstream: &Arc<impl Downstream>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let before = self.cores();
        let named: HashSet<_> = now.iter().map(|node| node.name.clone()).collect();
        let mut kept = HashSet::new();
        for node in now {
            if let Some(core) = before.iter().find(|core| core.node.is(&node) && !core.is_retired()) {
                kept.insert(core.id);
                core.set_lives(node.lives);
                core.list(true);
                continue;
            }
            tracing::info!(core = node.name, address = node.address, services = ?node.services, "a core is there");
            let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
            let attach = node.runs(Service::Chat);
            let core = CoreStream::new(id, node, self.hello.clone(), self.core_queue, self.changed.clone());
            self.cores.write().push(core.clone());
            if attach {
                let (cores, downstream, stop) = (self.clone(), downstream.clone(), stop.clone());
                tasks.spawn(async move {
                    core.clone().run(downstream, stop).await;
                    cores.forget(&core);
                });
            }
        }
        for core in before.iter().filter(|core| !kept.contains(&core.id) && !core.is_retired()) {
            // It serves, whatever has become of what it said of itself. If it goes away, it says so
            // on its stream.
            if core.is_attached() && !named.contains(&core.node.name) {
                core.set_lives(false);
                core.list(false);
                tracing::info!(core = core.node.name, "a core is not named any more, and kept while it is attached");
                continue;
            }
            tracing::info!(core = core.node.name, "a core is gone");
            core.retire();
            if core.node.runs(Service::Chat) {
                downstream.leaving(core);
            } else {
                self.forget(core);
            }
        }
    }

    fn forget(&self, core: &CoreStream) {
        self.cores.write().retain(|other| other.id != core.id);
    }

    fn cores(&self) -> Vec<Arc<CoreStream>> {
        self.cores.read().clone()
    }

    /// Whether a core is attached.
    pub(crate) fn is_attached(&self) -> bool {
        self.cores.read().iter().any(|core| core.is_attached())
    }

    /// Which cores with `chat` are within reach, and which are not.
    pub(crate) fn reach(&self, now: Instant) -> Reach {
        let mut reach = Reach::default();
        for core in self.cores.read().iter().filter(|core| core.node.runs(Service::Chat) && !core.is_retired()) {
            let name = core.node.name.clone();
            match core.away(now) {
                None => reach.attached.push(name),
                Some(away) => reach.away.push(OutOfReach { name, away, lives: core.lives() }),
            }
        }
        reach.attached.sort_unstable();
        reach
    }

    /// Waits until a core is attached.
    pub(crate) async fn attached(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_attached() {
                return;
            }
            changed.await;
        }
    }

    /// The core that a session is best opened at: of those that take sessions, the one with the fewest.
    pub(crate) fn pick(&self) -> Option<Arc<CoreStream>> {
        self.cores.read().iter().filter(|core| core.takes_sessions()).min_by_key(|core| core.sessions()).cloned()
    }

    /// Sends an item to every attached core.
    pub(crate) fn send_all(&self, item: &Item) {
        for core in self.cores.read().iter() {
            core.send(item.clone());
        }
    }

    /// Asks one core for what a log has after `have`. Any can replay it. The log's id picks the one, so that
    /// they share the work.
    pub(crate) fn ask(&self, log: LogId, have: i64, verify: bool) {
        // One that has ceased to take anything since is passed over.
        while let Some(core) = self.asked(log) {
            if core.send(interest(log, have, verify)) {
                return;
            }
        }
    }

    /// Waits until little waits for the core that is asked for this log. `false`: none is attached.
    pub(crate) async fn room(&self, log: LogId) -> bool {
        while let Some(core) = self.asked(log) {
            if core.room().await {
                return true;
            }
        }
        false
    }

    fn asked(&self, log: LogId) -> Option<Arc<CoreStream>> {
        let cores = self.cores.read();
        let attached: Vec<_> = cores.iter().filter(|core| core.takes()).collect();
        let place = log.uuid().as_u128() as usize;
        attached.get(place % attached.len().max(1)).map(|core| Arc::clone(core))
    }

    /// Asks this core, which has sent what comes later, for what a log has after `have`. Where it takes
    /// nothing any more, another one is asked.
    pub(crate) fn ask_of(&self, core: u32, log: LogId, have: i64) {
        if !self.send(u64::from(core) << 32, interest(log, have, false)) {
            self.ask(log, have, true);
        }
    }

    /// Sends an item to the core that this stream leads to. `false`: it takes nothing.
    pub(crate) fn send(&self, stream: u64, item: Item) -> bool {
        self.of(stream).is_some_and(|core| core.send(item))
    }

    /// Sends an item that may be lost to the core that this stream leads to.
    pub(crate) fn offer(&self, stream: u64, item: Item) {
        if let Some(core) = self.of(stream) {
            core.offer(item);
        }
    }

    /// Sends a command on the stream on which its session is open. It waits while the stream is full.
    ///
    /// # Errors
    /// The stream has broken, or took nothing for 2 s.
    pub(crate) async fn command(&self, command: node::Command, stream: u64) -> Result<(), Away> {
        self.of(stream).ok_or(Away)?.command(command, stream).await
    }

    /// The core that this stream leads to.
    pub(crate) fn of(&self, stream: u64) -> Option<Arc<CoreStream>> {
        self.cores.read().iter().find(|core| core.has(stream)).cloned()
    }

    /// A call for which order does not matter, to a core that runs its service. Where one does not answer,
    /// the next is asked, if the call is safe to repeat.
    ///
    /// # Errors
    /// `unknown_method`, `overloaded`, `unavailable`, `deadline_exceeded`.
    pub(crate) async fn invoke(&self, request: node::InvokeRequest) -> Result<node::InvokeReply, v1::Error> {
        let method =
            method::find(&request.method).ok_or_else(|| ErrorCode::UnknownMethod.with("there is no such method"))?;
        let Ok(_permit) = self.invocations.try_acquire() else {
            return Err(ErrorCode::Overloaded.with("too many calls are under way"));
        };
        let answer = tokio::time::timeout(INVOKE_TIMEOUT, self.invoke_any(method, request)).await;
        answer.unwrap_or_else(|_| Err(ErrorCode::DeadlineExceeded.with("the core did not answer in time")))
    }

    async fn invoke_any(&self, method: &Method, request: node::InvokeRequest) -> Result<node::InvokeReply, v1::Error> {
        let again = is_safe_to_repeat(method);
        for core in self.candidates(Service::of(method)) {
            match core.invoke(request.clone()).await {
                Ok(reply) => {
                    // That core has no edge attached to which it could send whom it has signed out.
                    for revoke in &reply.revoked {
                        self.send_one(Item::Revoke(revoke.clone()));
                    }
                    return Ok(reply);
                }
                Err(status) => {
                    tracing::debug!(core = core.node.name, %status, "a call to a core failed");
                    if !again && !was_not_sent(&status) {
                        break;
                    }
                }
            }
        }
        Err(ErrorCode::Unavailable.with("the core is not reachable"))
    }

    /// The cores with a service: in turn, and those that failed a moment ago last.
    fn candidates(&self, service: Service) -> Vec<Arc<CoreStream>> {
        let now = Instant::now();
        let mut found: Vec<_> = self.cores.read().iter().filter(|core| core.node.runs(service)).cloned().collect();
        found.retain(|core| core.is_attached() || !core.node.runs(Service::Chat));
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % found.len().max(1);
        found.rotate_left(turn);
        found.sort_by_key(|core| !core.seems_well(now));
        found
    }

    /// Sends an item to one attached core.
    fn send_one(&self, item: Item) {
        let sent = self.cores.read().iter().any(|core| core.send(item.clone()));
        if !sent {
            tracing::warn!("no core could be told of a sign-out");
        }
    }
}

/// Interest in a log.
pub(crate) fn interest(log: LogId, have_seq: i64, verify: bool) -> Item {
    Item::Interest(node::Interest { log_id: log.to_bytes(), have_seq, verify })
}

/// Whether a call is safe to repeat: it only reads, or carries an idempotency key.
fn is_safe_to_repeat(method: &Method) -> bool {
    let reads = method.http.verb == http::Method::GET || Service::of(method) == Service::Sync;
    reads || method.repeatable
}

/// Whether a call failed before anything was sent.
fn was_not_sent(status: &tonic::Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

const MAX_INVOCATIONS: usize = 4_096;
const INVOKE_TIMEOUT: Duration = Duration::from_secs(10);
