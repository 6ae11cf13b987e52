//! The Attach stream to one core: kept, and opened again whenever it breaks.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use gogochat_proto::node::{self, core_item, edge_item};
use rand::RngExt as _;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        core_queue::{Batch, State},
        downstream::{Announcement, Downstream, StreamEnd},
    },
    CoreStream,
};
use crate::{clock::now_ms, metrics as names};

impl CoreStream {
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
            if !self.listed.load(Ordering::Relaxed) {
                self.retire();
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
            let mut queue = self.queue.lock();
            let hello = node::EdgeHello { clock_ms: now_ms(), ..self.hello.clone() };
            let stream = self.after(queue.stream());
            queue.begin(stream, Some(edge_item::Item::Hello(hello)));
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
        self.queue.lock().open();
        *self.away.lock() = None;
        let mut announcement = Some(downstream.attached(self));
        self.changed.notify_waiters();
        self.any_changed.notify_waiters();
        metrics::gauge!(names::ATTACHED).increment(1.0);
        tracing::info!(core = self.node.name, "attached to a core");
        loop {
            let (changed, drained) = (self.changed.notified(), self.drained.notified());
            if self.queue.lock().state() == State::Overrun {
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
        self.queue.lock().state() == State::Drained { complete: true }
    }

    /// The core has sent everything. This side of the stream ends as well, so that the core knows when it
    /// has heard everything. If the announcement was incomplete, the core is treated as lost: it did not
    /// know all that this edge is subscribed to.
    fn drained(&self, announced: bool) {
        self.leave();
        self.queue.lock().drain(announced);
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// The number of the stream that was open.
    fn detach(&self) -> Option<u64> {
        let mut queue = self.queue.lock();
        let was_attached = queue.is_attached().then_some(queue.stream());
        // The number ends the old stream's batches.
        let stream = self.after(queue.stream());
        queue.begin(stream, None);
        drop(queue);
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
            let batch = self.queue.lock().take(stream);
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

const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::{
        super::super::{
            core_link::{Core, CoreLink},
            core_queue::MAX_ITEMS,
        },
        *,
    };
    use crate::upstream::Away;

    #[tokio::test]
    async fn once_the_core_has_told_everything_this_side_ends_behind_what_waits() {
        // A core that had an incomplete announcement has not sent what it did not know of.
        for announced in [true, false] {
            let link = CoreLink::new(tonic::transport::Endpoint::from_static("http://core").connect_lazy());
            let upstream =
                CoreStream::new(1, Core::every_service(link), node::EdgeHello::default(), 10, Arc::default());
            let close = || edge_item::Item::Close(node::SessionClose { session: 1 });
            upstream.queue.lock().open();
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
        assert_eq!(upstream.queue.lock().len(), 0);
        upstream.queue.lock().open();
        for _ in 0..most {
            upstream.send(close());
        }
        assert!(upstream.is_attached());
        // What may be lost, and what may wait outside, has stopped long before.
        upstream.offer(close());
        assert_eq!(upstream.queue.lock().len(), most);
        assert_eq!(upstream.queue.lock().state(), State::Open);
        upstream.send(close());
        assert_eq!(upstream.queue.lock().state(), State::Overrun);
        // It is detached as any other, and the next one begins with nothing.
        assert_eq!(upstream.detach(), Some(0));
        assert_eq!(upstream.queue.lock().len(), 0);
        assert!(upstream.next_batch(0).await.is_none());
    }
}
