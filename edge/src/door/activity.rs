//! The state of a connection over TCP, without I/O: whether client or server has to act next, since
//! when, and until when that may last.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::task::AtomicWaker;
use http::Version;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::table::{Bounds, Table, Ticket, Waits};
use crate::{
    limits::tcp::{
        ANSWERS, ANSWERS_IN_ALL, ANSWERS_PRESSED, CHECK, FIRST_REQUEST, GOODBYE, HANDSHAKES, HANDSHAKES_PER_ADDRESS,
        HTTP1_IDLE, HTTP2_IDLE, IDLE, NODE_HANDSHAKES, SILENT, WRITE_STALL, WRITE_STALL_PRESSED,
    },
    metrics as names,
};

/// The connections that wait for what is at their other end.
#[derive(Debug)]
pub(super) struct Tables {
    /// Clients that shake hands.
    handshakes: Arc<Table<Activity>>,
    /// Clients without a request under way.
    idle: Arc<Table<Activity>>,
    /// Nodes that shake hands.
    nodes: Arc<Table<Activity>>,
    /// Bytes of answers that clients have not taken, of all connections.
    unread: AtomicUsize,
}

impl Tables {
    pub(super) fn new() -> Arc<Self> {
        let bounds = |most, most_per_source| Bounds { most, most_per_source, grace: SILENT };
        Arc::new(Self {
            handshakes: Table::new(bounds(HANDSHAKES, HANDSHAKES_PER_ADDRESS)),
            idle: Table::new(bounds(IDLE, usize::MAX)),
            nodes: Table::new(bounds(NODE_HANDSHAKES, usize::MAX)),
            unread: AtomicUsize::new(0),
        })
    }

    /// Ends the oldest silent connections, so many at most of each table.
    pub(super) fn make_room(&self, most: usize) {
        let now = Instant::now();
        for table in [&self.handshakes, &self.idle, &self.nodes] {
            for _ in 0..most {
                if !table.evict_oldest(now) {
                    break;
                }
            }
        }
    }
}

/// A connection, as its socket, its requests and the tables see it.
#[derive(Debug, Clone)]
pub struct Activity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tables: Arc<Tables>,
    peer: Peer,
    state: Mutex<State>,
    place: Mutex<Place>,
    /// The task that reads and writes.
    reader: AtomicWaker,
    evicted: Notify,
    /// The client is to be told that the connection ends.
    goodbye: Notify,
    /// What its answers may take, in KiB.
    answers: Arc<Semaphore>,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// Anybody.
    Client,
    /// A node that has shown its certificate, or is about to: it may rest as long as it answers PINGs.
    Node,
}

/// Where it stands in the tables.
#[derive(Debug, Default)]
struct Place {
    ticket: Option<Ticket<Activity>>,
    /// Its socket is closed, or has another owner.
    gone: bool,
}

#[derive(Debug)]
struct State {
    /// Since when it is the client's turn, while no request is under way.
    since: Instant,
    /// How long that may last; `None`: for ever.
    allowance: Option<Duration>,
    /// Requests whose answers have not left yet.
    requests: usize,
    /// Nothing has come that was not taken.
    silent: bool,
    /// Since when the socket takes nothing, although something waits.
    blocked: Option<Instant>,
    /// Bytes of answers that the HTTP library has, and not given on to the socket.
    unread: usize,
    /// When the last of them left, or the first came.
    progress: Instant,
    evicted: bool,
    /// It speaks HTTP/2: a request may be under way to here while the connection is closed, unless the
    /// client is told before.
    http2: bool,
    /// It was told.
    told: bool,
    /// Bytes of headers whose requests wait for [`ANSWERS`].
    waiting_headers: usize,
}

/// Why a connection was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ending {
    /// Nothing was asked in time.
    #[error("nothing was asked in time")]
    Silent,
    /// The client takes nothing of what was sent to it.
    #[error("the client takes nothing of what is sent to it")]
    Stalled,
    /// It was silent, and another client needed its place.
    #[error("it was silent, and another needed its place")]
    Evicted,
}

impl Ending {
    /// Counts it.
    pub(super) fn count(self) {
        let reason = match self {
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Evicted => "evicted",
        };
        metrics::counter!(names::ENDED, "reason" => reason).increment(1);
    }
}

/// How a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It ends.
    Over(Ending),
    /// It is to be asked about again then.
    Until(Instant),
}

impl Activity {
    /// A client's connection that has come just now, with so long for the next step of its
    /// handshake. `source`: whose share of all handshakes it takes; `None`: nobody's. `None` is
    /// given when there is no room.
    pub(super) fn shaking(tables: &Arc<Tables>, source: Option<IpAddr>, within: Duration) -> Option<Self> {
        let activity = Self::new(tables, Peer::Client, within, ANSWERS);
        let ticket = tables.handshakes.enter(source, activity.clone(), Instant::now())?;
        activity.0.place.lock().ticket = Some(ticket);
        Some(activity)
    }

    /// The same, of a node.
    pub(super) fn shaking_node(tables: &Arc<Tables>, within: Duration) -> Option<Self> {
        let activity = Self::new(tables, Peer::Node, within, ANSWERS);
        let ticket = tables.nodes.enter(None, activity.clone(), Instant::now())?;
        activity.0.place.lock().ticket = Some(ticket);
        Some(activity)
    }

    /// A client's connection that may begin with its first request, and whose answers may take so
    /// many bytes.
    pub(super) fn open(tables: &Arc<Tables>, answers: usize) -> Self {
        let activity = Self::new(tables, Peer::Client, FIRST_REQUEST, answers);
        activity.stand_by(Instant::now());
        activity
    }

    fn new(tables: &Arc<Tables>, peer: Peer, allowance: Duration, answers: usize) -> Self {
        let now = Instant::now();
        Self(Arc::new(Shared {
            tables: tables.clone(),
            peer,
            state: Mutex::new(State {
                since: now,
                allowance: Some(allowance),
                requests: 0,
                silent: true,
                blocked: None,
                unread: 0,
                progress: now,
                evicted: false,
                http2: false,
                told: false,
                waiting_headers: 0,
            }),
            place: Mutex::default(),
            reader: AtomicWaker::new(),
            evicted: Notify::new(),
            goodbye: Notify::new(),
            answers: Arc::new(Semaphore::new(answers / 1024)),
        }))
    }

    /// The client has so long for the next step of its handshake.
    pub(crate) fn allow(&self, within: Duration) {
        let mut state = self.0.state.lock();
        (state.since, state.allowance) = (Instant::now(), Some(within));
    }

    /// The handshake is over: the first request is to come.
    pub fn opened(&self) {
        self.allow(FIRST_REQUEST);
        self.stand_by(Instant::now());
    }

    /// Done when its place is needed for another, see [`Ending::Evicted`].
    pub(crate) async fn evicted(&self) {
        self.0.evicted.notified().await;
    }

    /// Done when an HTTP/2 client has asked for nothing for so long that its connection ends soon: it is
    /// told by GOAWAY, so that it sends no request into a connection that is being closed.
    pub(super) async fn goodbye(&self) {
        self.0.goodbye.notified().await;
    }

    /// The socket is closed, or has another owner.
    pub(super) fn leave(&self) {
        let mut place = self.0.place.lock();
        place.gone = true;
        place.ticket = None;
    }

    /// Among those that wait for their client.
    fn stand_by(&self, now: Instant) {
        let mut place = self.0.place.lock();
        // The place among the handshakes is free first.
        place.ticket = None;
        if !place.gone && self.0.peer == Peer::Client {
            place.ticket = Some(self.0.tables.idle.enter_open(self.clone(), now));
        }
    }

    /// Whoever reads and writes is this task.
    pub(super) fn register(&self, waker: &std::task::Waker) {
        self.0.reader.register(waker);
    }

    /// Something was read: it is not silent, whoever thought so.
    pub(super) fn came(&self, bytes: usize) {
        let mut state = self.0.state.lock();
        state.silent = false;
        if bytes > 0 {
            state.evicted = false;
        }
    }

    /// There is nothing to read.
    pub(super) fn heard_nothing(&self) {
        self.0.state.lock().silent = true;
    }

    /// The socket takes bytes.
    pub(super) fn wrote(&self) {
        self.0.state.lock().blocked = None;
    }

    /// The socket takes none.
    pub(super) fn blocked(&self, now: Instant) {
        self.0.state.lock().blocked.get_or_insert(now);
    }

    /// How it stands.
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        let pressed = self.0.tables.unread.load(Ordering::Relaxed) > ANSWERS_PRESSED;
        let mut state = self.0.state.lock();
        if state.is_to_be_told(now) {
            state.told = true;
            self.0.goodbye.notify_one();
        }
        state.verdict(now, if pressed { WRITE_STALL_PRESSED } else { WRITE_STALL })
    }

    /// A request begins.
    pub(super) fn begin(&self, version: Version) {
        let mut state = self.0.state.lock();
        state.requests += 1;
        state.http2 = version == Version::HTTP_2;
        state.allowance = match self.0.peer {
            Peer::Node => None,
            Peer::Client if state.http2 => Some(HTTP2_IDLE),
            Peer::Client => Some(HTTP1_IDLE),
        };
        let first = state.requests == 1;
        drop(state);
        if first {
            let ticket = self.0.place.lock().ticket.take();
            drop(ticket);
        }
    }

    /// A request's answer has left, or is not wanted any more.
    pub(super) fn finish(&self) {
        let now = Instant::now();
        let mut state = self.0.state.lock();
        state.requests = state.requests.saturating_sub(1);
        let last = state.requests == 0;
        if last {
            state.since = now;
        }
        drop(state);
        if last {
            self.stand_by(now);
        }
    }

    /// Bytes of an answer were given to the HTTP library.
    pub(super) fn give(&self, bytes: usize) {
        self.0.tables.unread.fetch_add(bytes, Ordering::Relaxed);
        let mut state = self.0.state.lock();
        if state.unread == 0 {
            state.progress = Instant::now();
        }
        state.unread += bytes;
    }

    /// They have left.
    pub(super) fn take(&self, bytes: usize) {
        self.0.tables.unread.fetch_sub(bytes, Ordering::Relaxed);
        let mut state = self.0.state.lock();
        state.unread = state.unread.saturating_sub(bytes);
        state.progress = Instant::now();
    }

    /// What answers may take.
    pub(super) fn answers(&self) -> &Arc<Semaphore> {
        &self.0.answers
    }

    /// Whether there is room for more answers, of whatever connection.
    pub(super) fn has_room(&self) -> bool {
        self.0.tables.unread.load(Ordering::Relaxed) < ANSWERS_IN_ALL
    }

    /// Headers of a request wait with it; `false`: there are too many already.
    pub(super) fn wait_with(&self, headers: usize, most: usize) -> bool {
        let mut state = self.0.state.lock();
        let room = state.waiting_headers + headers <= most;
        if room {
            state.waiting_headers += headers;
        }
        room
    }

    /// They wait no more.
    pub(super) fn waited_with(&self, headers: usize) {
        let mut state = self.0.state.lock();
        state.waiting_headers = state.waiting_headers.saturating_sub(headers);
    }
}

impl Waits for Activity {
    fn is_silent(&self) -> bool {
        let state = self.0.state.lock();
        state.silent && state.requests == 0
    }

    fn evict(&self) {
        self.0.state.lock().evicted = true;
        self.0.evicted.notify_one();
        self.0.reader.wake();
    }
}

impl State {
    /// Whether it is time to say that the connection ends, which is noticed up to [`CHECK`] late.
    fn is_to_be_told(&self, now: Instant) -> bool {
        let soon = self.allowance.is_some_and(|within| self.since + within <= now + GOODBYE + CHECK);
        self.http2 && self.requests == 0 && !self.told && soon
    }

    fn verdict(&self, now: Instant, stall: Duration) -> Verdict {
        if self.evicted && self.requests == 0 {
            return Verdict::Over(Ending::Evicted);
        }
        let idle = self.allowance.filter(|_| self.requests == 0).map(|within| (self.since + within, Ending::Silent));
        let blocked = self.blocked.map(|since| (since + stall, Ending::Stalled));
        let unread = (self.unread > 0).then(|| (self.progress + stall, Ending::Stalled));
        let next = [idle, blocked, unread].into_iter().flatten().min_by_key(|(at, _)| *at);
        match next {
            Some((at, ending)) if at <= now => Verdict::Over(ending),
            // Sooner than the deadline: what happens meanwhile may set one that is nearer, and
            // wakes nobody.
            Some((at, _)) => Verdict::Until(at.min(now + CHECK)),
            None => Verdict::Until(now + CHECK),
        }
    }
}

#[cfg(test)]
#[path = "activity_tests.rs"]
mod tests;
