//! One core: an Attach stream for what must stay in order, unary calls for the rest.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gogochat_proto::{
    node::{self, core_item, edge_item, node_service_client::NodeServiceClient},
    service::Service as Part,
};
use parking_lot::Mutex;
use rand::RngExt as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    core_link::{Core, NodeService},
    outbox::{Batch, Offered, Outbox, Sent, State},
};
use crate::{clock::now_ms, metrics as names};

/// Takes what the cores send.
pub(crate) trait Downstream: Send + Sync + 'static {
    /// What a core has to know first on a new stream.
    type Announcement: Announcement;

    /// A stream was opened: what this core has to know first.
    fn attached(&self, core: &Arc<CoreStream>) -> Self::Announcement;
    /// The core sent an item, on the stream of this number.
    fn item(&self, item: core_item::Item, core: &Arc<CoreStream>, stream: u64) -> impl Future<Output = ()> + Send;
    /// The stream has ended: what was sent on it may or may not have been seen.
    fn detached(&self, core: &Arc<CoreStream>, stream: u64, end: StreamEnd);
    /// The core goes away: its sessions move to others.
    fn leaving(&self, core: &Arc<CoreStream>);
}

/// How a stream to a core has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// In good order: before that the core sent everything that it has committed.
    InOrder,
    /// Any other end. The core may have committed what it did not send.
    Lost,
}

/// What a core has to know first on a new stream, sent bit by bit as the stream takes it.
pub(crate) trait Announcement: Send {
    /// Sends the next bit. `false`: there is no more.
    fn send_next(&mut self) -> bool;
}

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
    outbox: Mutex<Outbox>,
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
            outbox: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            changed: Notify::new(),
            any_changed,
            leaving: AtomicBool::new(false),
            retired: CancellationToken::new(),
            sessions: AtomicUsize::new(0),
            failed: Mutex::default(),
        })
    }

    /// Whether a stream to the core is open.
    pub(crate) fn is_attached(&self) -> bool {
        self.outbox.lock().is_attached()
    }

    /// Whether it is attached and takes what it is sent.
    pub(crate) fn takes(&self) -> bool {
        self.outbox.lock().takes()
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
        let sent = self.outbox.lock().send(item, self.core_queue);
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
        self.outbox.lock().len() < SLICE.min(self.core_queue / 2)
    }

    /// Queues an item that is dropped when there is no room.
    pub(crate) fn offer(&self, item: edge_item::Item) {
        if self.outbox.lock().offer(item) {
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
            let offered = self.outbox.lock().command(command, stream);
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

    /// Keeps a stream to the core until `stop`, or until it has ended and the core is retired.
    pub(crate) async fn run(self: Arc<Self>, downstream: Arc<impl Downstream>, stop: CancellationToken) {
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            let attaching = self.attach(&*downstream);
            let result = stop.run_until_cancelled(attaching).await;
            let in_order = matches!(result, Some(Ok(()))) && self.has_said_all();
            let end = if in_order { StreamEnd::InOrder } else { StreamEnd::Lost };
            if let Some(stream) = self.detach() {
                downstream.detached(&self, stream, end);
                failures = 0;
            }
            let Some(result) = result else { return };
            if self.retired.is_cancelled() {
                return;
            }
            // The first of a row, and then each 16th: half a minute apart.
            if failures.is_multiple_of(16) {
                let error = result.err().map(|status| reason(&status));
                tracing::warn!(core = self.node.name, error, "a core is not attached (tried again)");
            }
            // Up to 100 ms, 200 ms, ... 2 s.
            let most = (100_u64 << failures.min(5)).min(2_000);
            failures += 1;
            let pause = Duration::from_millis(rand::rng().random_range(most / 2..=most));
            let pause = self.retired.run_until_cancelled(tokio::time::sleep(pause));
            if !matches!(stop.run_until_cancelled(pause).await, Some(Some(()))) {
                return;
            }
        }
    }

    async fn attach(self: &Arc<Self>, downstream: &impl Downstream) -> Result<(), tonic::Status> {
        let stream = {
            let mut outbox = self.outbox.lock();
            let hello = node::EdgeHello { clock_ms: now_ms(), ..self.hello.clone() };
            let stream = self.after(outbox.stream());
            outbox.begin(stream, Some(edge_item::Item::Hello(hello)));
            stream
        };
        let upstream = self.clone();
        let batches = futures_util::stream::unfold(upstream, move |upstream| async move {
            let batch = upstream.next_batch(stream).await?;
            Some((batch, upstream))
        });
        let mut batches = {
            let mut client = self.client.clone();
            let attaching = client.attach(batches);
            tokio::time::timeout(ATTACH_TIMEOUT, attaching)
                .await
                .map_err(|_| tonic::Status::deadline_exceeded("the core did not answer"))??
                .into_inner()
        };
        // From here on what is sent is kept for this stream, and what was there before is announced.
        // What comes between is in both, which does no harm.
        self.leaving.store(self.retired.is_cancelled(), Ordering::Relaxed);
        self.outbox.lock().open();
        *self.away.lock() = None;
        let mut announcement = Some(downstream.attached(self));
        self.changed.notify_waiters();
        self.any_changed.notify_waiters();
        metrics::gauge!(names::ATTACHED).increment(1.0);
        tracing::info!(core = self.node.name, "attached to a core");
        loop {
            let (changed, drained) = (self.changed.notified(), self.drained.notified());
            if self.outbox.lock().state() == State::Overrun {
                return Err(tonic::Status::resource_exhausted("the core takes nothing"));
            }
            while announcement.is_some() && self.has_little() {
                announcement = announcement.take_if(|announcement| announcement.send_next());
            }
            let batch = tokio::select! {
                batch = batches.message() => batch?,
                () = changed => continue,
                () = drained, if announcement.is_some() => continue,
            };
            let Some(batch) = batch else { return Ok(()) };
            for item in batch.items.into_iter().filter_map(|item| item.item) {
                if matches!(item, core_item::Item::DrainMs(_)) {
                    self.leave();
                    downstream.leaving(self);
                }
                if matches!(item, core_item::Item::Drained(_)) {
                    self.drained(announcement.take().is_none());
                }
                downstream.item(item, self, stream).await;
            }
        }
    }

    /// Whether this side has ended behind all that concerns the core.
    fn has_said_all(&self) -> bool {
        self.outbox.lock().state() == State::Drained { complete: true }
    }

    /// The core has sent everything. This side of the stream ends as well, so that the core knows when it
    /// has heard everything. If the announcement was incomplete, the core is treated as lost: it did not
    /// know all that this edge is subscribed to.
    fn drained(&self, announced: bool) {
        self.leave();
        self.outbox.lock().drain(announced);
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// The number of the stream that was open.
    fn detach(&self) -> Option<u64> {
        let mut outbox = self.outbox.lock();
        let was_attached = outbox.is_attached().then_some(outbox.stream());
        // The number ends the old stream's batches.
        let stream = self.after(outbox.stream());
        outbox.begin(stream, None);
        drop(outbox);
        if was_attached.is_some() {
            *self.away.lock() = Some(Instant::now());
            metrics::gauge!(names::ATTACHED).decrement(1.0);
        }
        self.any_changed.notify_waiters();
        self.filled.notify_one();
        self.drained.notify_waiters();
        self.changed.notify_waiters();
        was_attached
    }

    /// The number of the next stream.
    fn after(&self, stream: u64) -> u64 {
        (u64::from(self.id) << 32) | u64::from((stream as u32).wrapping_add(1))
    }

    /// What waits, up to a batch's size. Nothing lingers, and a backlog goes together.
    async fn next_batch(&self, stream: u64) -> Option<node::EdgeBatch> {
        loop {
            let filled = self.filled.notified();
            let batch = self.outbox.lock().take(stream);
            match batch {
                Batch::Items(items) => {
                    self.drained.notify_waiters();
                    metrics::histogram!(names::BATCH).record(items.len() as f64);
                    return Some(node::EdgeBatch { items });
                }
                Batch::End => return None,
                Batch::Empty => {}
            }
            filled.await;
        }
    }
}

/// A failure with what led to it. The cause is in the last of them, as a certificate that was refused.
fn reason(status: &tonic::Status) -> String {
    let mut said = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let error_text = error.to_string();
        if !said.contains(&error_text) {
            said = format!("{said}: {error_text}");
        }
        source = error.source();
    }
    said
}

/// What concerns all logs is added to what waits as long as that is less.
const SLICE: usize = 4_096;
/// A core's batch.
const MAX_BATCH: usize = 16 * 1024 * 1024;
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
/// A core that has failed to answer is asked last for so long.
const SUSPECT: Duration = Duration::from_secs(2);
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::{
        super::{core_link::CoreLink, outbox::MAX_ITEMS},
        *,
    };

    #[tokio::test]
    async fn once_the_core_has_told_everything_this_side_ends_behind_what_waits() {
        // A core that had an incomplete announcement has not sent what it did not know of.
        for announced in [true, false] {
            let link = CoreLink::new(tonic::transport::Endpoint::from_static("http://core").connect_lazy());
            let upstream =
                CoreStream::new(1, Core::every_service(link), node::EdgeHello::default(), 10, Arc::default());
            let close = || edge_item::Item::Close(node::SessionClose { session: 1 });
            upstream.outbox.lock().open();
            assert!(upstream.send(close()));
            upstream.drained(announced);
            assert!(!upstream.send(close()) && !upstream.takes() && upstream.is_attached());
            assert_eq!(upstream.command(node::Command::default(), 0).await, Err(Away));
            assert_eq!(upstream.next_batch(0).await.unwrap().items.len(), 1);
            assert!(!upstream.has_said_all());
            assert!(upstream.next_batch(0).await.is_none());
            assert_eq!(upstream.has_said_all(), announced);
        }
    }

    #[tokio::test]
    async fn a_stream_that_takes_nothing_is_given_up() {
        let link = CoreLink::new(tonic::transport::Endpoint::from_static("http://core").connect_lazy());
        let most = 2 * MAX_ITEMS;
        let upstream = CoreStream::new(1, Core::every_service(link), node::EdgeHello::default(), most, Arc::default());
        let close = || edge_item::Item::Close(node::SessionClose { session: 1 });
        // Without a core nothing waits.
        upstream.send(close());
        assert_eq!(upstream.outbox.lock().len(), 0);
        upstream.outbox.lock().open();
        for _ in 0..most {
            upstream.send(close());
        }
        assert!(upstream.is_attached());
        // What may be lost, and what may wait outside, has stopped long before.
        upstream.offer(close());
        assert_eq!(upstream.outbox.lock().len(), most);
        assert_eq!(upstream.outbox.lock().state(), State::Open);
        upstream.send(close());
        assert_eq!(upstream.outbox.lock().state(), State::Overrun);
        // It is detached as any other, and the next one begins with nothing.
        assert_eq!(upstream.detach(), Some(0));
        assert_eq!(upstream.outbox.lock().len(), 0);
        assert!(upstream.next_batch(0).await.is_none());
    }
}
