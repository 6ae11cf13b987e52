//! One core as its edge sees it: whether it is attached, what waits for it, and unary calls.
//!
//! `attach` keeps the Attach stream, which takes what waits here.

mod attach;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gogochat_proto::{
    node::{self, edge_item, node_service_client::NodeServiceClient},
    service::Service as Part,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    core_link::{Core, NodeService},
    core_queue::{CoreQueue, Offered, Sent},
};

/// One core.
#[derive(Debug)]
pub(crate) struct CoreStream {
    /// Its number at this edge: the upper half of its streams' numbers.
    pub(crate) id: u32,
    /// Which core it is.
    pub(crate) node: Core,
    client: NodeServiceClient<NodeService>,
    hello: node::EdgeHello,
    /// See [`crate::Limits::core_queue`].
    core_queue: usize,
    queue: Mutex<CoreQueue>,
    /// Something waits for the stream.
    filled: Notify,
    /// The stream took something.
    drained: Notify,
    /// Its stream was opened or has broken.
    changed: Notify,
    /// Any core's stream was opened or has broken.
    any_changed: Arc<Notify>,
    /// It is going away, or is no longer among the cores: nothing new begins there.
    leaving: AtomicBool,
    /// Whether it is named among the cores. One that is not is kept until its stream ends.
    listed: AtomicBool,
    /// Cancelled when it is no longer among the cores.
    retired: CancellationToken,
    /// Sessions whose home it is.
    sessions: AtomicUsize,
    /// See [`Core::lives`].
    lives: AtomicBool,
    /// Since when no stream to it is open.
    away: Mutex<Option<Instant>>,
    /// When a call to it failed last.
    failed: Mutex<Option<Instant>>,
}

/// The core is away, or has taken nothing for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the core is not reachable")]
pub(crate) struct Away;

/// A session's home: the one core that its calls of the ordered lane go to. While it is held, the
/// session counts among those of that core.
#[derive(Debug)]
pub(crate) struct Home(Arc<CoreStream>);

impl Home {
    /// At this core.
    pub(crate) fn at(core: &Arc<CoreStream>) -> Self {
        core.sessions.fetch_add(1, Ordering::Relaxed);
        Self(core.clone())
    }

    /// The core.
    pub(crate) fn core(&self) -> &Arc<CoreStream> {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl CoreStream {
    /// A core that is not attached yet: see [`Self::run`].
    pub(crate) fn new(
        id: u32,
        node: Core,
        hello: node::EdgeHello,
        core_queue: usize,
        any_changed: Arc<Notify>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            client: NodeServiceClient::new(node.link.service()).max_decoding_message_size(MAX_BATCH),
            lives: AtomicBool::new(node.lives),
            away: Mutex::new(Some(Instant::now())),
            node,
            hello,
            core_queue,
            queue: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            changed: Notify::new(),
            any_changed,
            leaving: AtomicBool::new(false),
            listed: AtomicBool::new(true),
            retired: CancellationToken::new(),
            sessions: AtomicUsize::new(0),
            failed: Mutex::default(),
        })
    }

    /// Whether a stream to the core is open.
    pub(crate) fn is_attached(&self) -> bool {
        self.queue.lock().is_attached()
    }

    /// Whether it is attached and takes what it is sent.
    pub(crate) fn takes(&self) -> bool {
        self.queue.lock().takes()
    }

    /// Whether sessions may begin there.
    pub(crate) fn takes_sessions(&self) -> bool {
        self.takes() && !self.is_leaving()
    }

    /// For how long no stream to the core has been open; `None`: one is.
    pub(crate) fn away(&self, now: Instant) -> Option<Duration> {
        self.away.lock().map(|since| now.saturating_duration_since(since))
    }

    /// See [`Core::lives`].
    pub(crate) fn lives(&self) -> bool {
        self.lives.load(Ordering::Relaxed)
    }

    /// As in [`Self::lives`].
    pub(crate) fn set_lives(&self, lives: bool) {
        self.lives.store(lives, Ordering::Relaxed);
    }

    /// Sessions whose home it is.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// It is going away: nothing new begins there.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether it is going away.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Whether it is named among the cores: if it is not, it is retired once its stream has ended.
    pub(crate) fn list(&self, listed: bool) {
        self.listed.store(listed, Ordering::Relaxed);
    }

    /// It is no longer among the cores: once its stream has ended it is not attached anew.
    pub(crate) fn retire(&self) {
        self.leave();
        self.retired.cancel();
    }

    /// Whether it is no longer among the cores.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.is_cancelled()
    }

    /// Whether the stream of this number leads to it.
    pub(crate) fn has(&self, stream: u64) -> bool {
        stream >> 32 == u64::from(self.id)
    }

    /// Whether calls to a service that it runs are likely to be answered.
    pub(crate) fn seems_well(&self, now: Instant) -> bool {
        if self.is_leaving() {
            false
        } else if self.node.runs(Part::Chat) {
            self.is_attached()
        } else {
            self.failed.lock().is_none_or(|failed| now.saturating_duration_since(failed) >= SUSPECT)
        }
    }

    /// A unary call.
    ///
    /// # Errors
    /// The core did not answer it.
    pub(crate) async fn invoke(&self, request: node::InvokeRequest) -> Result<node::InvokeReply, tonic::Status> {
        let answer = self.client.clone().invoke(request).await;
        *self.failed.lock() = answer.is_err().then(Instant::now);
        answer.map(tonic::Response::into_inner)
    }

    /// Queues an item that is announced anew after a reconnect, in order with all else. It never waits.
    /// A core that takes so little that the queue is full is let go: the next stream begins with a short
    /// announcement. `false`: no core is attached, it is let go, or it has sent everything.
    pub(crate) fn send(&self, item: edge_item::Item) -> bool {
        let sent = self.queue.lock().send(item, self.core_queue);
        match sent {
            Sent::Queued => self.filled.notify_one(),
            Sent::Overrun => self.changed.notify_waiters(),
            Sent::Closed => {}
        }
        sent == Sent::Queued
    }

    /// Waits until so little waits for the stream that a slice of what concerns all logs may be added.
    /// `false`: the core is not attached, or is let go.
    pub(crate) async fn room(&self) -> bool {
        loop {
            let (drained, changed) = (self.drained.notified(), self.changed.notified());
            if !self.takes() {
                return false;
            }
            if self.has_little() {
                return true;
            }
            tokio::select! {
                () = drained => {}
                () = changed => {}
            }
        }
    }

    fn has_little(&self) -> bool {
        self.queue.lock().len() < SLICE.min(self.core_queue / 2)
    }

    /// Queues an item that is dropped when there is no room.
    pub(crate) fn offer(&self, item: edge_item::Item) {
        if self.queue.lock().offer(item) {
            self.filled.notify_one();
        }
    }

    /// Queues a command for the stream on which its session is open. It waits while the queue is full.
    ///
    /// # Errors
    /// The stream has broken, or took nothing for 2 s.
    pub(crate) async fn command(&self, command: node::Command, stream: u64) -> Result<(), Away> {
        let mut command = command;
        let deadline = tokio::time::sleep(SEND_TIMEOUT);
        let mut deadline = std::pin::pin!(deadline);
        loop {
            let drained = self.drained.notified();
            let offered = self.queue.lock().command(command, stream);
            command = match offered {
                Offered::Queued => {
                    self.filled.notify_one();
                    return Ok(());
                }
                Offered::Full(command) => command,
                Offered::Closed => return Err(Away),
            };
            tokio::select! {
                () = drained => {}
                () = &mut deadline => return Err(Away),
            }
        }
    }
}

/// What concerns all logs is added to what waits as long as that is less.
const SLICE: usize = 4_096;
/// A core's batch.
const MAX_BATCH: usize = 16 * 1024 * 1024;
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
/// A core that has failed to answer is asked last for so long.
const SUSPECT: Duration = Duration::from_secs(2);
