//! Streams that have not said yet whose they are.

use std::{
    pin::Pin,
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
};

type Accepting = Pin<Box<dyn futures_util::Stream<Item = Result<Stream, quinn::ConnectionError>> + Send>>;

/// The incoming streams of one direction: those that have not said yet whose they are wait here, bounded by what QUIC permits.
pub(super) struct Incoming {
    accepting: Accepting,
    undecided: Vec<Undecided>,
    /// Runs only while a stream is undecided.
    timer: Option<Pin<Box<Sleep>>>,
}

struct Undecided {
    stream: Stream,
    head: Head,
    since: Instant,
}

/// Whose a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// HTTP/3's.
    Http,
    /// That session's.
    Session(u64),
}

/// The first bytes of a stream: never more than it takes to tell whose it is.
#[derive(Debug, Default, Clone, Copy)]
struct Head {
    bytes: [u8; 16],
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
            Some(_) => Ok(Owner::Http),
            None => Err(all.first().map_or(1, |first| varint_size(*first) - all.len())),
        }
    }

    /// Where so many bytes more go.
    fn space(&mut self, wanted: usize) -> &mut [u8] {
        self.bytes.get_mut(self.length..self.length + wanted).unwrap_or_default()
    }
}

impl Undecided {
    /// Ready with `None` when the stream ended before it said anything.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Owner>> {
        loop {
            let wanted = match self.head.owner() {
                Ok(owner) => return Poll::Ready(Some(owner)),
                Err(wanted) => wanted,
            };
            match ready!(self.stream.recv.poll_read(context, self.head.space(wanted))) {
                Ok(0) | Err(_) => return Poll::Ready(None),
                Ok(n) => self.head.length += n,
            }
        }
    }

    fn prefix(&self) -> Bytes {
        Bytes::copy_from_slice(self.head.bytes.get(..self.head.length).unwrap_or_default())
    }
}

impl Incoming {
    /// Takes what is accepted.
    pub(super) fn new(accepting: Accepting) -> Self {
        Self { accepting, undecided: Vec::new(), timer: None }
    }

    /// The next stream that is h3's, with the bytes that were read of it.
    pub(super) fn poll(
        &mut self,
        sessions: &Sessions,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Stream, Bytes), ConnectionErrorIncoming>> {
        loop {
            match self.accepting.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(stream))) => {
                    self.undecided.push(Undecided { stream, head: Head::default(), since: Instant::now() });
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(connection_error(error))),
                Poll::Ready(None) => return Poll::Ready(Err(connection_error(quinn::ConnectionError::LocallyClosed))),
                Poll::Pending => break,
            }
        }
        let mut index = 0;
        while let Some(undecided) = self.undecided.get_mut(index) {
            match undecided.poll(context) {
                Poll::Pending => index += 1,
                Poll::Ready(owner) => {
                    let undecided = self.undecided.remove(index);
                    match owner {
                        Some(Owner::Http) => {
                            let prefix = undecided.prefix();
                            return Poll::Ready(Ok((undecided.stream, prefix)));
                        }
                        Some(Owner::Session(session)) => sessions.stream(session, undecided.stream),
                        None => {}
                    }
                }
            }
        }
        if self.undecided.is_empty() {
            // The usual state: an idle connection keeps no buffer.
            self.undecided = Vec::new();
        }
        self.poll_timer(context);
        Poll::Pending
    }

    /// Gives up streams that do not say whose they are.
    fn poll_timer(&mut self, context: &mut Context<'_>) {
        loop {
            let Some(oldest) = self.undecided.iter().map(|undecided| undecided.since).min() else {
                self.timer = None;
                return;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(FRAME_TIMEOUT)));
            timer.as_mut().reset((oldest + FRAME_TIMEOUT).into());
            if timer.as_mut().poll(context).is_pending() {
                return;
            }
            for late in self.undecided.extract_if(.., |undecided| undecided.since.elapsed() >= TOLERANCE) {
                late.stream.reset(code(Code::H3_REQUEST_INCOMPLETE.value()));
            }
        }
    }
}
/// A little less than the timeout, so that the timer's own rounding does not make it run again and again.
const TOLERANCE: Duration = Duration::from_millis(FRAME_TIMEOUT.as_millis() as u64 - 100);

#[cfg(test)]
#[path = "undecided_tests.rs"]
mod tests;
