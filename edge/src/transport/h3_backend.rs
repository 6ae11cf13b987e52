//! h3 over quinn, with WebTransport taken out: the first number on each incoming stream says whose it is. 0x41 (bidirectional) and 0x54 (unidirectional) begin
//! WebTransport streams, which go raw to their session; everything else is replayed to h3.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use gogochat_proto::limits::FRAME_TIMEOUT;
use h3::{
    error::Code,
    quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf},
};
use quinn::VarInt;
use tokio::time::Sleep;

use super::{
    capsule::{put_varint, varint, varint_size},
    streams::{Sessions, Stream},
};

/// A QUIC connection as h3 wants it.
pub(crate) struct Backend {
    opener: Opener,
    sessions: Arc<Sessions>,
    bidi: Incoming,
    uni: Incoming,
}

/// Opens streams.
pub(crate) struct Opener {
    connection: quinn::Connection,
    /// Kept between polls: a new one each time would lose its place in line.
    opening_bidi: Option<Opening<(quinn::SendStream, quinn::RecvStream)>>,
    opening_uni: Option<Opening<quinn::SendStream>>,
    /// The first stream that h3 opens carries SETTINGS.
    has_control: bool,
}

type Opening<T> = Pin<Box<dyn Future<Output = Result<T, quinn::ConnectionError>> + Send>>;
type Accepting = Pin<Box<dyn futures_util::Stream<Item = Result<Stream, quinn::ConnectionError>> + Send>>;

/// The incoming streams of one direction: those that have not said yet whose they are wait here, bounded by what QUIC permits.
struct Incoming {
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
    fn new(accepting: Accepting) -> Self {
        Self { accepting, undecided: Vec::new(), timer: None }
    }

    /// The next stream that is h3's, with the bytes that were read of it.
    fn poll(
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
                    let undecided = self.undecided.swap_remove(index);
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

impl Backend {
    /// Takes over the connection's incoming streams.
    pub(crate) fn new(connection: quinn::Connection, sessions: Arc<Sessions>) -> Self {
        let bidi = futures_util::stream::unfold(connection.clone(), |connection| async {
            let accepted = connection.accept_bi().await;
            Some((accepted.map(|(send, recv)| Stream { recv, send: Some(send) }), connection))
        });
        let uni = futures_util::stream::unfold(connection.clone(), |connection| async {
            let accepted = connection.accept_uni().await;
            Some((accepted.map(|recv| Stream { recv, send: None }), connection))
        });
        Self {
            opener: Opener::new(connection),
            sessions,
            bidi: Incoming::new(Box::pin(bidi)),
            uni: Incoming::new(Box::pin(uni)),
        }
    }
}

impl Opener {
    fn new(connection: quinn::Connection) -> Self {
        Self { connection, opening_bidi: None, opening_uni: None, has_control: false }
    }
}

impl<B: Buf> quic::OpenStreams<B> for Backend {
    type BidiStream = BidiStream<B>;
    type SendStream = SendStream<B>;

    fn poll_open_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<BidiStream<B>, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(context)
    }

    fn poll_open_send(&mut self, context: &mut Context<'_>) -> Poll<Result<SendStream<B>, StreamErrorIncoming>> {
        self.opener.poll_open_send(context)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<B>::close(&mut self.opener, code, reason);
    }
}

impl<B: Buf> quic::OpenStreams<B> for Opener {
    type BidiStream = BidiStream<B>;
    type SendStream = SendStream<B>;

    fn poll_open_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<BidiStream<B>, StreamErrorIncoming>> {
        let Self { connection, opening_bidi, .. } = self;
        let opening = opening_bidi.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_bi().await })
        });
        let result = ready!(opening.as_mut().poll(context));
        *opening_bidi = None;
        let (send, recv) = result.map_err(stream_error)?;
        Poll::Ready(Ok(BidiStream { send: SendStream::new(send), recv: RecvStream { recv, prefix: Bytes::new() } }))
    }

    fn poll_open_send(&mut self, context: &mut Context<'_>) -> Poll<Result<SendStream<B>, StreamErrorIncoming>> {
        let Self { connection, opening_uni, .. } = self;
        let opening = opening_uni.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_uni().await })
        });
        let result = ready!(opening.as_mut().poll(context));
        *opening_uni = None;
        let mut send = SendStream::new(result.map_err(stream_error)?);
        send.is_control = !self.has_control;
        self.has_control = true;
        Poll::Ready(Ok(send))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(self::code(code.value()), reason);
    }
}

impl<B: Buf> quic::Connection<B> for Backend {
    type RecvStream = RecvStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        let (stream, prefix) = ready!(self.uni.poll(&self.sessions, context))?;
        Poll::Ready(Ok(RecvStream { recv: stream.recv, prefix }))
    }

    fn poll_accept_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<BidiStream<B>, ConnectionErrorIncoming>> {
        loop {
            let (stream, prefix) = ready!(self.bidi.poll(&self.sessions, context))?;
            if let Some(send) = stream.send {
                let recv = RecvStream { recv: stream.recv, prefix };
                return Poll::Ready(Ok(BidiStream { send: SendStream::new(send), recv }));
            }
        }
    }

    fn opener(&self) -> Opener {
        Opener { has_control: true, ..Opener::new(self.opener.connection.clone()) }
    }
}

/// Both directions of a stream of h3's.
pub(crate) struct BidiStream<B: Buf> {
    send: SendStream<B>,
    recv: RecvStream,
}

/// The outgoing direction.
pub(crate) struct SendStream<B: Buf> {
    send: quinn::SendStream,
    writing: Option<Writing<B>>,
    is_control: bool,
}

enum Writing<B> {
    Frame(Box<WriteBuf<B>>),
    Settings(Bytes),
}

/// The incoming direction.
pub(crate) struct RecvStream {
    recv: quinn::RecvStream,
    /// What was read to see whose the stream is.
    prefix: Bytes,
}

impl<B: Buf> SendStream<B> {
    fn new(send: quinn::SendStream) -> Self {
        Self { send, writing: None, is_control: false }
    }
}

impl<B: Buf> quic::SendStream<B> for SendStream<B> {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while let Some(writing) = &mut self.writing {
            let bytes = match writing {
                Writing::Frame(frame) => (**frame).chunk(),
                Writing::Settings(bytes) => &**bytes,
            };
            if bytes.is_empty() {
                self.writing = None;
                break;
            }
            let written = ready!(Pin::new(&mut self.send).poll_write(context, bytes)).map_err(write_error)?;
            match writing {
                Writing::Frame(frame) => frame.advance(written),
                Writing::Settings(bytes) => bytes.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            return Err(StreamErrorIncoming::Unknown("a frame was sent before the last had gone".into()));
        }
        let mut data = data.into();
        self.writing = Some(if std::mem::take(&mut self.is_control) {
            Writing::Settings(with_more_settings(&data.copy_to_bytes(data.remaining())))
        } else {
            Writing::Frame(Box::new(data))
        });
        Ok(())
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        ready!(self.poll_ready(context))?;
        // It fails when it was reset or finished before.
        let _ = self.send.finish();
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, reset_code: u64) {
        let _ = self.send.reset(code(reset_code));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.send.id())
    }
}

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        if !self.prefix.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.prefix))));
        }
        let chunk = ready!(std::pin::pin!(self.recv.read_chunk(MAX_CHUNK, true)).poll(context)).map_err(read_error)?;
        Poll::Ready(Ok(chunk.map(|chunk| chunk.bytes)))
    }

    fn stop_sending(&mut self, error_code: u64) {
        let _ = self.recv.stop(code(error_code));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.recv.id())
    }
}

impl<B: Buf> quic::SendStream<B> for BidiStream<B> {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(context)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(context)
    }

    fn reset(&mut self, reset_code: u64) {
        self.send.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

impl<B: Buf> quic::RecvStream for BidiStream<B> {
    type Buf = Bytes;

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(context)
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.recv.stop_sending(error_code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.recv_id()
    }
}

impl<B: Buf> quic::BidiStream<B> for BidiStream<B> {
    type SendStream = SendStream<B>;
    type RecvStream = RecvStream;

    fn split(self) -> (SendStream<B>, RecvStream) {
        (self.send, self.recv)
    }
}

/// Appends to the control stream's beginning (stream type, SETTINGS frame) the settings that h3 cannot express.
fn with_more_settings(beginning: &[u8]) -> Bytes {
    let mut rest = beginning;
    let (kind, frame, length) = (varint(&mut rest), varint(&mut rest), varint(&mut rest));
    if (kind, frame, length) != (Some(0), Some(SETTINGS), Some(rest.len() as u64)) {
        return Bytes::copy_from_slice(beginning);
    }
    let mut settings = BytesMut::from(rest);
    for (id, value) in MORE_SETTINGS {
        put_varint(&mut settings, id);
        put_varint(&mut settings, value);
    }
    let mut out = BytesMut::with_capacity(settings.len() + 8);
    put_varint(&mut out, 0);
    put_varint(&mut out, SETTINGS);
    put_varint(&mut out, settings.len() as u64);
    out.unsplit(settings);
    out.freeze()
}

fn code(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
}

#[allow(clippy::expect_used, reason = "both are 62 bits wide")]
fn stream_id(id: quinn::StreamId) -> StreamId {
    StreamId::try_from(VarInt::from(id).into_inner()).expect("the id of a stream")
}

fn connection_error(error: quinn::ConnectionError) -> ConnectionErrorIncoming {
    match error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into_inner() }
        }
        quinn::ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        other => ConnectionErrorIncoming::Undefined(Arc::new(other)),
    }
}

fn stream_error(error: quinn::ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(error) }
}

fn read_error(error: quinn::ReadError) -> StreamErrorIncoming {
    match error {
        quinn::ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        quinn::ReadError::ConnectionLost(error) => stream_error(error),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

fn write_error(error: quinn::WriteError) -> StreamErrorIncoming {
    match error {
        quinn::WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        quinn::WriteError::ConnectionLost(error) => stream_error(error),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

/// The type of the SETTINGS frame (RFC 9114 section 7.2.4).
const SETTINGS: u64 = 4;
/// WebTransport by the drafts after 02: one session at a time, by the ids that browsers have looked for at one time or another.
const MORE_SETTINGS: [(u64, u64); 3] = [(0xc671_706a, 1), (0x14e9_cd29, 1), (0x2c7c_f000, 1)];
const MAX_CHUNK: usize = 16 * 1024;
/// A little less than the timeout, so that the timer's own rounding does not make it run again and again.
const TOLERANCE: Duration = Duration::from_millis(FRAME_TIMEOUT.as_millis() as u64 - 100);

#[cfg(test)]
#[path = "h3_backend_tests.rs"]
mod tests;
