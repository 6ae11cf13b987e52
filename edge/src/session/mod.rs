//! A session without I/O: frames, answers of the core and the time go in, outputs come out.
//!
//! It owns all that belongs to a session: its principal, its home, the streams on which it is open,
//! the calls that wait, and its place among the sessions that are being opened.

pub(crate) mod bucket;
pub(crate) mod calls;
mod heartbeat;
mod marks;
mod outcome;
pub(crate) mod queue;
pub(crate) mod share;
pub(crate) mod typist;
pub(crate) mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    error::ErrorCode,
    ids::LogId,
    limits::{FRAME_TIMEOUT, FRAMES_A_SECOND, HELLO_TIMEOUT},
    method, node,
    v1::{self, TicketUse, client_frame, ephemeral},
};
use prost::Message as _;

pub(crate) use self::outcome::{Asked, CallRoute, Opened, Output, Reading};
use self::{
    bucket::Bucket,
    calls::{Calls, Pending, Refused, ReplyTo},
    heartbeat::{Beat, Heartbeat},
    marks::Marks,
    share::{FRAMES_BURST, UserShare},
};
use crate::{
    openings::Place,
    principal::Principal,
    tickets::TokenHash,
    upstream::{CoreStream, Home},
};

/// One client's session.
#[derive(Debug)]
pub(crate) struct Session {
    phase: Phase,
    /// The stream to a core on which the session is open. On a new stream nothing is sent before the core
    /// has opened the session there.
    stream: Option<u64>,
    /// A stream to another core on which it is open too. It goes on there once the calls before are
    /// answered.
    next: Option<u64>,
    heartbeat: Heartbeat,
    /// Since when a frame has been begun and not finished.
    unfinished: Option<Instant>,
    calls: Calls,
    marks: Marks,
    /// Its client wants marks as aggregates.
    aggregates_marks: bool,
    /// Frames, but for calls that are sent on: those wait for their reply, which bounds them.
    frames: Bucket,
    /// Nothing is read before then: the budget of frames is used up.
    held_until: Option<Instant>,
    ticket_use: TicketUse,
    /// The core that it is open at, or is being opened at.
    home: Option<Home>,
    /// Its place among those that are being opened.
    place: Option<Place>,
    /// It was sent Welcome: nothing else comes before that.
    welcomed: bool,
    /// Its core has refused it for the moment, and is to be asked again.
    ask_again: bool,
}

#[derive(Debug)]
enum Phase {
    /// Nothing was said yet.
    New { since: Instant },
    /// Hello was said, and the core is being asked.
    Opening { since: Instant, token: String, vouched: Option<Principal> },
    /// Live; a token that was presented anew is being asked about.
    Live { principal: Principal, expires: Option<Instant>, token: TokenHash, renewal: Option<String> },
}

impl Session {
    /// A transport has opened.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::New { since: now },
            stream: None,
            next: None,
            heartbeat: Heartbeat::new(now),
            unfinished: None,
            calls: Calls::default(),
            marks: Marks::default(),
            aggregates_marks: false,
            frames: Bucket::new(FRAMES_A_SECOND as f32, FRAMES_A_SECOND as f32 * FRAMES_BURST, now),
            held_until: None,
            ticket_use: TicketUse::Unspecified,
            home: None,
            place: None,
            welcomed: false,
            ask_again: false,
        }
    }

    /// Live at once.
    #[cfg(test)]
    pub(crate) fn live_for_tests(&mut self, principal: Principal) {
        self.phase = Phase::Live { principal, expires: None, token: TokenHash::of(""), renewal: None };
    }

    /// A frame came.
    ///
    /// # Errors
    /// The session has to end.
    pub(crate) fn receive(
        &mut self,
        frame: client_frame::Frame,
        reply_to: ReplyTo,
        now: Instant,
    ) -> Result<Option<Output>, CloseCode> {
        self.heartbeat.heard(now);
        let output = self.act(frame, reply_to, now);
        if !matches!(output, Ok(Some(Output::Ordered { .. } | Output::Unordered(..)))) {
            self.spend_frame(now);
        }
        output
    }

    fn act(
        &mut self,
        frame: client_frame::Frame,
        reply_to: ReplyTo,
        now: Instant,
    ) -> Result<Option<Output>, CloseCode> {
        match (frame, &mut self.phase) {
            (client_frame::Frame::Hello(hello), Phase::New { .. }) => {
                self.phase = Phase::Opening { since: now, token: hello.access_token.clone(), vouched: None };
                self.aggregates_marks = hello.aggregate_marks;
                Ok(Some(Output::Open(hello)))
            }
            // Each is a question to the core.
            (client_frame::Frame::Hello(_), Phase::Live { renewal: Some(_), .. }) => Err(CloseCode::RateLimited),
            (client_frame::Frame::Hello(hello), Phase::Live { renewal, .. }) => {
                *renewal = Some(hello.access_token.clone());
                Ok(Some(Output::Open(v1::Hello { ticket: Bytes::new(), ..hello })))
            }
            (_, Phase::New { .. } | Phase::Opening { .. }) => Err(CloseCode::ProtocolError),
            (client_frame::Frame::Call(call), Phase::Live { .. }) => self.call(call, reply_to, now),
            (client_frame::Frame::Marks(marks), Phase::Live { .. }) => {
                let up =
                    self.marks.add(&marks.marks, self.stream.is_some(), now).map_err(|_| CloseCode::ProtocolError)?;
                Ok((!up.is_empty()).then_some(Output::Marks(up)))
            }
            (client_frame::Frame::Ephemeral(ephemeral), Phase::Live { .. }) => self.ephemeral(ephemeral, now),
            (client_frame::Frame::Ping(ping), Phase::Live { .. }) => {
                Ok(Some(Output::Pong(v1::Pong { nonce: ping.nonce })))
            }
            (client_frame::Frame::Pong(_), Phase::Live { .. }) => Ok(None),
        }
    }

    /// A call came that could not be read, and is to be answered with why.
    ///
    /// # Errors
    /// The session has to end: it is not live, or the id is that of a call that waits.
    pub(crate) fn unreadable(&mut self, id: u32, now: Instant) -> Result<(), CloseCode> {
        self.heartbeat.heard(now);
        self.spend_frame(now);
        if self.is_live() && !self.calls.waits(id) { Ok(()) } else { Err(CloseCode::ProtocolError) }
    }

    /// The transport had a frame of its own: a ping, or a small piece of a message. It costs as much as
    /// any other, and is no sign of life of the session.
    pub(crate) fn control_frame(&mut self, now: Instant) {
        self.spend_frame(now);
    }

    /// Counts a frame. Past the budget the client is read more slowly: it is not closed for what may be a
    /// burst, and its own transport holds it back.
    fn spend_frame(&mut self, now: Instant) {
        let shared = self.calls.share().and_then(|share| share.spend_frame(now));
        if let Some(wait) = self.frames.spend(now).max(shared) {
            self.held_until = Some(now + wait);
        }
    }

    /// Whether more is to be read from the client now.
    pub(crate) fn reading(&self) -> Reading {
        match self.held_until {
            _ if self.is_opening() => Reading::Held,
            Some(at) => Reading::Until(at),
            None => Reading::On,
        }
    }

    /// Time has passed since nothing was to be read.
    pub(crate) fn look_again(&mut self, now: Instant) {
        self.held_until.take_if(|at| *at <= now);
    }

    /// The user is known, and this is what their sessions share.
    pub(crate) fn set_share(&mut self, share: Arc<UserShare>) {
        self.calls.set_share(share);
    }

    /// A frame of the session's own stream is whole.
    pub(crate) fn whole(&mut self) {
        self.unfinished = None;
    }

    /// Whether what was read so far ends within a frame.
    pub(crate) fn set_unfinished(&mut self, unfinished: bool, now: Instant) {
        self.unfinished = unfinished.then(|| self.unfinished.unwrap_or(now));
    }

    /// A core has opened the session on its stream of this number. `checked` is the token that the core
    /// found to be the device's, if it was asked about one. Where the session was open on another
    /// stream, [`Self::settle`] says when it has left that.
    pub(crate) fn opened(
        &mut self,
        principal: Principal,
        expires: Option<Instant>,
        stream: u64,
        checked: Option<TokenHash>,
    ) -> Opened {
        let answers = match &mut self.phase {
            Phase::Live { principal: before, .. } if *before != principal => return Opened::Mismatch,
            Phase::Live { expires: lapses, token, renewal, .. } => {
                *lapses = expires;
                // What answers the session's move to another core says nothing of a token that is being
                // asked about as well.
                let renewed = renewal.take_if(|renewal| checked == Some(TokenHash::of(renewal)));
                if let Some(renewed) = &renewed {
                    *token = TokenHash::of(renewed);
                }
                renewed.is_some()
            }
            Phase::Opening { token, .. } => {
                let token = TokenHash::of(token);
                self.phase = Phase::Live { principal, expires, token, renewal: None };
                true
            }
            // The core was asked nothing.
            Phase::New { .. } => return Opened::Mismatch,
        };
        let abandoned = match self.stream {
            Some(before) if before != stream => self.next.replace(stream).filter(|next| *next != stream),
            _ => {
                self.stream = Some(stream);
                self.next.take()
            }
        };
        if answers { Opened::Answer { abandoned } } else { Opened::Move { abandoned } }
    }

    /// Whether its client wants marks as aggregates.
    pub(crate) fn aggregates_marks(&self) -> bool {
        self.aggregates_marks
    }

    /// The core that the session is open at, or is being opened at.
    pub(crate) fn home(&self) -> Option<&Arc<CoreStream>> {
        self.home.as_ref().map(Home::core)
    }

    /// Whether this core is the session's home.
    pub(crate) fn is_home(&self, core: &CoreStream) -> bool {
        self.home().is_some_and(|home| home.id == core.id)
    }

    /// The session is being opened at this core.
    pub(crate) fn set_home(&mut self, core: &Arc<CoreStream>) {
        self.home = Some(Home::at(core));
    }

    /// The session has no home for now. Gives the one that it had.
    pub(crate) fn leave_home(&mut self) -> Option<Home> {
        self.home.take()
    }

    /// The session has a place among those that are being opened.
    pub(crate) fn set_place(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// The session is being opened no more: its place is given back.
    pub(crate) fn give_place_back(&mut self) {
        self.place = None;
    }

    /// The client was sent Welcome.
    pub(crate) fn set_welcomed(&mut self) {
        self.welcomed = true;
    }

    /// Whether the client was sent Welcome.
    pub(crate) fn is_welcomed(&self) -> bool {
        self.welcomed
    }

    /// Its core has refused it for the moment. `true`: the core is to be asked again. A live session
    /// need not end by such a refusal: a crowd of them comes to a core when another is lost. It ends
    /// where it is open on a stream to that core, as `is_to_core` says: the core has closed it, and
    /// would refuse its calls for good.
    pub(crate) fn refused_for_now(&mut self, is_to_core: impl Fn(u64) -> bool) -> bool {
        let again = self.is_live() && !self.is_open_on(is_to_core);
        self.ask_again |= again;
        again
    }

    /// Whether its core is to be asked again, once.
    pub(crate) fn take_ask_again(&mut self) -> bool {
        std::mem::take(&mut self.ask_again)
    }

    /// A session that moves has arrived once no ordered call waits any more. Gives the stream that it has
    /// left.
    pub(crate) fn settle(&mut self) -> Option<u64> {
        if self.calls.has_ordered() { None } else { self.arrive() }
    }

    fn arrive(&mut self) -> Option<u64> {
        let next = self.next.take()?;
        self.stream.replace(next)
    }

    /// Where the ordered call of this number goes.
    pub(crate) fn route(&mut self, number: u64) -> CallRoute {
        if !self.calls.has(number) {
            return CallRoute::Gone;
        }
        if self.next.is_some() && self.calls.has_before(number) {
            return CallRoute::Wait;
        }
        let left = self.arrive();
        self.stream.map_or(CallRoute::Closed, |stream| CallRoute::Open { stream, left })
    }

    /// Whether it is open, or about to arrive, on a stream that `is_one` says is one of those meant.
    pub(crate) fn is_open_on(&self, is_one: impl Fn(u64) -> bool) -> bool {
        self.streams().any(is_one)
    }

    /// The streams on which it is open: two, while it moves.
    pub(crate) fn streams(&self) -> impl Iterator<Item = u64> + use<> {
        [self.stream, self.next].into_iter().flatten()
    }

    /// The stream on which the session is open.
    pub(crate) fn stream(&self) -> Option<u64> {
        self.stream
    }

    /// A stream to a core has broken. Gives the ordered calls without a reply that went there, in order:
    /// whether the core saw them is unknown.
    pub(crate) fn lost(&mut self, stream: u64) -> Vec<u32> {
        if self.next == Some(stream) {
            self.next = None;
        }
        if self.stream != Some(stream) {
            return Vec::new();
        }
        self.stream = self.next.take();
        self.marks.may_be_lost();
        self.calls.ordered()
    }

    /// Looks at the clock, once a second. `attached`: the core is there.
    ///
    /// # Errors
    /// The session has to end.
    pub(crate) fn tick(&mut self, attached: bool, now: Instant) -> Result<Vec<Output>, CloseCode> {
        let since = |then: Instant| now.saturating_duration_since(then);
        if self.unfinished.is_some_and(|begun| since(begun) >= FRAME_TIMEOUT) {
            return Err(CloseCode::Timeout);
        }
        match &self.phase {
            Phase::New { since: opened } if since(*opened) >= HELLO_TIMEOUT => return Err(CloseCode::Timeout),
            Phase::Opening { since: asked, .. } => {
                let limit = if attached { OPEN_TIMEOUT } else { AWAY_TIMEOUT };
                if since(*asked) >= limit {
                    return Err(CloseCode::Unavailable);
                }
            }
            Phase::Live { expires: Some(expires), .. } if *expires <= now => return Err(CloseCode::TokenExpired),
            Phase::New { .. } | Phase::Live { .. } => {}
        }
        let mut outputs = Vec::new();
        match self.heartbeat.tick(now) {
            Beat::Fine => {}
            Beat::Ping(nonce) => outputs.push(Output::Ping(v1::Ping { nonce })),
            Beat::Dead => return Err(CloseCode::Silent),
        }
        // Nobody repeats marks: while they would be lost, they wait.
        let marks = if self.stream.is_some() { self.marks.tick(now) } else { Vec::new() };
        if !marks.is_empty() {
            outputs.push(Output::Marks(marks));
        }
        let typing = self.calls.share().map(|share| share.due_typing(now)).unwrap_or_default();
        outputs.extend(typing.into_iter().map(|(log, stopped)| typing_output(log, stopped)));
        Ok(outputs)
    }

    /// Whether the core is being asked and nothing more may be read for the moment.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening { .. })
    }

    /// Whether the client may call.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// Who the session speaks for, once it is live.
    pub(crate) fn principal(&self) -> Option<Principal> {
        match &self.phase {
            Phase::Live { principal, .. } => Some(*principal),
            Phase::New { .. } | Phase::Opening { .. } => None,
        }
    }

    /// The token that the core has been asked about and has not answered.
    pub(crate) fn token(&self) -> Option<&str> {
        match &self.phase {
            Phase::New { .. } => None,
            Phase::Opening { token, .. } => Some(token),
            Phase::Live { renewal, .. } => renewal.as_deref(),
        }
    }

    /// A ticket says whose session it is: the core is asked about the device, and whether the token is
    /// still that device's.
    pub(crate) fn vouch(&mut self, principal: Principal) {
        if let Phase::Opening { vouched, .. } = &mut self.phase {
            *vouched = Some(principal);
        }
    }

    /// What became of the ticket that Hello showed.
    pub(crate) fn set_ticket_use(&mut self, ticket_use: TicketUse) {
        self.ticket_use = ticket_use;
    }

    /// As in [`Self::set_ticket_use`].
    pub(crate) fn ticket_use(&self) -> TicketUse {
        self.ticket_use
    }

    /// What the core has been asked and has not answered: about a token, or about a device that a ticket
    /// vouches for.
    pub(crate) fn asks(&self) -> Option<Asked> {
        match &self.phase {
            Phase::Opening { vouched: Some(principal), token, .. } => {
                Some(Asked::Ticket(*principal, TokenHash::of(token)))
            }
            _ => self.token().map(|token| Asked::Token(token.to_owned())),
        }
    }

    /// Whom a ticket of this session is for, and the token that it is good with.
    pub(crate) fn bearer(&self) -> Option<(Principal, TokenHash)> {
        match &self.phase {
            Phase::Live { principal, token, .. } => Some((*principal, *token)),
            Phase::New { .. } | Phase::Opening { .. } => None,
        }
    }

    /// A reply has come. `again`: it asks for the same call once more.
    pub(crate) fn finish(&mut self, id: u32, again: bool, now: Instant) -> Option<Pending> {
        self.calls.finish(id, again, now)
    }

    /// The client's id of the ordered call that a core knows by this number.
    pub(crate) fn ordered_id(&self, number: u32) -> Option<u32> {
        self.calls.id(number)
    }

    /// A call was not sent on, or its fate is unknown.
    pub(crate) fn refuse(&mut self, id: u32, now: Instant) -> Option<Pending> {
        self.calls.refuse(id, now)
    }

    /// The ordered calls that have waited too long.
    pub(crate) fn overdue_calls(&self, now: Instant) -> Vec<u32> {
        self.calls.overdue(CALL_TIMEOUT, now)
    }

    /// Calls that wait for their reply.
    pub(crate) fn calls_in_flight(&self) -> usize {
        self.calls.len()
    }

    /// The marks that have not gone up yet, at the session's end.
    pub(crate) fn last_marks(&mut self, now: Instant) -> Vec<node::MarkUp> {
        self.marks.take(now)
    }

    fn call(&mut self, call: v1::Call, reply_to: ReplyTo, now: Instant) -> Result<Option<Output>, CloseCode> {
        let Some(method) = method::find(&call.method) else {
            let error = ErrorCode::UnknownMethod.with("there is no such method");
            return Ok(Some(Output::Refuse(call.id, reply_to, error)));
        };
        if self.calls.is_tangled() {
            return Err(CloseCode::Unavailable);
        }
        match self.calls.begin(&call, method, reply_to.clone(), now) {
            Ok(Some(begun)) => Ok(Some(Output::Ordered { call, begun })),
            Ok(None) => Ok(Some(Output::Unordered(call, method))),
            Err(Refused::Close(code)) => Err(code),
            Err(Refused::Error(error)) => Ok(Some(Output::Refuse(call.id, reply_to, error))),
        }
    }

    fn ephemeral(&mut self, ephemeral: v1::Ephemeral, now: Instant) -> Result<Option<Output>, CloseCode> {
        let stopped = match &ephemeral.kind {
            Some(ephemeral::Kind::Typing(typing)) => typing.stopped,
            // Presence is the server's to tell.
            Some(ephemeral::Kind::Presence(_) | ephemeral::Kind::Person(_)) => return Err(CloseCode::ProtocolError),
            // A kind that this edge does not know yet.
            None => return Ok(None),
        };
        let log = ephemeral.conversation_id.parse().map_err(|_| CloseCode::ProtocolError)?;
        if !self.calls.share().is_some_and(|share| share.passes_typing(log, stopped, now)) {
            return Ok(None);
        }
        Ok(Some(typing_output(log, stopped)))
    }
}

fn typing_output(log: LogId, stopped: bool) -> Output {
    let kind = Some(ephemeral::Kind::Typing(v1::Typing { stopped }));
    let ephemeral = v1::Ephemeral { conversation_id: log.to_string(), user_id: String::new(), kind };
    Output::Ephemeral(log, ephemeral.encode_to_vec().into())
}

/// The core was asked to open the session and is there, yet does not answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// The core is away.
const AWAY_TIMEOUT: Duration = Duration::from_secs(2);
/// From a call of the ordered lane to its reply.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
