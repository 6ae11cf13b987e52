//! The way to the core: one Attach stream for what must stay in order, unary calls for the rest.

use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};

use gogochat_proto::{
    error::ErrorCode,
    node::{self, core_item, edge_item, node_service_client::NodeServiceClient},
    v1,
};
use parking_lot::Mutex;
use rand::RngExt as _;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::{
    body::Body,
    codegen::{Service, StdError},
};
use tower::{ServiceExt as _, util::BoxCloneSyncService};

use crate::metrics as names;

/// What leads to the core's NodeService: a connection, or the service itself where it runs in this process.
#[derive(Debug, Clone)]
pub struct CoreLink(Link);

type Link = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, tonic::Status>;

impl CoreLink {
    /// By way of a gRPC channel or service.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<StdError>,
        S::Future: Send + 'static,
    {
        Self(Link::new(service.map_err(|error| tonic::Status::from_error(error.into()))))
    }
}

/// What the core's messages go to.
pub(crate) trait Downstream: Send + Sync + 'static {
    /// A stream was opened: what a core has to know first.
    fn attached(&self) -> Vec<edge_item::Item>;
    /// The core said something, on the stream of this number.
    fn item(&self, item: core_item::Item, stream: u64) -> impl Future<Output = ()> + Send;
    /// The stream broke: what was sent on it may or may not have been seen.
    fn detached(&self);
}

/// The way to one core.
#[derive(Debug)]
pub(crate) struct Upstream {
    client: NodeServiceClient<Link>,
    node: String,
    outbox: Mutex<Outbox>,
    /// Something waits for the stream.
    filled: Notify,
    /// The stream took something.
    drained: Notify,
    /// A stream was opened or has broken.
    changed: Notify,
    invocations: Semaphore,
}

/// What waits for the stream. Empty while there is none.
#[derive(Debug, Default)]
struct Outbox {
    /// Goes by itself, before all else.
    hello: Option<edge_item::Item>,
    items: VecDeque<edge_item::Item>,
    bytes: usize,
    attached: bool,
    /// Something was not kept that the core has to know: the stream has to end.
    overrun: bool,
    /// What was there before the stream is in front of `items`, which may go.
    announced: bool,
    /// Counts streams, so that an old one takes nothing meant for a new one.
    stream: u64,
}

/// The core is away, or has taken nothing for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the core is not reachable")]
pub(crate) struct Away;

impl Upstream {
    /// A way that is not attached yet: see [`Self::run`].
    pub(crate) fn new(core: CoreLink, node: String) -> Arc<Self> {
        Arc::new(Self {
            client: NodeServiceClient::new(core.0).max_decoding_message_size(MAX_BATCH),
            node,
            outbox: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            changed: Notify::new(),
            invocations: Semaphore::new(MAX_INVOCATIONS),
        })
    }

    /// Whether a core is attached.
    pub(crate) fn is_attached(&self) -> bool {
        self.outbox.lock().attached
    }

    /// Says something that the core is told anew after a break: in order with all else, never waiting. While no core is attached it is not needed.
    /// A core that takes so little that far too much waits is let go: what it has to know is short again on the next stream.
    pub(crate) fn tell(&self, item: edge_item::Item) {
        let mut outbox = self.outbox.lock();
        if !outbox.attached || outbox.overrun {
            return;
        }
        if outbox.items.len() < MAX_TOLD {
            outbox.items.push_back(item);
            drop(outbox);
            self.filled.notify_one();
        } else {
            outbox.overrun = true;
            drop(outbox);
            self.changed.notify_waiters();
        }
    }

    /// Sends what is dropped when there is no room.
    pub(crate) fn offer(&self, item: edge_item::Item) {
        let mut outbox = self.outbox.lock();
        if outbox.attached && outbox.has_room() {
            outbox.bytes += size(&item);
            outbox.items.push_back(item);
            drop(outbox);
            self.filled.notify_one();
        }
    }

    /// Sends a command on the stream on which its session is open; waits while the stream is full.
    ///
    /// # Errors
    /// The session is open on no stream, its stream has broken, or it took nothing for 2 s.
    pub(crate) async fn command(&self, command: node::Command, stream: Option<u64>) -> Result<(), Away> {
        let Some(stream) = stream else { return Err(Away) };
        let mut command = Some(command);
        let deadline = tokio::time::sleep(SEND_TIMEOUT);
        let mut deadline = std::pin::pin!(deadline);
        loop {
            let drained = self.drained.notified();
            {
                let mut outbox = self.outbox.lock();
                if outbox.stream != stream {
                    return Err(Away);
                }
                if outbox.has_room()
                    && let Some(command) = command.take()
                {
                    let item = edge_item::Item::Command(command);
                    outbox.bytes += size(&item);
                    outbox.items.push_back(item);
                }
            }
            if command.is_none() {
                self.filled.notify_one();
                return Ok(());
            }
            tokio::select! {
                () = drained => {}
                () = &mut deadline => return Err(Away),
            }
        }
    }

    /// A call for which order does not matter.
    pub(crate) async fn invoke(&self, request: node::InvokeRequest) -> Result<node::InvokeReply, v1::Error> {
        let away = || ErrorCode::Unavailable.with("the core is not reachable");
        let Ok(_permit) = self.invocations.try_acquire() else {
            return Err(ErrorCode::Overloaded.with("too many calls are under way"));
        };
        if !self.is_attached() {
            return Err(away());
        }
        let mut client = self.client.clone();
        match tokio::time::timeout(INVOKE_TIMEOUT, client.invoke(request)).await {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            Ok(Err(status)) => {
                tracing::debug!(%status, "a call to the core failed");
                Err(away())
            }
            Err(_) => Err(ErrorCode::DeadlineExceeded.with("the core did not answer in time")),
        }
    }

    /// Keeps a stream to the core until `stop`.
    pub(crate) async fn run(self: Arc<Self>, downstream: Arc<impl Downstream>, stop: CancellationToken) {
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            let result = stop.run_until_cancelled(self.attach(&*downstream)).await;
            let was_attached = self.detach();
            if was_attached {
                downstream.detached();
                failures = 0;
            }
            let Some(result) = result else { return };
            tracing::warn!(error = result.err().map(|e| e.to_string()), "the core is not attached");
            // Up to 100 ms, 200 ms, ... 2 s.
            let most = (100_u64 << failures.min(5)).min(2_000);
            failures += 1;
            let pause = rand::rng().random_range(most / 2..=most);
            stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(pause))).await;
        }
    }

    /// Waits until a core is attached.
    pub(crate) async fn attached(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_attached() {
                return;
            }
            changed.await;
        }
    }

    async fn attach(self: &Arc<Self>, downstream: &impl Downstream) -> Result<(), tonic::Status> {
        let hello = node::EdgeHello { node: self.node.clone(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let stream = {
            let mut outbox = self.outbox.lock();
            let hello = Some(edge_item::Item::Hello(hello));
            *outbox = Outbox { hello, stream: outbox.stream + 1, ..Outbox::default() };
            outbox.stream
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
        // From here on what is told is kept for this stream, behind what is announced: what comes between is in both, which does no harm.
        self.outbox.lock().attached = true;
        let mut first: VecDeque<_> = downstream.attached().into();
        {
            let mut outbox = self.outbox.lock();
            first.append(&mut outbox.items);
            outbox.items = first;
            outbox.announced = true;
        }
        self.filled.notify_one();
        self.changed.notify_waiters();
        metrics::gauge!(names::ATTACHED).set(1.0);
        tracing::info!(node = self.node, "attached to the core");
        loop {
            let changed = self.changed.notified();
            if self.outbox.lock().overrun {
                return Err(tonic::Status::resource_exhausted("the core takes nothing"));
            }
            let batch = tokio::select! {
                batch = batches.message() => batch?,
                () = changed => continue,
            };
            let Some(batch) = batch else { return Ok(()) };
            for item in batch.items.into_iter().filter_map(|item| item.item) {
                downstream.item(item, stream).await;
            }
        }
    }

    /// `true` when a stream was open.
    fn detach(&self) -> bool {
        let mut outbox = self.outbox.lock();
        let was_attached = outbox.attached;
        // The number ends the old stream's batches.
        *outbox = Outbox { stream: outbox.stream + 1, ..Outbox::default() };
        drop(outbox);
        metrics::gauge!(names::ATTACHED).set(0.0);
        self.filled.notify_one();
        self.drained.notify_waiters();
        self.changed.notify_waiters();
        was_attached
    }

    /// What waits, up to a batch's size: nothing lingers, and a backlog goes together.
    async fn next_batch(&self, stream: u64) -> Option<node::EdgeBatch> {
        loop {
            let filled = self.filled.notified();
            {
                let mut outbox = self.outbox.lock();
                if outbox.stream != stream {
                    return None;
                }
                let mut items: Vec<_> =
                    outbox.hello.take().map(|hello| node::EdgeItem { item: Some(hello) }).into_iter().collect();
                let mut bytes = 0;
                while outbox.announced
                    && items.len() < BATCH_ITEMS
                    && bytes < BATCH_BYTES
                    && let Some(item) = outbox.items.pop_front()
                {
                    bytes += size(&item);
                    items.push(node::EdgeItem { item: Some(item) });
                }
                outbox.bytes = outbox.bytes.saturating_sub(bytes);
                if outbox.items.is_empty() && outbox.items.capacity() > BATCH_ITEMS {
                    outbox.items = VecDeque::new();
                }
                if !items.is_empty() {
                    drop(outbox);
                    self.drained.notify_waiters();
                    metrics::histogram!(names::BATCH).record(items.len() as f64);
                    return Some(node::EdgeBatch { items });
                }
            }
            filled.await;
        }
    }
}

/// Bytes of an item, where it may be large.
fn size(item: &edge_item::Item) -> usize {
    match item {
        edge_item::Item::Command(command) => command.body.len(),
        edge_item::Item::Marks(up) => up.marks.len() * MARK_BYTES,
        edge_item::Item::Ephemeral(up) => up.ephemeral.len(),
        _ => 0,
    }
}

impl Outbox {
    fn has_room(&self) -> bool {
        self.items.len() < MAX_ITEMS && self.bytes < MAX_BYTES
    }
}

/// Items that wait for the stream, before commands wait outside.
const MAX_ITEMS: usize = 16_384;
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Items that wait, of those that never wait outside: a few hundred MiB.
const MAX_TOLD: usize = 1_000_000;
/// A batch stays below the 4 MiB that tonic decodes by default.
const BATCH_ITEMS: usize = 1_024;
const BATCH_BYTES: usize = 512 * 1024;
/// A mark on its way: the log's id and two numbers.
const MARK_BYTES: usize = 40;
/// A core's batch.
const MAX_BATCH: usize = 16 * 1024 * 1024;
const MAX_INVOCATIONS: usize = 4_096;
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
const INVOKE_TIMEOUT: Duration = Duration::from_secs(10);
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_that_takes_nothing_is_given_up() {
        let upstream = Upstream::new(
            CoreLink::new(tonic::transport::Endpoint::from_static("http://core").connect_lazy()),
            "e".into(),
        );
        let close = || edge_item::Item::Close(node::SessionClose { session: 1 });
        // Without a core nothing waits.
        upstream.tell(close());
        assert_eq!(upstream.outbox.lock().items.len(), 0);
        upstream.outbox.lock().attached = true;
        for _ in 0..MAX_TOLD {
            upstream.tell(close());
        }
        assert!(upstream.is_attached());
        // What may be lost, and what may wait outside, has stopped long before.
        upstream.offer(close());
        assert_eq!(upstream.outbox.lock().items.len(), MAX_TOLD);
        assert!(!upstream.outbox.lock().overrun);
        upstream.tell(close());
        assert!(upstream.outbox.lock().overrun);
        // It is detached as any other, and the next one begins with nothing.
        assert!(upstream.detach());
        assert_eq!(upstream.outbox.lock().items.len(), 0);
        assert!(upstream.next_batch(0).await.is_none());
    }
}
