//! h3 over quinn, with WebTransport taken out. The first number on each incoming stream says whose
//! it is: 0x41 (bidirectional) and 0x54 (unidirectional) begin WebTransport streams, which go raw
//! to their session. Everything else is HTTP/3 and goes to h3, once [`frames`] has bounded what
//! comes. A request comes to h3 when its headers are complete.

mod error;
mod frames;
mod guard;
mod section;
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

pub(crate) use self::{guard::Guard, stream::BidiStream};

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
    guard: Arc<Guard>,
    /// Kept between polls: a new one each time would lose its place in line.
    opening_bidi: Option<Opening<(quinn::SendStream, quinn::RecvStream)>>,
    opening_uni: Option<Opening<quinn::SendStream>>,
    /// The first stream that h3 opens carries SETTINGS.
    has_control: bool,
}
type Opening<T> = Pin<Box<dyn Future<Output = Result<T, quinn::ConnectionError>> + Send>>;

impl Backend {
    /// Takes over the connection's incoming streams.
    pub(crate) fn new(connection: quinn::Connection, sessions: Arc<Sessions>, guard: Arc<Guard>) -> Self {
        let bidi = futures_util::stream::unfold(connection.clone(), |connection| async {
            let accepted = connection.accept_bi().await;
            Some((accepted.map(|(send, recv)| Stream { recv, send: Some(send) }), connection))
        });
        let uni = futures_util::stream::unfold(connection.clone(), |connection| async {
            let accepted = connection.accept_uni().await;
            Some((accepted.map(|recv| Stream { recv, send: None }), connection))
        });
        Self {
            opener: Opener::new(connection, guard.clone()),
            sessions,
            bidi: Incoming::new(Box::pin(bidi), guard.clone()),
            uni: Incoming::new(Box::pin(uni), guard),
        }
    }
}

impl Opener {
    fn new(connection: quinn::Connection, guard: Arc<Guard>) -> Self {
        Self { connection, guard, opening_bidi: None, opening_uni: None, has_control: false }
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
        let Self { connection, guard, opening_bidi, .. } = self;
        let opening = opening_bidi.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_bi().await })
        });
        let result = ready!(opening.as_mut().poll(context));
        *opening_bidi = None;
        let (send, recv) = result.map_err(stream_error)?;
        // A server opens none in HTTP/3.
        let recv = RecvStream::unread(recv, Bytes::new(), guard.clone());
        Poll::Ready(Ok(BidiStream::new(SendStream::new(send), recv)))
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
        let (recv, _) = ready!(self.uni.poll(&self.sessions, context))?;
        Poll::Ready(Ok(recv))
    }

    fn poll_accept_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<BidiStream<B>, ConnectionErrorIncoming>> {
        loop {
            if let (recv, Some(send)) = ready!(self.bidi.poll(&self.sessions, context))? {
                return Poll::Ready(Ok(BidiStream::new(SendStream::new(send), recv)));
            }
        }
    }

    fn opener(&self) -> Opener {
        Opener { has_control: true, ..Opener::new(self.opener.connection.clone(), self.opener.guard.clone()) }
    }
}
