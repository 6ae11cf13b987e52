//! What waits for one edge: one bounded queue. The stream takes all there is as one batch, so an
//! idle system answers at once and a busy one pays for framing once a batch.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use gogochat_proto::node::{CoreBatch, CoreItem, core_item::Item};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tonic::Status;

/// The bounded queue of one attachment.
pub(crate) struct EdgeQueue {
    state: Mutex<State>,
    room: Notify,
    max_items: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct State {
    items: VecDeque<CoreItem>,
    bytes: usize,
    reader: Option<Waker>,
    closed: Option<Status>,
    finished: bool,
    ended: bool,
    overflowed: bool,
}

/// The queue was full and is closed now, or it was closed before: the edge attaches anew and asks
/// for what it misses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

impl EdgeQueue {
    pub(crate) fn new(max_items: usize, max_bytes: usize) -> Self {
        Self { state: Mutex::default(), room: Notify::new(), max_items, max_bytes }
    }

    /// Queues an item. A queue that is full is closed.
    pub(crate) fn push(&self, item: Item) -> Result<(), Closed> {
        let size = size(&item);
        let mut state = self.state.lock();
        if state.takes_nothing() {
            return Err(Closed);
        }
        if state.items.len() >= self.max_items || state.bytes + size > self.max_bytes {
            state.overflowed = true;
            drop(state);
            self.close(Status::resource_exhausted("this edge reads too slowly"));
            return Err(Closed);
        }
        state.push(item, size);
        Ok(())
    }

    /// Queues what may be lost: when the queue is half full, it is. `false`: it was.
    pub(crate) fn push_or_shed(&self, item: Item) -> bool {
        let size = size(&item);
        let mut state = self.state.lock();
        let has_room = !state.takes_nothing() && !self.is_half_full(&state);
        if has_room {
            state.push(item, size);
        }
        has_room
    }

    /// Waits until the queue is less than half full.
    pub(crate) async fn room(&self) -> Result<(), Closed> {
        loop {
            let notified = self.room.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let state = self.state.lock();
                if state.takes_nothing() {
                    return Err(Closed);
                }
                if !self.is_half_full(&state) {
                    return Ok(());
                }
            }
            notified.await;
        }
    }

    /// Waits until everything was taken, or nobody takes it any more.
    pub(crate) async fn empty(&self) {
        loop {
            let notified = self.room.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let state = self.state.lock();
                if state.items.is_empty() || state.closed.is_some() || state.ended {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Ends the stream in good order: behind what waits, and without a status. Nothing more is queued.
    pub(crate) fn finish(&self) {
        let mut state = self.state.lock();
        state.finished = true;
        state.wake();
    }

    /// Ends the stream with a status; what waits is dropped.
    pub(crate) fn close(&self, status: Status) {
        let mut state = self.state.lock();
        if state.closed.is_none() {
            state.closed = Some(status);
            state.items = VecDeque::new();
            state.bytes = 0;
        }
        state.wake();
        self.room.notify_waiters();
    }

    /// Whether it was closed because it was full.
    pub(crate) fn overflowed(&self) -> bool {
        self.state.lock().overflowed
    }

    fn is_half_full(&self, state: &State) -> bool {
        state.items.len() >= self.max_items / 2 || state.bytes >= self.max_bytes / 2
    }

    fn poll_batch(&self, context: &Context<'_>) -> Poll<Option<Result<CoreBatch, Status>>> {
        let mut state = self.state.lock();
        if state.ended {
            return Poll::Ready(None);
        }
        if let Some(status) = state.closed.clone() {
            state.ended = true;
            return Poll::Ready(Some(Err(status)));
        }
        if state.items.is_empty() && state.finished {
            state.ended = true;
            return Poll::Ready(None);
        }
        if state.items.is_empty() {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let batch = state.take();
        self.room.notify_waiters();
        Poll::Ready(Some(Ok(batch)))
    }
}

impl State {
    fn takes_nothing(&self) -> bool {
        self.closed.is_some() || self.finished || self.ended
    }

    fn push(&mut self, item: Item, size: usize) {
        self.items.push_back(CoreItem { item: Some(item) });
        self.bytes += size;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn take(&mut self) -> CoreBatch {
        let mut items = Vec::with_capacity(self.items.len().min(BATCH_ITEMS));
        let mut bytes = 0;
        while let Some(next) = self.items.pop_front() {
            bytes += next.item.as_ref().map_or(0, size);
            items.push(next);
            if bytes >= BATCH_BYTES || items.len() >= BATCH_ITEMS {
                break;
            }
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.items.is_empty() {
            // An idle edge keeps no buffer of its busiest moment.
            self.items.shrink_to(KEPT_ITEMS);
        }
        CoreBatch { items }
    }
}

/// The stream of an attachment. Whoever drops it is heard of: `on_drop` runs.
pub(crate) struct Batches<F: FnOnce() + Send> {
    queue: Arc<EdgeQueue>,
    on_drop: Option<F>,
}

impl<F: FnOnce() + Send> Batches<F> {
    pub(crate) fn new(queue: Arc<EdgeQueue>, on_drop: F) -> Self {
        Self { queue, on_drop: Some(on_drop) }
    }
}

impl<F: FnOnce() + Send + Unpin> tokio_stream::Stream for Batches<F> {
    type Item = Result<CoreBatch, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.queue.poll_batch(context)
    }
}

impl<F: FnOnce() + Send> Drop for Batches<F> {
    fn drop(&mut self) {
        self.queue.close(Status::cancelled("the edge went away"));
        if let Some(on_drop) = self.on_drop.take() {
            on_drop();
        }
    }
}

/// What an item weighs in memory and on the wire, about.
fn size(item: &Item) -> usize {
    ITEM_BYTES
        + match item {
            Item::Fanout(fanout) => fanout.frame.len(),
            Item::Ephemeral(ephemeral) => ephemeral.frame.len(),
            Item::Result(result) => result.body.len() + result.error.as_ref().map_or(0, |e| e.message.len() + 64),
            Item::Marks(marks) => marks.moved.len() * 48 + 128,
            Item::Opened(opened) => opened.subscriptions.len() * 64,
            Item::Refused(_) | Item::Revoke(_) | Item::DrainMs(_) | Item::Drained(_) | Item::TicketKey(_) => 128,
        }
}

const ITEM_BYTES: usize = 96;
/// A batch stays well below the 4 MiB that a gRPC client takes by default.
const BATCH_BYTES: usize = 512 * 1024;
const BATCH_ITEMS: usize = 1_024;
const KEPT_ITEMS: usize = 1_024;

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;

    use super::*;

    fn batches(queue: &Arc<EdgeQueue>) -> Batches<impl FnOnce() + Send + Unpin> {
        Batches::new(queue.clone(), || {})
    }

    #[tokio::test]
    async fn what_waits_comes_as_one_batch_in_order() {
        let queue = Arc::new(EdgeQueue::new(10, 10_000));
        for n in 0..10 {
            queue.push(Item::DrainMs(n)).unwrap();
        }
        let batch = batches(&queue).next().await.unwrap().unwrap();
        let got: Vec<_> = batch.items.into_iter().map(|item| item.item.unwrap()).collect();
        assert_eq!(got, (0..10).map(Item::DrainMs).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn one_more_than_fits_closes_it() {
        let queue = Arc::new(EdgeQueue::new(3, 10_000));
        for n in 0..3 {
            queue.push(Item::DrainMs(n)).unwrap();
        }
        assert_eq!(queue.push(Item::DrainMs(3)), Err(Closed));
        assert!(queue.overflowed());
        assert!(queue.state.lock().items.is_empty());
        let mut batches = batches(&queue);
        assert_eq!(batches.next().await.unwrap().unwrap_err().code(), tonic::Code::ResourceExhausted);
        assert!(batches.next().await.is_none());
        assert_eq!(queue.room().await, Err(Closed));
    }

    #[tokio::test]
    async fn one_that_is_finished_ends_behind_what_waits_and_takes_no_more() {
        let queue = Arc::new(EdgeQueue::new(10, 10_000));
        queue.push(Item::DrainMs(0)).unwrap();
        queue.finish();
        assert_eq!(queue.push(Item::DrainMs(1)), Err(Closed));
        assert!(!queue.push_or_shed(Item::DrainMs(1)));
        let mut batches = batches(&queue);
        assert_eq!(batches.next().await.unwrap().unwrap().items.len(), 1);
        assert!(batches.next().await.is_none());
        // One that is closed first ends with the status, and what waited is lost.
        let queue = Arc::new(EdgeQueue::new(10, 10_000));
        queue.push(Item::DrainMs(0)).unwrap();
        queue.finish();
        queue.close(Status::unavailable("detached"));
        let mut batches = self::batches(&queue);
        assert_eq!(batches.next().await.unwrap().unwrap_err().code(), tonic::Code::Unavailable);
    }

    #[tokio::test]
    async fn bytes_count_too() {
        let queue = EdgeQueue::new(1_000, 2 * (ITEM_BYTES + 128));
        queue.push(Item::DrainMs(0)).unwrap();
        assert!(!queue.push_or_shed(Item::DrainMs(1)), "half full");
        queue.push(Item::DrainMs(1)).unwrap();
        assert_eq!(queue.push(Item::DrainMs(2)), Err(Closed));
    }

    #[tokio::test]
    async fn room_comes_back_when_the_stream_is_read() {
        let queue = Arc::new(EdgeQueue::new(4, 10_000));
        for n in 0..3 {
            queue.push(Item::DrainMs(n)).unwrap();
        }
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.room().await }
        });
        let mut batches = batches(&queue);
        batches.next().await.unwrap().unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(()));
        queue.empty().await;
    }
}
