//! Where a QUIC connection's WebTransport streams and datagrams go: each to the inbox of its session, early ones to a small buffer.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::VarInt;
use tokio::sync::Notify;

/// A stream that a client opened within a session; without `send` it is unidirectional.
#[derive(Debug)]
pub(crate) struct Stream {
    /// What comes.
    pub(crate) recv: quinn::RecvStream,
    /// What goes.
    pub(crate) send: Option<quinn::SendStream>,
}

/// What has come for a session.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A stream.
    Stream(Stream),
    /// A datagram's payload.
    Datagram(Bytes),
}

/// What has come for one session and was not taken yet: bounded by the streams that a connection may have, and by a count of datagrams.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    arrivals: Mutex<VecDeque<Arrival>>,
    notify: Notify,
}

/// The sessions of one QUIC connection.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    open: Vec<(u64, Arc<Inbox>)>,
    /// Streams whose session is not there (yet).
    early: Vec<(u64, Stream)>,
    /// Every session up to this id that is not open was closed: CONNECT streams come in ascending order, and none is opened twice.
    closed: Option<u64>,
}

impl Inbox {
    /// The next that has come.
    pub(crate) async fn next(&self) -> Arrival {
        loop {
            if let Some(arrival) = self.take() {
                return arrival;
            }
            self.notify.notified().await;
        }
    }

    fn take(&self) -> Option<Arrival> {
        let mut arrivals = self.arrivals.lock();
        let arrival = arrivals.pop_front();
        if arrivals.is_empty() {
            *arrivals = VecDeque::new();
        }
        arrival
    }

    fn put(&self, arrival: Arrival) {
        let mut arrivals = self.arrivals.lock();
        // Datagrams may be lost; streams are as many as QUIC permits.
        if matches!(arrival, Arrival::Datagram(_)) && arrivals.len() >= MAX_WAITING {
            return;
        }
        arrivals.push_back(arrival);
        drop(arrivals);
        self.notify.notify_one();
    }
}

impl Sessions {
    /// A session opens: early streams come to its inbox.
    pub(crate) fn open(&self, id: u64) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::default());
        let mut table = self.0.lock();
        for (_, stream) in table.early.extract_if(.., |(session, _)| *session == id) {
            inbox.put(Arrival::Stream(stream));
        }
        table.open.push((id, inbox.clone()));
        inbox
    }

    /// A session has ended, and its streams with it; `true` when it was the last.
    pub(crate) fn close(&self, id: u64) -> bool {
        let mut table = self.0.lock();
        table.closed = table.closed.max(Some(id));
        for (_, inbox) in table.open.extract_if(.., |(session, _)| *session == id) {
            for arrival in inbox.arrivals.lock().drain(..) {
                if let Arrival::Stream(stream) = arrival {
                    stream.reset(SESSION_GONE);
                }
            }
        }
        for (_, stream) in table.early.extract_if(.., |(session, _)| *session == id) {
            stream.reset(SESSION_GONE);
        }
        table.open.is_empty()
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().open.len()
    }

    /// A stream has come.
    pub(crate) fn stream(&self, session: u64, stream: Stream) {
        let mut table = self.0.lock();
        if let Some((_, inbox)) = table.open.iter().find(|(id, _)| *id == session) {
            inbox.put(Arrival::Stream(stream));
        } else if table.closed.is_some_and(|closed| session <= closed) {
            stream.reset(SESSION_GONE);
        } else if table.early.len() < MAX_EARLY && session.is_multiple_of(4) {
            table.early.push((session, stream));
        } else {
            stream.reset(BUFFERED_STREAM_REJECTED);
        }
    }

    /// A datagram has come; one without a session is dropped.
    pub(crate) fn datagram(&self, datagram: Bytes) {
        let mut rest: &[u8] = &datagram;
        let Some(quarter) = super::capsule::varint(&mut rest) else { return };
        let payload = datagram.slice(datagram.len() - rest.len()..);
        let table = self.0.lock();
        if let Some((_, inbox)) = table.open.iter().find(|(id, _)| *id == quarter * 4) {
            inbox.put(Arrival::Datagram(payload));
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

/// Datagrams that wait for a session's task.
const MAX_WAITING: usize = 64;
/// Streams that came before their session.
const MAX_EARLY: usize = 8;
/// WEBTRANSPORT_SESSION_GONE.
pub(crate) const SESSION_GONE: VarInt = VarInt::from_u32(0x170d_7b68);
/// WEBTRANSPORT_BUFFERED_STREAM_REJECTED.
const BUFFERED_STREAM_REJECTED: VarInt = VarInt::from_u32(0x3994_bd84);
