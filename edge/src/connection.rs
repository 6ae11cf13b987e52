//! A client's connection from its first frame to its last: authenticate, wire, serve.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    error::ErrorCode,
    frame,
    ids::DeviceId,
    limits,
    node::{self, edge_item::Item, invoke_request::Caller},
    v1::{self, TicketUse, client_frame, server_frame},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};
use tokio_util::task::TaskTracker;

use crate::{
    clock::now_ms,
    config::Limits,
    listen::ServeSession,
    looks::Looks,
    metrics as names,
    openings::{Openings, Whom},
    registry::{Peer, Registry},
    session::{
        Asked, Output, Way,
        calls::{Begun, Lane, Pending},
        wire::{self, Format},
    },
    tickets::{Tickets, TokenHash},
    transport::{CallStream, Incoming, Transport, close_code},
    upstream::{Away, Home, Upstreams},
};

/// What all connections share.
pub(crate) struct Hub {
    /// Who is here.
    pub(crate) registry: Registry,
    /// The ways to the cores.
    pub(crate) upstreams: Arc<Upstreams>,
    /// When to have a core look for what another, which was lost, committed and did not tell.
    pub(crate) looks: Mutex<Looks>,
    /// Such a look is to begin.
    pub(crate) look: Notify,
    /// Devices that were signed out a moment ago: a session of theirs that one core is opening may not be known to the core that tells.
    pub(crate) signed_out: Mutex<HashMap<DeviceId, Instant>>,
    /// What sessions are known by that come again.
    pub(crate) tickets: Tickets,
    /// Places of sessions that are being opened.
    pub(crate) openings: Arc<Openings>,
    /// Bounds.
    pub(crate) limits: Limits,
    /// Every task of connections and calls.
    pub(crate) tasks: TaskTracker,
    /// No new sessions are taken.
    pub(crate) draining: AtomicBool,
}

impl ServeSession for Hub {
    async fn serve(self: Arc<Self>, mut transport: Transport) {
        if self.draining.load(Ordering::Relaxed) {
            return transport.finish(Some(CloseCode::Draining)).await;
        }
        if self.registry.len() >= self.limits.sessions {
            return transport.finish(Some(CloseCode::Unavailable)).await;
        }
        let kind = transport.kind();
        let peer = self.registry.admit(transport.outlet().clone(), transport.address(), kind, Instant::now());
        metrics::gauge!(names::SESSIONS, "transport" => kind).increment(1.0);
        let code = self.converse(&peer, &mut transport).await;
        self.leave(&peer);
        metrics::gauge!(names::SESSIONS, "transport" => kind).decrement(1.0);
        let reason = code.map_or("gone", CloseCode::reason);
        metrics::counter!(names::CLOSED, "transport" => kind, "code" => reason).increment(1);
        tracing::debug!(session = peer.id, kind, reason, "a session has ended");
        transport.finish(code).await;
    }
}

impl Hub {
    /// Takes what comes, until the session has to end with a code, or the client is gone.
    async fn converse(self: &Arc<Self>, peer: &Arc<Peer>, transport: &mut Transport) -> Option<CloseCode> {
        // Dropped with the session, and their tasks with them.
        let mut streams = JoinSet::new();
        loop {
            let hold = peer.session.lock().is_opening();
            let result = match transport.next(hold).await {
                Incoming::Frame(frame) => {
                    peer.session.lock().whole();
                    self.receive(peer, frame, Lane::Main).await
                }
                Incoming::Unreadable(id, error) => {
                    peer.session.lock().whole();
                    self.unreadable(peer, id, error)
                }
                Incoming::Datagram(datagram) => self.datagram(peer, datagram).await,
                Incoming::CallStream(stream) => {
                    while streams.try_join_next().is_some() {}
                    if streams.len() >= limits::MAX_CALL_STREAMS {
                        return Some(CloseCode::TooManyStreams);
                    }
                    streams.spawn(self.clone().serve_calls(peer.clone(), stream));
                    Ok(())
                }
                Incoming::Idle(unfinished) => {
                    peer.session.lock().set_unfinished(unfinished, Instant::now());
                    Ok(())
                }
                Incoming::Broken(code) => Err(code),
                Incoming::Ended(code) => return Some(code),
                Incoming::Gone => return None,
            };
            if let Err(code) = result {
                return Some(code);
            }
        }
    }

    async fn receive(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        frame: client_frame::Frame,
        lane: Lane,
    ) -> Result<(), CloseCode> {
        metrics::counter!(names::FRAMES_IN).increment(1);
        let frame = match frame {
            client_frame::Frame::Marks(marks) => client_frame::Frame::Marks(followed(peer, marks)),
            other => other,
        };
        let output = peer.session.lock().receive(frame, lane, Instant::now())?;
        if let Some(output) = output {
            self.perform(peer, output).await;
        }
        Ok(())
    }

    /// A call that could not be read is answered; before Hello it is no better than other bytes that are no Hello.
    fn unreadable(&self, peer: &Arc<Peer>, id: u32, error: v1::Error) -> Result<(), CloseCode> {
        metrics::counter!(names::FRAMES_IN).increment(1);
        peer.session.lock().unreadable(id, Instant::now())?;
        reply(peer, &Lane::Main, v1::Reply { id, body: Bytes::new(), error: Some(error) }, None);
        Ok(())
    }

    /// Only what may be lost comes as a datagram.
    async fn datagram(self: &Arc<Self>, peer: &Arc<Peer>, datagram: Bytes) -> Result<(), CloseCode> {
        match frame::client_frame(datagram).map_err(close_code)? {
            frame @ client_frame::Frame::Ephemeral(_) if peer.session.lock().is_live() => {
                self.receive(peer, frame, Lane::Main).await
            }
            // It may have overtaken Hello.
            client_frame::Frame::Ephemeral(_) => Ok(()),
            _ => Err(CloseCode::ProtocolError),
        }
    }

    /// Does what a session wants done.
    pub(crate) async fn perform(self: &Arc<Self>, peer: &Arc<Peer>, output: Output) {
        match output {
            Output::Open(hello) => {
                if self.admit(peer, &hello) {
                    self.open(peer);
                } else {
                    peer.outlet.close(CloseCode::Overloaded);
                }
            }
            Output::Ordered { call, begun } => self.ordered(peer, call, begun).await,
            Output::Unordered(call, method) => {
                metrics::counter!(names::CALLS, "lane" => "unordered").increment(1);
                if peer.session.lock().calls_in_flight() > MAX_INVOCATIONS {
                    let error = ErrorCode::Overloaded.with("too many calls of this session are under way");
                    return refuse(peer, call.id, &error);
                }
                self.tasks.spawn(self.clone().invoke(peer.clone(), call, method.public));
            }
            Output::Refuse(id, lane, error) => {
                reply(peer, &lane, v1::Reply { id, body: Bytes::new(), error: Some(error) }, None)
            }
            Output::Marks(marks) => self.offer(peer, Item::Marks(node::MarksUp { session: peer.id, marks })),
            Output::Ephemeral(log, ephemeral) => {
                if peer.follows(log) {
                    let ephemeral = node::EphemeralUp { session: peer.id, log_id: log.to_bytes(), ephemeral };
                    self.offer(peer, Item::Ephemeral(ephemeral));
                }
            }
            Output::Send(frame) => {
                peer.outlet.send(frame, None);
            }
        }
    }

    /// Looks at the ticket that a client shows, if any, and gives a session that begins its place among those that are being opened. `false`: there is none.
    fn admit(&self, peer: &Peer, hello: &v1::Hello) -> bool {
        if peer.session.lock().is_live() {
            return true;
        }
        if !hello.ticket.is_empty() {
            let checked = self.tickets.check(&hello.ticket, TokenHash::of(&hello.access_token), now_ms());
            let mut session = peer.session.lock();
            if let Ok(principal) = checked {
                session.vouch(principal);
            }
            let ticket_use = checked.map_or_else(|why| why, |_| TicketUse::Taken);
            session.set_ticket_use(ticket_use);
            metrics::counter!(names::TICKETS, "use" => use_name(ticket_use)).increment(1);
        }
        let whom = match peer.session.lock().asks() {
            Some(Asked::Ticket(principal, _)) => Whom::Known(principal.user),
            _ => Whom::New(peer.address),
        };
        let place = self.openings.take(whom);
        let admitted = place.is_some();
        *peer.opening.lock() = place;
        admitted
    }

    /// A ticket of a live session; empty where there is none. 0: it does not expire, as its token does not.
    pub(crate) fn ticket(&self, peer: &Peer, expires_ms: i64) -> Bytes {
        let expires_ms = if expires_ms == 0 { i64::MAX } else { expires_ms };
        let bearer = peer.session.lock().bearer();
        bearer.map_or_else(Bytes::new, |(principal, token)| self.tickets.issue(principal, token, expires_ms))
    }

    /// Has a core open the session: the one where it is at home, or the one that it finds a home at. Without any, it is opened by the first that attaches.
    fn open(&self, peer: &Arc<Peer>) {
        loop {
            let mut home = peer.home.lock();
            let core = match home.as_ref() {
                Some(home) if home.core().takes() => home.core().clone(),
                _ => {
                    let Some(core) = self.upstreams.pick() else { return };
                    *home = Some(Home::at(&core));
                    core
                }
            };
            drop(home);
            let Some(asked) = peer.session.lock().asks() else { return };
            if core.tell(open(peer, asked)) {
                return;
            }
        }
    }

    /// Sends an ordered call to the core where the session is open. One whose session moves waits until what came before it is answered: so cores that know
    /// nothing of each other keep its order.
    async fn ordered(&self, peer: &Arc<Peer>, call: v1::Call, Begun { number, awaited }: Begun) {
        metrics::counter!(names::CALLS, "lane" => "ordered").increment(1);
        let id = call.id;
        let deadline = tokio::time::Instant::now() + MOVE_TIMEOUT;
        loop {
            let arrived = peer.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let (way, left) = peer.session.lock().way(number);
            self.left(peer, left);
            match way {
                Way::Open(stream) => {
                    let command = node::Command {
                        awaited,
                        session: peer.id,
                        call_id: number as u32,
                        method: call.method,
                        key: call.key,
                        body: call.body,
                    };
                    if let Err(Away) = self.upstreams.command(command, stream).await {
                        break;
                    }
                    return;
                }
                Way::Closed => break,
                Way::Gone => return,
                Way::Wait => {
                    if tokio::time::timeout_at(deadline, arrived).await.is_err() {
                        break;
                    }
                }
            }
        }
        refuse(peer, id, &ErrorCode::Unavailable.with("the core is not reachable"));
        self.settle(peer);
    }

    /// A session has moved away from this stream, if any: the core there need not keep it.
    pub(crate) fn left(&self, peer: &Peer, stream: Option<u64>) {
        if let Some(stream) = stream {
            self.upstreams.tell(stream, Item::Close(node::SessionClose { session: peer.id }));
            peer.arrived.notify_waiters();
        }
    }

    /// A call was answered or refused: a session that moves may have arrived by that.
    pub(crate) fn settle(&self, peer: &Peer) {
        let left = peer.session.lock().settle();
        self.left(peer, left);
        peer.arrived.notify_waiters();
    }

    fn offer(&self, peer: &Peer, item: Item) {
        let stream = peer.session.lock().stream();
        if let Some(stream) = stream {
            self.upstreams.offer(stream, item);
        }
    }

    async fn invoke(self: Arc<Self>, peer: Arc<Peer>, call: v1::Call, public: bool) {
        let principal = peer.session.lock().principal();
        let caller = principal.map(|principal| Caller::Principal(principal.to_node()));
        debug_assert!(caller.is_some() || public, "a session that is not live calls nothing");
        let request =
            node::InvokeRequest { method: call.method, body: call.body, caller, address: peer.address.to_string() };
        let (body, error) = match self.upstreams.invoke(request).await {
            Ok(node::InvokeReply { body, error, .. }) => (body, error),
            Err(error) => (Bytes::new(), Some(error)),
        };
        finish(&peer, v1::Reply { id: call.id, body, error });
    }

    /// Serves a further stream of a client: calls come, replies go, and the session's own stream has precedence.
    async fn serve_calls(self: Arc<Self>, peer: Arc<Peer>, mut stream: CallStream) {
        let result = self.calls(&peer, &mut stream).await;
        match result {
            Ok(()) => _ = stream.send.finish(),
            Err(StreamEnd::Session(code)) => peer.outlet.close(code),
            Err(StreamEnd::Stream) => {
                let code = crate::transport::capsule::http_code(CloseCode::Timeout);
                let _ = (stream.send.reset(code), stream.recv.stop(code));
            }
        }
    }

    async fn calls(self: &Arc<Self>, peer: &Arc<Peer>, stream: &mut CallStream) -> Result<(), StreamEnd> {
        let (replies, mut answered) = mpsc::channel(CALLS_PER_STREAM);
        let mut decoder = frame::Decoder::default();
        let mut waiting = 0;
        let mut open = true;
        let mut unfinished: Option<Instant> = None;
        while open || waiting > 0 {
            while waiting < CALLS_PER_STREAM
                && let Some(bytes) = decoder.next().map_err(|error| StreamEnd::Session(close_code(error)))?
            {
                unfinished = None;
                let frame = frame::client_frame(bytes).map_err(|error| StreamEnd::Session(close_code(error)))?;
                if !matches!(frame, client_frame::Frame::Call(_)) {
                    return Err(StreamEnd::Session(CloseCode::ProtocolError));
                }
                waiting += 1;
                self.receive(peer, frame, Lane::Stream(replies.clone())).await.map_err(StreamEnd::Session)?;
            }
            let reading = open && waiting < CALLS_PER_STREAM;
            let limit = if decoder.is_partial() { limits::FRAME_TIMEOUT } else { IDLE_STREAM };
            let since = *unfinished.get_or_insert_with(Instant::now);
            tokio::select! {
                Some(reply) = answered.recv(), if waiting > 0 => {
                    waiting -= 1;
                    unfinished = None;
                    match tokio::time::timeout(IDLE_STREAM, stream.send.write_chunk(reply)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) | Err(_) => return Err(StreamEnd::Stream),
                    }
                }
                chunk = stream.recv.read_chunk(MAX_CHUNK, true), if reading => match chunk {
                    Ok(Some(chunk)) => {
                        // The time counts from a frame's first byte, not from its last.
                        if !decoder.is_partial() {
                            unfinished = None;
                        }
                        decoder.push(&chunk.bytes);
                    }
                    Ok(None) if decoder.is_partial() => return Err(StreamEnd::Session(CloseCode::ProtocolError)),
                    Ok(None) => open = false,
                    Err(_) => return Err(StreamEnd::Stream),
                },
                () = tokio::time::sleep_until((since + limit).into()), if reading && (waiting == 0 || decoder.is_partial()) => {
                    return Err(if decoder.is_partial() {
                        StreamEnd::Session(CloseCode::Timeout)
                    } else {
                        StreamEnd::Stream
                    });
                }
            }
        }
        Ok(())
    }

    fn leave(&self, peer: &Arc<Peer>) {
        // Not when the client has answered the close, which it may never do.
        *peer.opening.lock() = None;
        let (principal, marks, streams) = {
            let mut session = peer.session.lock();
            (session.principal(), session.last_marks(Instant::now()), session.streams())
        };
        if !marks.is_empty() {
            self.offer(peer, Item::Marks(node::MarksUp { session: peer.id, marks }));
        }
        self.registry.remove(peer, principal, |log| self.upstreams.tell_all(&Item::Uninterest(log.to_bytes())));
        let home = peer.home.lock().take();
        let close = || Item::Close(node::SessionClose { session: peer.id });
        // While it moves it is open elsewhere as well.
        for stream in streams.filter(|stream| home.as_ref().is_none_or(|home| !home.core().has(*stream))) {
            self.upstreams.tell(stream, close());
        }
        if let Some(home) = home {
            home.core().tell(close());
        }
    }

    /// Looks at every session's clock, once a second.
    pub(crate) async fn sweep(self: &Arc<Self>) {
        let now = Instant::now();
        let attached = self.upstreams.is_attached();
        let reach = self.upstreams.reach(now);
        metrics::gauge!(names::OUT_OF_REACH).set(reach.away.iter().filter(|core| core.lives).count() as f64);
        self.look_for_untold(&reach, now);
        self.signed_out.lock().retain(|_, since| now.saturating_duration_since(*since) < SIGNED_OUT_KEPT);
        let (mut bytes, mut frames) = (0, 0);
        for (index, peer) in self.registry.all().into_iter().enumerate() {
            if index % 1_024 == 1_023 {
                tokio::task::yield_now().await;
            }
            let backlog = peer.outlet.backlog(now);
            bytes += backlog.bytes;
            frames += backlog.frames;
            if backlog.stalled.is_some_and(|stalled| stalled >= self.limits.stalled) && peer.session.lock().is_live() {
                peer.outlet.close(CloseCode::SlowConsumer);
            }
            let (ticked, overdue) = {
                let mut session = peer.session.lock();
                (session.tick(attached, now), session.overdue_calls(now))
            };
            if !overdue.is_empty() {
                for id in overdue {
                    refuse(&peer, id, &ErrorCode::DeadlineExceeded.with("the core did not answer in time"));
                }
                self.settle(&peer);
            }
            self.ask_again(&peer);
            match ticked {
                Err(code) => peer.outlet.close(code),
                Ok(outputs) => {
                    for output in outputs {
                        self.perform(&peer, output).await;
                    }
                }
            }
        }
        metrics::gauge!(names::QUEUED_BYTES).set(bytes as f64);
        metrics::gauge!(names::QUEUED_FRAMES).set(frames as f64);
    }
}

/// Why a stream for calls ends early.
enum StreamEnd {
    /// The whole session has to end.
    Session(CloseCode),
    /// This stream alone.
    Stream,
}

/// Asks the core to open a session.
pub(crate) fn open(peer: &Peer, asked: Asked) -> Item {
    let (access_token, principal, token_hash) = match asked {
        Asked::Token(token) => (token, None, Bytes::new()),
        Asked::Ticket(principal, token) => (String::new(), Some(principal.to_node()), token.to_bytes()),
        Asked::Live(principal) => (String::new(), Some(principal.to_node()), Bytes::new()),
    };
    let address = peer.address.to_string();
    Item::Open(node::SessionOpen { session: peer.id, access_token, address, principal, token_hash })
}

/// The marks of logs that the session follows: others mean nothing, and would crowd out those that do. One that names no log stays, and ends the session.
fn followed(peer: &Peer, mut marks: v1::Marks) -> v1::Marks {
    if marks.marks.len() <= limits::MAX_MARKS {
        marks.marks.retain(|mark| mark.conversation_id.parse().map_or(true, |log| peer.follows(log)));
    }
    marks
}

/// Passes a reply on to the call that waits for it; one that nobody waits for is dropped.
pub(crate) fn finish(peer: &Peer, answer: v1::Reply) {
    let again = answer.error.as_ref().is_some_and(v1::Error::retryable);
    let pending = peer.session.lock().finish(answer.id, again, Instant::now());
    if let Some(Pending { method, lane, .. }) = pending {
        reply(peer, &lane, answer, Some(method));
    }
}

/// Answers a call that was not sent on, or whose fate is unknown.
pub(crate) fn refuse(peer: &Peer, id: u32, error: &v1::Error) {
    let pending = peer.session.lock().refuse(id, Instant::now());
    if let Some(Pending { lane, .. }) = pending {
        reply(peer, &lane, v1::Reply { id, body: Bytes::new(), error: Some(error.clone()) }, None);
    }
}

fn reply(peer: &Peer, lane: &Lane, answer: v1::Reply, method: Option<&'static gogochat_proto::method::Method>) {
    let frame = server_frame::Frame::Reply(answer);
    match lane {
        Lane::Main => _ = peer.outlet.send(frame, method),
        // There is a place for each call that waits; it fails only when the stream is gone.
        Lane::Stream(replies) => _ = replies.try_send(wire::encode(Format::Stream, frame, method)),
    }
}

fn use_name(ticket_use: TicketUse) -> &'static str {
    match ticket_use {
        TicketUse::Taken => "ticket taken",
        TicketUse::Expired => "ticket expired",
        TicketUse::Invalid | TicketUse::Unspecified => "ticket invalid",
    }
}

/// Longer than a core takes to open a session.
const SIGNED_OUT_KEPT: Duration = Duration::from_secs(30);
/// How long a call waits for its session to arrive at another core.
const MOVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls of one further stream that wait for their reply; more are read when some were answered.
const CALLS_PER_STREAM: usize = 16;
/// A further stream on which nothing happens.
const IDLE_STREAM: Duration = Duration::from_secs(30);
/// Calls outside the ordered lane that one session may have under way: a share of what the edge has in all.
const MAX_INVOCATIONS: usize = 128;
const MAX_CHUNK: usize = 16 * 1024;
