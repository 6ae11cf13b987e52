//! A socket that keeps its connection's deadlines, whatever reads and writes it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::activity::{Activity, Verdict};
use crate::limits::tcp::{CHUNK, LINGER, LINGER_BYTES, LINGER_SILENCE};

/// A socket under HTTP or TLS. Reading and writing fail with [`io::ErrorKind::TimedOut`] and an
/// [`super::Ending`] once the connection has to end. Shutting it down reads on for what the client
/// still sends, within bounds.
#[derive(Debug)]
pub struct Watched<S> {
    /// `None`: taken out.
    inner: Option<S>,
    activity: Activity,
    timer: Option<Pin<Box<Sleep>>>,
    lingering: Option<Lingering>,
}

/// Reading on after the last answer.
#[derive(Debug)]
struct Lingering {
    end: Instant,
    silence: Pin<Box<Sleep>>,
    left: usize,
}

impl<S> Watched<S> {
    /// Watches over a socket.
    pub(super) fn new(inner: S, activity: Activity) -> Self {
        Self { inner: Some(inner), activity, timer: None, lingering: None }
    }

    /// What is known of the connection.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// The socket.
    pub(super) fn get_ref(&self) -> Option<&S> {
        self.inner.as_ref()
    }

    /// The socket, to be read by other means.
    ///
    /// # Errors
    /// It was taken out before.
    pub(crate) fn get_mut(&mut self) -> io::Result<&mut S> {
        self.inner.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// The socket, of which nothing is watched any more.
    ///
    /// # Errors
    /// It was taken out before.
    pub(crate) fn into_inner(mut self) -> io::Result<S> {
        self.inner.take().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Fails when the connection has to end; otherwise the task is woken when that has to be looked
    /// at again.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.activity.register(context.waker());
        loop {
            let now = Instant::now();
            match self.activity.verdict(now) {
                Verdict::Over(ending) => {
                    ending.count();
                    return Err(io::Error::new(io::ErrorKind::TimedOut, ending));
                }
                Verdict::Until(at) => {
                    let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
                    // One that fires too early is set anew then, which is seldom.
                    if timer.deadline() > at || timer.is_elapsed() {
                        timer.as_mut().reset(at);
                    }
                    if timer.as_mut().poll(context).is_pending() {
                        return Ok(());
                    }
                }
            }
        }
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        self.activity.leave();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    fn poll_inner<T>(&mut self, poll: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &mut self.inner {
            Some(inner) => poll(Pin::new(inner)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_written(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            self.activity.blocked(Instant::now());
            self.check(context)?;
        } else {
            self.activity.wrote();
        }
        written
    }

    /// Reads what the client still sends and throws it away: closed with unread bytes, the socket
    /// would be reset, and what was sent last might never be read.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut lingering = self.lingering.take().unwrap_or_else(|| Lingering {
            end: Instant::now() + LINGER,
            silence: Box::pin(sleep_until(Instant::now() + LINGER_SILENCE)),
            left: LINGER_BYTES,
        });
        let mut scratch = [0; CHUNK];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match self.poll_inner(|inner| inner.poll_read(context, &mut buffer)) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let now = Instant::now();
                    lingering.left = lingering.left.saturating_sub(buffer.filled().len());
                    if lingering.left == 0 || now >= lingering.end {
                        return Poll::Ready(());
                    }
                    lingering.silence.as_mut().reset(lingering.end.min(now + LINGER_SILENCE));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    self.activity.heard_nothing();
                    if lingering.silence.as_mut().poll(context).is_ready() || self.check(context).is_err() {
                        return Poll::Ready(());
                    }
                    self.lingering = Some(lingering);
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = this.poll_inner(|inner| inner.poll_read(context, buffer));
        if read.is_pending() {
            this.activity.heard_nothing();
        } else {
            this.activity.came(buffer.filled().len() - before);
        }
        // Also while more and more comes.
        this.check(context)?;
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.poll_inner(|inner| inner.poll_write(context, bytes));
        self.poll_written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.poll_inner(|inner| inner.poll_write_vectored(context, slices));
        self.poll_written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_inner(|inner| inner.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            std::task::ready!(self.poll_inner(|inner| inner.poll_shutdown(context)))?;
        }
        self.poll_linger(context).map(Ok)
    }
}

#[cfg(test)]
#[path = "watched_tests.rs"]
mod tests;
