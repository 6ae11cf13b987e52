//! Where a QUIC connection's WebTransport streams and datagrams go. Streams come to the inbox of
//! their session, early ones to a small buffer. Datagrams are taken where they are read.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, OnceLock},
    time::Instant,
};

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::VarInt;
use tokio::sync::Notify;

use super::low_priority::LowPriority;

/// A stream that a client opened within a session; without `send` it is unidirectional.
#[derive(Debug)]
pub(crate) struct Stream {
    /// What comes.
    pub(crate) recv: quinn::RecvStream,
    /// What goes.
    pub(crate) send: Option<quinn::SendStream>,
}

/// Takes the datagrams of a session, one after the other, by the task that reads the connection. It
/// must not wait.
pub(crate) trait TakeDatagram: Send + Sync {
    /// Takes one datagram's payload.
    fn take(&self, payload: Bytes);
}

/// What comes for one session.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Streams that were not taken yet: as many as the connection may have, at most.
    streams: Mutex<VecDeque<Stream>>,
    notify: Notify,
    /// Until it is there, datagrams are dropped.
    datagrams: OnceLock<Box<dyn TakeDatagram>>,
}

/// The sessions of one QUIC connection.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Table>, OnceLock<Arc<LowPriority>>);

#[derive(Debug, Default)]
struct Table {
    open: Vec<(u64, Arc<Inbox>)>,
    /// Streams whose session is not there (yet), and since when.
    early: Vec<(u64, Stream, Instant)>,
    /// Every session up to this id that is not open was closed: CONNECT streams come in ascending order,
    /// and none is opened twice.
    closed: Option<u64>,
}

impl Inbox {
    /// The next stream that has come.
    pub(crate) async fn next(&self) -> Stream {
        loop {
            if let Some(stream) = self.take() {
                return stream;
            }
            self.notify.notified().await;
        }
    }

    /// Has the session's datagrams taken from now on. To be called once.
    pub(crate) fn set_datagrams(&self, datagrams: impl TakeDatagram + 'static) {
        let _ = self.datagrams.set(Box::new(datagrams));
    }

    fn take(&self) -> Option<Stream> {
        let mut streams = self.streams.lock();
        let stream = streams.pop_front();
        if streams.is_empty() {
            *streams = VecDeque::new();
        }
        stream
    }

    fn put(&self, stream: Stream) {
        self.streams.lock().push_back(stream);
        self.notify.notify_one();
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("streams", &self.streams).finish_non_exhaustive()
    }
}

impl Sessions {
    /// A session opens: early streams come to its inbox.
    pub(crate) fn open(&self, id: u64) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::default());
        let mut table = self.0.lock();
        for (_, stream, _) in table.early.extract_if(.., |(session, ..)| *session == id) {
            inbox.put(stream);
        }
        table.open.push((id, inbox.clone()));
        inbox
    }

    /// A session has ended, and its streams with it; `true` when it was the last.
    pub(crate) fn close(&self, id: u64) -> bool {
        let mut table = self.0.lock();
        table.closed = table.closed.max(Some(id));
        for (_, inbox) in table.open.extract_if(.., |(session, _)| *session == id) {
            for stream in inbox.streams.lock().drain(..) {
                stream.reset(SESSION_GONE);
            }
        }
        for (_, stream, _) in table.early.extract_if(.., |(session, ..)| *session == id) {
            stream.reset(SESSION_GONE);
        }
        table.open.is_empty()
    }

    /// By which all of them write what has to leave room for what is live.
    pub(crate) fn low_priority(&self, connection: &quinn::Connection) -> Arc<LowPriority> {
        self.1.get_or_init(|| LowPriority::new(connection.clone())).clone()
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().open.len()
    }

    /// A stream has come; `false` when it is kept until its session comes.
    pub(crate) fn stream(&self, session: u64, stream: Stream, now: Instant) -> bool {
        let mut table = self.0.lock();
        if let Some((_, inbox)) = table.open.iter().find(|(id, _)| *id == session) {
            inbox.put(stream);
        } else if table.closed.is_some_and(|closed| session <= closed) {
            stream.reset(SESSION_GONE);
        } else if table.early.len() < MAX_EARLY && session.is_multiple_of(4) {
            table.early.push((session, stream, now));
            return false;
        } else {
            stream.reset(BUFFERED_STREAM_REJECTED);
        }
        true
    }

    /// Resets the streams that were kept at this time or before, and whose session has not come. Gives
    /// since when the next one is kept.
    pub(crate) fn give_up(&self, kept: Instant) -> Option<Instant> {
        let mut table = self.0.lock();
        for (_, stream, _) in table.early.extract_if(.., |(_, _, since)| *since <= kept) {
            stream.reset(BUFFERED_STREAM_REJECTED);
        }
        table.early.iter().map(|(_, _, since)| *since).min()
    }

    /// A datagram has come; one without a session is dropped.
    pub(crate) fn datagram(&self, datagram: Bytes) {
        let mut rest: &[u8] = &datagram;
        let Some(quarter) = super::capsule::varint(&mut rest) else { return };
        let payload = datagram.slice(datagram.len() - rest.len()..);
        // Taken outside of the table, which streams wait for.
        let session = |(id, _): &&(u64, Arc<Inbox>)| *id == quarter * 4;
        let inbox = self.0.lock().open.iter().find(session).map(|(_, inbox)| inbox.clone());
        if let Some(datagrams) = inbox.as_ref().and_then(|inbox| inbox.datagrams.get()) {
            datagrams.take(payload);
        }
    }
}

impl Stream {
    /// Ends both directions.
    pub(crate) fn reset(mut self, code: VarInt) {
        // Fails only when it has ended already.
        let _ = self.recv.stop(code);
        if let Some(mut send) = self.send {
            let _ = send.reset(code);
        }
    }
}

/// Streams that came before their session.
const MAX_EARLY: usize = 8;
/// WEBTRANSPORT_SESSION_GONE.
pub(crate) const SESSION_GONE: VarInt = VarInt::from_u32(0x170d_7b68);
/// WEBTRANSPORT_BUFFERED_STREAM_REJECTED.
const BUFFERED_STREAM_REJECTED: VarInt = VarInt::from_u32(0x3994_bd84);
