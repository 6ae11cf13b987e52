//! The one writer of a connection. Whoever has a frame for a client writes it at once if the socket
//! or stream takes it, and no task is woken for that. What it does not take waits for the
//! connection's own task.

use std::{
    io::{self, IoSlice, Write as _},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use gogochat_proto::{close::CloseCode, method::Method, v1::server_frame};
use parking_lot::Mutex;
use tokio::{net::TcpStream, sync::Notify};

use super::low_priority::LowPriority;
use crate::{
    config::Limits,
    session::{
        queue::{Class, Pushed, Queue},
        wire::{self, Format, SharedFrame},
    },
};

/// The way out of a connection.
#[derive(Debug)]
pub(crate) struct Outlet {
    format: Format,
    inner: Mutex<Inner>,
    /// Wakes the connection's task: the pipe is blocked, or the session has to end, or may be read on.
    wake: Notify,
}

/// What bytes are written to.
#[derive(Debug)]
pub(crate) enum Pipe {
    /// TCP in clear.
    Tcp(Tcp),
    /// TLS over TCP.
    Tls(Tcp, Box<rustls::ServerConnection>),
    /// A WebTransport session; the stream is there once the client has opened it.
    Quic {
        /// The connection.
        connection: quinn::Connection,
        /// What each datagram begins with (RFC 9297 section 2.1).
        datagram_prefix: Bytes,
        /// The live stream.
        stream: Option<quinn::SendStream>,
        /// What has to leave room for it.
        low: Arc<LowPriority>,
    },
    /// Takes nothing, ever.
    #[cfg(test)]
    Nowhere,
}

/// How a session's queue stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backlog {
    /// Bytes that wait.
    pub(crate) bytes: usize,
    /// Frames that wait.
    pub(crate) frames: usize,
    /// How long the pipe has taken nothing.
    pub(crate) stalled: Option<Duration>,
}

#[derive(Debug)]
struct Inner {
    queue: Queue,
    pipe: Pipe,
    /// The pipe took no more; the connection's task waits for it.
    blocked: bool,
    /// Since when the pipe has taken nothing although something waits.
    stalled: Option<Instant>,
    end: Option<CloseCode>,
    /// The client has closed and was answered: nothing comes behind that.
    answered: bool,
    broken: bool,
}

impl Outlet {
    /// The outlet of a connection that has just opened.
    pub(crate) fn new(format: Format, pipe: Pipe, limits: Limits) -> Arc<Self> {
        let queue = Queue::new(format, limits);
        let inner = Inner { queue, pipe, blocked: false, stalled: None, end: None, answered: false, broken: false };
        Arc::new(Self { format, inner: Mutex::new(inner), wake: Notify::new() })
    }

    /// Sends a frame of this session's own; `method` for a reply.
    pub(crate) fn send(&self, frame: server_frame::Frame, method: Option<&'static Method>) -> Pushed {
        let class = match method {
            Some(method) if !method.ordered => Class::Reply,
            _ => Class::Control,
        };
        self.push(wire::encode(self.format, frame, method), class)
    }

    /// Sends a frame that others get too.
    pub(crate) fn send_shared(&self, frame: &SharedFrame, class: Class) -> Pushed {
        self.push(frame.bytes(self.format), class)
    }

    /// Sends what may be lost: as a datagram where there are any.
    pub(crate) fn send_ephemeral(&self, frame: &SharedFrame, class: Class) -> Pushed {
        let datagram = match &self.inner.lock().pipe {
            Pipe::Quic { connection, datagram_prefix, .. } => Some((connection.clone(), datagram_prefix.clone())),
            _ => None,
        };
        if let Some((connection, prefix)) = datagram {
            let frame = frame.encoded();
            let mut datagram = BytesMut::with_capacity(prefix.len() + frame.len());
            datagram.put(prefix);
            datagram.put(frame);
            // Never blocks: quinn drops the oldest that waits. It fails where the peer takes none, or
            // none of this size.
            if connection.send_datagram(datagram.freeze()).is_ok() {
                return Pushed::Queued;
            }
        }
        self.send_shared(frame, class)
    }

    /// Puts bytes that are ready for this transport in line, and writes what the pipe takes.
    pub(crate) fn push(&self, bytes: Bytes, class: Class) -> Pushed {
        let mut inner = self.inner.lock();
        if inner.broken || inner.answered || inner.end.is_some() {
            return Pushed::Queued;
        }
        let pushed = inner.queue.push(bytes, class);
        match pushed {
            Pushed::Overflow => self.end(&mut inner, CloseCode::SlowConsumer),
            Pushed::Dropped { resync: false } | Pushed::Replaced => {}
            Pushed::Queued | Pushed::Dropped { resync: true } => self.write(&mut inner),
        }
        pushed
    }

    /// Ends the session: what waits is sent, then the Close frame, then the transport closes. A code
    /// given earlier stays.
    pub(crate) fn close(&self, code: CloseCode) {
        self.end(&mut self.inner.lock(), code);
    }

    /// Answers a WebSocket client that has closed (RFC 6455 section 5.5.1). What waits is dropped: the client
    /// takes no more messages, and browsers would tell of an abnormal end if the answer did not come soon.
    pub(crate) fn answer_close(&self, close: Bytes) {
        let mut inner = self.inner.lock();
        if inner.answered || inner.end.is_some() {
            return;
        }
        inner.queue.clear();
        inner.queue.push(close, Class::Control);
        inner.answered = true;
        self.write(&mut inner);
    }

    /// The code that the session has to end with.
    pub(crate) fn ending(&self) -> Option<CloseCode> {
        self.inner.lock().end
    }

    /// The live stream is there.
    pub(crate) fn set_stream(&self, live: quinn::SendStream) {
        let mut inner = self.inner.lock();
        if let Pipe::Quic { stream, .. } = &mut inner.pipe {
            *stream = Some(live);
        }
        inner.blocked = false;
        self.write(&mut inner);
    }

    /// Takes the live stream away, to finish it.
    pub(crate) fn take_stream(&self) -> Option<quinn::SendStream> {
        match &mut self.inner.lock().pipe {
            Pipe::Quic { stream, .. } => stream.take(),
            _ => None,
        }
    }

    /// Does something with the TLS connection, and writes what came of it.
    pub(crate) fn with_tls<T>(&self, f: impl FnOnce(&TcpStream, &mut rustls::ServerConnection) -> T) -> Option<T> {
        let mut inner = self.inner.lock();
        let Pipe::Tls(tcp, tls) = &mut inner.pipe else { return None };
        let result = f(&tcp.socket, tls);
        if tls.wants_write() && !inner.blocked {
            self.write(&mut inner);
        }
        Some(result)
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits to be woken.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Whether the pipe took no more when it was last tried.
    pub(crate) fn is_blocked(&self) -> bool {
        self.inner.lock().blocked
    }

    /// Whether writing has failed for good.
    pub(crate) fn is_broken(&self) -> bool {
        self.inner.lock().broken
    }

    /// Whether everything was written.
    pub(crate) fn is_flushed(&self) -> bool {
        let inner = self.inner.lock();
        inner.broken || (inner.queue.is_empty() && !inner.pipe.has_ciphertext())
    }

    /// Whether so much waits for the client that no more is to be read from it.
    pub(crate) fn is_far_behind(&self) -> bool {
        let inner = self.inner.lock();
        let replies = inner.queue.reply_bytes();
        inner.queue.bytes() - replies >= PAUSE_READING || replies >= PAUSE_ASKING
    }

    /// How the queue stands.
    pub(crate) fn backlog(&self, now: Instant) -> Backlog {
        let inner = self.inner.lock();
        Backlog {
            bytes: inner.queue.bytes(),
            frames: inner.queue.len(),
            stalled: inner.stalled.map(|since| now.saturating_duration_since(since)),
        }
    }

    /// Writes what waits, by the connection's task: ready when all is written or writing has failed. A
    /// QUIC pipe wakes `context`; for TCP the caller waits for the socket by itself.
    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.lock();
        inner.flush(context);
        if inner.blocked { Poll::Pending } else { Poll::Ready(()) }
    }

    fn write(&self, inner: &mut Inner) {
        // While the connection's task waits for the pipe, its waker must not be taken from it.
        if inner.blocked {
            return;
        }
        inner.flush(&mut Context::from_waker(Waker::noop()));
        if inner.blocked || inner.broken {
            self.wake.notify_one();
        }
    }

    fn end(&self, inner: &mut Inner, code: CloseCode) {
        if inner.answered || inner.end.is_some() {
            return;
        }
        if code == CloseCode::SlowConsumer {
            // It does not read: what waits would only delay the news.
            inner.queue.clear();
        }
        inner.queue.push(wire::encode(self.format, code.frame(), None), Class::Control);
        if self.format != Format::Stream {
            inner.queue.push(wire::close_message(code), Class::Control);
        }
        inner.end = Some(code);
        self.write(inner);
        self.wake.notify_one();
    }
}

impl Inner {
    fn flush(&mut self, context: &mut Context<'_>) {
        self.blocked = false;
        let before = self.queue.bytes();
        let mut written = 0;
        let result = loop {
            match self.pipe.write(&self.queue, context) {
                Ok(0) => break Ok(()),
                Ok(n) => {
                    written += n;
                    self.queue.advance(n);
                }
                Err(error) => break Err(error),
            }
        };
        match result {
            Ok(()) => self.stalled = None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                if written > 0 || self.stalled.is_none() {
                    self.stalled = (before > 0).then(Instant::now);
                }
            }
            Err(_) => {
                self.broken = true;
                self.queue.clear();
            }
        }
    }
}

impl Pipe {
    /// Writes of the front of the queue; 0 when nothing is left.
    fn write(&mut self, queue: &Queue, context: &mut Context<'_>) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => {
                let most = tcp.make_room(queue);
                if queue.is_empty() {
                    return Ok(0);
                }
                vectored(queue, most, |slices| tcp.socket.try_write_vectored(slices))
            }
            Self::Tls(tcp, tls) => {
                let most = tcp.make_room(queue);
                let tcp = &tcp.socket;
                // What was encrypted earlier goes first, so that at most one round of ciphertext is buffered.
                send_ciphertext(tcp, tls)?;
                if queue.is_empty() {
                    return Ok(0);
                }
                let written = vectored(queue, most, |slices| tls.writer().write_vectored(slices))?;
                match send_ciphertext(tcp, tls) {
                    // It was taken, although not all has left.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(written),
                    other => other.map(|()| written),
                }
            }
            #[cfg(test)]
            Self::Nowhere => Err(io::ErrorKind::WouldBlock.into()),
            Self::Quic { stream, low, .. } => {
                if queue.is_empty() {
                    return Ok(0);
                }
                let Some(stream) = stream else { return Err(io::ErrorKind::WouldBlock.into()) };
                let mut chunks: [Bytes; SLICES] = std::array::from_fn(|_| Bytes::new());
                let mut count = 0;
                for (chunk, bytes) in chunks.iter_mut().zip(queue.front(SLICES)) {
                    *chunk = bytes.clone();
                    count += 1;
                }
                let chunks = chunks.get_mut(..count).unwrap_or_default();
                match low.go_before(|| std::pin::pin!(stream.write_chunks(chunks)).poll(context)) {
                    Poll::Ready(written) => Ok(written.map_err(io::Error::from)?.bytes),
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        }
    }

    fn has_ciphertext(&self) -> bool {
        match self {
            Self::Tls(_, tls) => tls.wants_write(),
            _ => false,
        }
    }
}

/// A TCP connection, and how much of what was not sent yet its socket takes.
#[derive(Debug)]
pub(crate) struct Tcp {
    socket: Arc<TcpStream>,
    /// It takes little, and when a reply was written last: see [`Self::make_room`].
    shallow: Option<Instant>,
}

impl Tcp {
    /// A socket as it is.
    pub(crate) fn new(socket: Arc<TcpStream>) -> Self {
        Self { socket, shallow: None }
    }

    /// While long replies are written, such as pages of history, the kernel takes no more than it can send
    /// soon. The rest stays in the queue, where what is live goes before it. Gives the bytes to write at
    /// once, at most.
    fn make_room(&mut self, queue: &Queue) -> usize {
        match (queue.reply_bytes(), self.shallow) {
            (0, None) => return usize::MAX,
            (0, Some(since)) if since.elapsed() < NEXT_REPLY => {}
            (0, Some(_)) => {
                self.shallow = None;
                // The system's own figure.
                self.set_not_sent(0);
            }
            (..LONG, None) => {}
            (_, before) => {
                self.shallow = Some(Instant::now());
                if before.is_none() {
                    self.set_not_sent(NOT_SENT);
                }
            }
        }
        if self.shallow.is_some() { NOT_SENT as usize } else { usize::MAX }
    }

    /// How much the kernel takes beyond what it can send (TCP_NOTSENT_LOWAT). Where it cannot be told, what
    /// is live waits longer.
    fn set_not_sent(&self, bytes: u32) {
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&*self.socket).set_tcp_notsent_lowat(bytes);
        #[cfg(not(target_os = "linux"))]
        let _ = bytes;
    }
}

fn vectored(queue: &Queue, most: usize, write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut count = 0;
    let mut room = most;
    for (slice, bytes) in slices.iter_mut().zip(queue.front(SLICES)) {
        if room == 0 {
            break;
        }
        let piece = bytes.get(..room).unwrap_or(bytes);
        room -= piece.len();
        *slice = IoSlice::new(piece);
        count += 1;
    }
    match write(slices.get(..count).unwrap_or_default()) {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        other => other,
    }
}

fn send_ciphertext(tcp: &TcpStream, tls: &mut rustls::ServerConnection) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut TryWrite(tcp))?;
    }
    Ok(())
}

/// A socket that says WouldBlock instead of waiting.
struct TryWrite<'a>(&'a TcpStream);

impl io::Write for TryWrite<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Frames in one write.
const SLICES: usize = 16;
/// Bytes that wait for a slow client at which nothing more is read from it.
const PAUSE_READING: usize = 256 * 1024;
/// The same of replies: it asks for more than it takes.
const PAUSE_ASKING: usize = 1024 * 1024;
/// Bytes that a socket takes ahead of what it can send, while replies wait.
const NOT_SENT: u32 = 16 * 1024;
/// Bytes of replies from which on that matters.
const LONG: usize = 4 * 1024;
/// The next one is waited for so long before the socket is as it was.
const NEXT_REPLY: Duration = Duration::from_secs(1);
