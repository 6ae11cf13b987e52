//! The streams that are h3's.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h3::quic::{self, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::VarInt;

use super::{
    error::{code, read_error, write_error},
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

impl<B: Buf> BidiStream<B> {
    /// Puts both directions together.
    pub(super) fn new(send: SendStream<B>, recv: RecvStream) -> Self {
        Self { send, recv }
    }
}

impl<B: Buf> SendStream<B> {
    /// An outgoing stream.
    pub(super) fn new(send: quinn::SendStream) -> Self {
        Self { send, writing: None, is_control: false }
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

impl RecvStream {
    /// An incoming stream of which `prefix` has been read.
    pub(super) fn new(recv: quinn::RecvStream, prefix: Bytes) -> Self {
        Self { recv, prefix }
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

#[allow(clippy::expect_used, reason = "both are 62 bits wide")]
fn stream_id(id: quinn::StreamId) -> StreamId {
    StreamId::try_from(VarInt::from(id).into_inner()).expect("the id of a stream")
}
const MAX_CHUNK: usize = 16 * 1024;
