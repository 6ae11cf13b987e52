//! Replies on a client's further streams, such as pages of history, which leave room for live
//! messages.
//!
//! quinn's send window counts the unacknowledged bytes of all streams together. While such replies
//! are written, the window is as narrow as [`InFlight`] says. A live message opens it for its own
//! write.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::{SendStream, WriteError};

use super::in_flight::{InFlight, SEND_WINDOW};

/// What is written with low priority on one QUIC connection.
#[derive(Debug)]
pub(crate) struct LowPriority {
    connection: quinn::Connection,
    /// One reply is written at a time, in the order in which they came.
    turn: tokio::sync::Mutex<()>,
    /// The send window is narrow. It changes under the lock of `state` alone.
    is_narrow: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    flow: InFlight,
    /// Replies that are being written, or wait for their turn.
    writers: usize,
}

impl LowPriority {
    /// Of a connection on which nothing is written so yet.
    pub(crate) fn new(connection: quinn::Connection) -> Arc<Self> {
        let state = State { flow: InFlight::new(Instant::now()), writers: 0 };
        Arc::new(Self {
            connection,
            turn: tokio::sync::Mutex::default(),
            is_narrow: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    /// Writes a reply to its stream, whole.
    ///
    /// # Errors
    /// The stream takes nothing any more.
    pub(crate) async fn write(&self, stream: &mut SendStream, reply: Bytes) -> Result<(), WriteError> {
        if reply.len() < LONG && !self.is_narrow.load(Ordering::Relaxed) {
            return stream.write_chunk(reply).await;
        }
        let _writer = Writer::begin(self);
        let mut left = reply;
        while !left.is_empty() {
            let _turn = self.turn.lock().await;
            // A stream that the client does not read must not hold up others.
            let write = poll_fn(|context| self.poll_write(stream, &mut left, context));
            if let Ok(written) = tokio::time::timeout(TURN, write).await {
                written?;
            }
        }
        Ok(())
    }

    fn poll_write(
        &self,
        stream: &mut SendStream,
        left: &mut Bytes,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        let mut state = self.state.lock();
        let flow = &mut state.flow;
        while !left.is_empty() {
            let now = Instant::now();
            match std::pin::pin!(stream.write_chunks(std::slice::from_mut(left))).poll(context) {
                Poll::Ready(written) => flow.take(written?.bytes as u64, now),
                Poll::Pending => {
                    let before = flow.window();
                    flow.is_full(self.connection.min_rtt(), now);
                    if flow.window() != before {
                        self.connection.set_send_window(flow.window());
                    }
                    if flow.window() <= before {
                        return Poll::Pending;
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes something live.
    pub(crate) fn go_before<T>(&self, write: impl FnOnce() -> T) -> T {
        if !self.is_narrow.load(Ordering::Relaxed) {
            return write();
        }
        let state = self.state.lock();
        self.connection.set_send_window(SEND_WINDOW);
        let written = write();
        if state.writers > 0 {
            self.connection.set_send_window(state.flow.window());
        }
        written
    }
}

/// A reply that is being written.
struct Writer<'a>(&'a LowPriority);

impl<'a> Writer<'a> {
    fn begin(low: &'a LowPriority) -> Self {
        let mut state = low.state.lock();
        state.writers += 1;
        if state.writers == 1 {
            state.flow.begin(Instant::now());
            low.is_narrow.store(true, Ordering::Relaxed);
            low.connection.set_send_window(state.flow.window());
        }
        Self(low)
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.writers -= 1;
        if state.writers == 0 {
            self.0.is_narrow.store(false, Ordering::Relaxed);
            self.0.connection.set_send_window(SEND_WINDOW);
        }
    }
}

/// Replies of fewer bytes hold nobody up.
const LONG: usize = 4 * 1024;
/// After so long it is the turn of the next reply, although this one is not whole.
const TURN: Duration = Duration::from_secs(1);
