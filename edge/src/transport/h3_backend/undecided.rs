//! Streams of which it is not known yet whose they are, and requests whose headers are not
//! complete.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use gogochat_proto::limits::FRAME_TIMEOUT;
use h3::{error::Code, quic::ConnectionErrorIncoming};
use tokio::time::Sleep;

use super::{
    super::{
        capsule::{varint, varint_size},
        streams::{Sessions, Stream},
    },
    error::{code, connection_error},
    guard::{Fault, Guard},
    stream::RecvStream,
};
use crate::limits::quic::MAX_STREAM_HEADER;

type Accepting = Pin<Box<dyn futures_util::Stream<Item = Result<Stream, quinn::ConnectionError>> + Send>>;
/// A stream that is h3's; without the second it is unidirectional.
type Http = (RecvStream, Option<quinn::SendStream>);

/// The incoming streams of one direction: those that are not ready for h3 or their session wait here,
/// bounded by what QUIC permits.
pub(super) struct Incoming {
    accepting: Accepting,
    waiting: Vec<Waiting>,
    guard: Arc<Guard>,
    /// When the next stream whose session is not there has to be given up.
    early: Option<Instant>,
    /// Runs only while a stream waits.
    timer: Option<Pin<Box<Sleep>>>,
}

struct Waiting {
    since: Instant,
    what: Stage,
}

enum Stage {
    /// It has to say whose it is.
    Undecided(Stream, Head),
    /// It is a request, and its headers have to come.
    Request(RecvStream, quinn::SendStream),
}

/// Whose a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// HTTP/3's. The type of the stream, or of its first frame.
    Http(u64),
    /// That session's.
    Session(u64),
}

/// The first bytes of a stream: never more than it takes to tell whose it is.
#[derive(Debug, Default, Clone, Copy)]
struct Head {
    bytes: [u8; MAX_STREAM_HEADER],
    length: usize,
}

impl Head {
    /// Whose the stream is, or how many bytes more are needed to see.
    fn owner(&self) -> Result<Owner, usize> {
        let all = self.bytes.get(..self.length).unwrap_or_default();
        let mut rest = all;
        match varint(&mut rest) {
            Some(0x41 | 0x54) => match varint(&mut rest) {
                Some(session) => Ok(Owner::Session(session)),
                None => Err(rest.first().map_or(1, |first| varint_size(*first) - rest.len())),
            },
            Some(kind) => Ok(Owner::Http(kind)),
            None => Err(all.first().map_or(1, |first| varint_size(*first) - all.len())),
        }
    }

    /// Where so many bytes more go.
    fn space(&mut self, wanted: usize) -> &mut [u8] {
        self.bytes.get_mut(self.length..self.length + wanted).unwrap_or_default()
    }

    fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.bytes.get(..self.length).unwrap_or_default())
    }

    /// Ready with `None` when the stream ended before it said anything.
    fn poll(&mut self, stream: &mut Stream, context: &mut Context<'_>) -> Poll<Option<Owner>> {
        loop {
            let wanted = match self.owner() {
                Ok(owner) => return Poll::Ready(Some(owner)),
                Err(wanted) => wanted,
            };
            match ready!(stream.recv.poll_read(context, self.space(wanted))) {
                Ok(0) | Err(_) => return Poll::Ready(None),
                Ok(n) => self.length += n,
            }
        }
    }
}

impl Waiting {
    /// Ready when it need not wait any more; `false` when the stream has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        match &mut self.what {
            Stage::Undecided(stream, head) => {
                let was_silent = head.length == 0;
                let owner = head.poll(stream, context);
                if was_silent && head.length > 0 && stream.send.is_none() {
                    self.since = Instant::now();
                }
                owner.map(|owner| owner.is_some())
            }
            Stage::Request(recv, _) => recv.poll_headers(context),
        }
    }

    /// Whether it is given up in time. A unidirectional stream that says nothing may be one of QPACK's:
    /// Chromium opens them with its first streams and writes their type when it has something to encode.
    /// To stop such a stream ends the connection (RFC 9204 section 4.2).
    fn lapses(&self) -> bool {
        !matches!(&self.what, Stage::Undecided(Stream { send: None, .. }, head) if head.length == 0)
    }

    fn reset(self) {
        let reason = Code::H3_REQUEST_INCOMPLETE.value();
        match self.what {
            Stage::Undecided(stream, _) => stream.reset(code(reason)),
            Stage::Request(mut recv, mut send) => {
                recv.stop(reason);
                // Fails only when it has ended already.
                let _ = send.reset(code(reason));
            }
        }
    }
}

impl Incoming {
    /// Takes what is accepted.
    pub(super) fn new(accepting: Accepting, guard: Arc<Guard>) -> Self {
        Self { accepting, waiting: Vec::new(), guard, early: None, timer: None }
    }

    /// The next stream that is h3's.
    pub(super) fn poll(
        &mut self,
        sessions: &Sessions,
        context: &mut Context<'_>,
    ) -> Poll<Result<Http, ConnectionErrorIncoming>> {
        loop {
            match self.accepting.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(stream))) => {
                    let what = Stage::Undecided(stream, Head::default());
                    self.waiting.push(Waiting { since: Instant::now(), what });
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(connection_error(error))),
                Poll::Ready(None) => return Poll::Ready(Err(connection_error(quinn::ConnectionError::LocallyClosed))),
                Poll::Pending => break,
            }
        }
        let mut index = 0;
        while let Some(waiting) = self.waiting.get_mut(index) {
            match waiting.poll(context) {
                Poll::Pending => index += 1,
                Poll::Ready(has_come) => {
                    let waiting = self.waiting.remove(index);
                    let sorted = if has_come { self.sort(waiting, sessions) } else { self.ended(waiting) };
                    match sorted {
                        Ok(Some(http)) => return Poll::Ready(Ok(http)),
                        Ok(None) => {}
                        Err(fault) => return Poll::Ready(Err(self.guard.fail(fault))),
                    }
                }
            }
        }
        if self.waiting.is_empty() {
            // The usual state: an idle connection keeps no buffer.
            self.waiting = Vec::new();
        }
        self.poll_timer(sessions, context);
        Poll::Pending
    }

    /// Gives a stream to whom it is for, or has it wait for its headers.
    fn sort(&mut self, waiting: Waiting, sessions: &Sessions) -> Result<Option<Http>, Fault> {
        let Waiting { since, what } = waiting;
        let (stream, head) = match what {
            Stage::Undecided(stream, head) => (stream, head),
            Stage::Request(recv, send) => return Ok(Some((recv, Some(send)))),
        };
        let Ok(owner) = head.owner() else { return Ok(None) };
        match (owner, stream) {
            (Owner::Session(session), stream) => {
                if !sessions.stream(session, stream, Instant::now()) {
                    self.early.get_or_insert_with(|| Instant::now() + FRAME_TIMEOUT);
                }
                Ok(None)
            }
            (Owner::Http(_), Stream { recv, send: Some(send) }) => {
                let recv = RecvStream::request(recv, head.bytes(), self.guard.clone());
                self.waiting.push(Waiting { since, what: Stage::Request(recv, send) });
                Ok(None)
            }
            (Owner::Http(kind), Stream { mut recv, send: None }) => match kind {
                CONTROL => Ok(Some((RecvStream::control(recv, head.bytes(), self.guard.clone()), None))),
                // The dynamic tables are empty: nothing is to be read there.
                ENCODER | DECODER => Ok(Some((RecvStream::unread(recv, head.bytes(), self.guard.clone()), None))),
                PUSH => Err(Fault { code: Code::H3_STREAM_CREATION_ERROR, why: "only servers push" }),
                _ => {
                    let _ = recv.stop(code(Code::H3_STREAM_CREATION_ERROR.value()));
                    self.guard.spend(1, 0).map(|()| None)
                }
            },
        }
    }

    /// A stream has ended before it said anything.
    fn ended(&self, waiting: Waiting) -> Result<Option<Http>, Fault> {
        waiting.reset();
        self.guard.spend(1, 0).map(|()| None)
    }

    /// Gives up streams that do not say what they have to, or whose session does not come.
    fn poll_timer(&mut self, sessions: &Sessions, context: &mut Context<'_>) {
        loop {
            let oldest = self.waiting.iter().filter(|waiting| waiting.lapses()).map(|waiting| waiting.since).min();
            let Some(next) = oldest.map(|oldest| oldest + FRAME_TIMEOUT).into_iter().chain(self.early).min() else {
                self.timer = None;
                return;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(FRAME_TIMEOUT)));
            timer.as_mut().reset(next.into());
            if timer.as_mut().poll(context).is_pending() {
                return;
            }
            let now = Instant::now();
            let is_late = |waiting: &mut Waiting| waiting.lapses() && now.duration_since(waiting.since) >= TOLERANCE;
            for late in self.waiting.extract_if(.., is_late) {
                late.reset();
            }
            if self.early.is_some_and(|until| until <= now + ROUNDING) {
                self.early = sessions.give_up(now - TOLERANCE).map(|since| since + FRAME_TIMEOUT);
            }
        }
    }
}
/// A timer's own rounding, which must not make it run again and again.
const ROUNDING: Duration = Duration::from_millis(100);
const TOLERANCE: Duration = Duration::from_millis((FRAME_TIMEOUT.as_millis() - ROUNDING.as_millis()) as u64);

// Types of unidirectional streams (RFC 9114 section 6.2, RFC 9204 section 4.2).
const CONTROL: u64 = 0;
const PUSH: u64 = 1;
const ENCODER: u64 = 2;
const DECODER: u64 = 3;

#[cfg(test)]
#[path = "undecided_tests.rs"]
mod tests;
