//! h3 over quinn, with WebTransport taken out: the first number on each incoming stream says whose it is. 0x41 (bidirectional) and 0x54 (unidirectional) begin
//! WebTransport streams, which go raw to their session; everything else is replayed to h3.

mod error;
mod settings;
mod stream;
mod undecided;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h3::{
    error::Code,
    quic::{self, ConnectionErrorIncoming, StreamErrorIncoming},
};

use self::{
    error::stream_error,
    stream::{RecvStream, SendStream},
    undecided::Incoming,
};
use super::streams::{Sessions, Stream};

pub(crate) use self::stream::BidiStream;

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
        Poll::Ready(Ok(BidiStream::new(SendStream::new(send), RecvStream::new(recv, Bytes::new()))))
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
        if !std::mem::replace(&mut self.has_control, true) {
            send.carry_settings();
        }
        Poll::Ready(Ok(send))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(error::code(code.value()), reason);
    }
}

impl<B: Buf> quic::Connection<B> for Backend {
    type RecvStream = RecvStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        let (stream, prefix) = ready!(self.uni.poll(&self.sessions, context))?;
        Poll::Ready(Ok(RecvStream::new(stream.recv, prefix)))
    }

    fn poll_accept_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<BidiStream<B>, ConnectionErrorIncoming>> {
        loop {
            let (stream, prefix) = ready!(self.bidi.poll(&self.sessions, context))?;
            if let Some(send) = stream.send {
                let recv = RecvStream::new(stream.recv, prefix);
                return Poll::Ready(Ok(BidiStream::new(SendStream::new(send), recv)));
            }
        }
    }

    fn opener(&self) -> Opener {
        Opener { has_control: true, ..Opener::new(self.opener.connection.clone()) }
    }
}
