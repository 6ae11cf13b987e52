//! The streams that are h3's.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h3::{
    error::Code,
    quic::{self, StreamErrorIncoming, StreamId, WriteBuf},
};
use quinn::{StoppedError, VarInt};

use super::{
    error::{code, read_error, write_error},
    frames::{Frames, Piece},
    guard::Guard,
    settings::with_more_settings,
};

/// Both directions of a stream of h3's.
pub(crate) struct BidiStream<B: Buf> {
    send: SendStream<B>,
    recv: RecvStream,
}

/// The outgoing direction.
pub(crate) struct SendStream<B: Buf> {
    send: quinn::SendStream,
    writing: Option<Writing<B>>,
    /// All was written, and the client takes it.
    ending: Option<Ending>,
    is_control: bool,
}

type Ending = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send + Sync>>;

enum Writing<B> {
    Frame(Box<WriteBuf<B>>),
    Settings(Bytes),
}

/// The incoming direction.
pub(crate) struct RecvStream {
    recv: quinn::RecvStream,
    /// What h3 gets next.
    ready: Bytes,
    /// What was read and not yet looked at.
    read: Bytes,
    /// `None`: h3 does not read the stream.
    frames: Option<Frames>,
    guard: Arc<Guard>,
    ended: bool,
}

impl<B: Buf> BidiStream<B> {
    /// Puts both directions together.
    pub(super) fn new(send: SendStream<B>, recv: RecvStream) -> Self {
        Self { send, recv }
    }
}

impl<B: Buf> SendStream<B> {
    /// An outgoing stream.
    pub(super) fn new(send: quinn::SendStream) -> Self {
        Self { send, writing: None, ending: None, is_control: false }
    }

    /// It is the control stream, which SETTINGS come first on.
    pub(super) fn carry_settings(&mut self) {
        self.is_control = true;
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

    /// Ready when the client has taken all, or has said that it does not want it.
    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        ready!(self.poll_ready(context))?;
        let send = &mut self.send;
        let ending = self.ending.get_or_insert_with(|| {
            // It fails when it was reset or finished before.
            let _ = send.finish();
            Box::pin(send.stopped())
        });
        let _ = ready!(ending.as_mut().poll(context));
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, reset_code: u64) {
        let _ = self.send.reset(code(reset_code));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.send.id())
    }
}

impl<B: Buf> Drop for SendStream<B> {
    fn drop(&mut self) {
        if self.writing.is_some() {
            // A frame that ends in its middle must not look like an end.
            let _ = self.send.reset(code(Code::H3_REQUEST_CANCELLED.value()));
        }
    }
}

impl RecvStream {
    /// A stream that h3 does not read, of which `prefix` has been read.
    pub(super) fn unread(recv: quinn::RecvStream, prefix: Bytes, guard: Arc<Guard>) -> Self {
        Self { recv, ready: prefix, read: Bytes::new(), frames: None, guard, ended: false }
    }

    /// A control stream, of which its type, `prefix`, has been read.
    pub(super) fn control(recv: quinn::RecvStream, prefix: Bytes, guard: Arc<Guard>) -> Self {
        let frames = Some(Frames::of_control());
        Self { recv, ready: prefix, read: Bytes::new(), frames, guard, ended: false }
    }

    /// A request's, of which `read` has been read.
    pub(super) fn request(recv: quinn::RecvStream, read: Bytes, guard: Arc<Guard>) -> Self {
        Self { recv, ready: Bytes::new(), read, frames: Some(Frames::of_request()), guard, ended: false }
    }

    /// Ready when the request's headers are there, for h3 to read; `false` when the stream ended before.
    pub(super) fn poll_headers(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let headers = ready!(self.poll_piece(context));
        self.ready = headers.ok().flatten().unwrap_or_default();
        Poll::Ready(!self.ready.is_empty())
    }

    /// Ends the stream from this side.
    pub(super) fn stop(&mut self, error_code: u64) {
        let _ = self.recv.stop(code(error_code));
        self.ended = true;
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let Self { recv, read, frames, guard, ended, .. } = self;
        loop {
            if let Some(frames) = frames {
                let next = frames.next(read, |frames, bytes| guard.spend(frames, bytes));
                match next.map_err(|fault| guard.fail_stream(fault))? {
                    Some(Piece::Pass(piece)) => return Poll::Ready(Ok(Some(piece))),
                    Some(Piece::Settings(piece)) => {
                        guard.set_settings();
                        return Poll::Ready(Ok(Some(piece)));
                    }
                    None => {}
                }
            }
            let chunk = ready!(std::pin::pin!(recv.read_chunk(MAX_CHUNK, true)).poll(context)).map_err(read_error)?;
            match (chunk, &frames) {
                (Some(chunk), Some(_)) => *read = chunk.bytes,
                (Some(chunk), None) => return Poll::Ready(Ok(Some(chunk.bytes))),
                (None, frames) => {
                    *ended = true;
                    let end = frames.as_ref().map_or(Ok(()), Frames::end);
                    return Poll::Ready(end.map(|()| None).map_err(|fault| guard.fail_stream(fault)));
                }
            }
        }
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        if !self.ended {
            // What else comes is not needed (RFC 9114 section 4.1); quinn would say so with a code of no
            // meaning.
            self.stop(Code::H3_NO_ERROR.value());
        }
    }
}

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        if !self.ready.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.ready))));
        }
        self.poll_piece(context)
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.stop(error_code);
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

#[allow(clippy::expect_used, reason = "both are 62 bits wide")]
fn stream_id(id: quinn::StreamId) -> StreamId {
    StreamId::try_from(VarInt::from(id).into_inner()).expect("the id of a stream")
}
const MAX_CHUNK: usize = 16 * 1024;
