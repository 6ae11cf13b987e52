//! A WebTransport session on an HTTP/3 connection (draft-ietf-webtrans-http3): its handshake, its
//! live stream, its datagrams, its end.

use std::{
    future::poll_fn,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes, BytesMut};
use gogochat_proto::{close::CloseCode, frame};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::task::coop::consume_budget;

use super::{
    capsule::{self, CapsuleError, Capsules},
    http3::{self, H3Stream},
    incoming::{CallStream, Incoming, close_code, held},
    low_priority::LowPriority,
    outlet::{Outlet, Pipe},
    streams::{Inbox, Sessions, Stream, TakeDatagram},
};
use crate::{
    config::Limits,
    limits::quic::{ANSWER, CLOSE},
    origin::{self, Came, Origin},
    session::{Reading, wire::Format},
};

/// A client over WebTransport.
pub(crate) struct WebTransport {
    connection: quinn::Connection,
    sessions: Arc<Sessions>,
    id: u64,
    inbox: Arc<Inbox>,
    /// The CONNECT stream: capsules, and the session's end.
    control: H3Stream,
    capsules: Capsules,
    outlet: Arc<Outlet>,
    low: Arc<LowPriority>,
    live: Option<quinn::RecvStream>,
    decoder: frame::Decoder,
    idle: bool,
}

/// Answers a CONNECT request for WebTransport; `None` when it was refused.
pub(crate) async fn accept(
    request: &Request<()>,
    mut control: H3Stream,
    connection: quinn::Connection,
    sessions: Arc<Sessions>,
    allowed_origins: &[Origin],
    limits: Limits,
) -> Option<WebTransport> {
    let refusal = if !origin::is_allowed(request.uri(), request.headers(), Came::Quic, allowed_origins) {
        origin::log_refused(request.headers(), connection.remote_address().ip().to_canonical(), "wt");
        Some(StatusCode::FORBIDDEN)
    } else if request.uri().path() != PATH {
        Some(StatusCode::NOT_FOUND)
    } else if sessions.len() >= MAX_SESSIONS {
        Some(StatusCode::TOO_MANY_REQUESTS)
    } else {
        None
    };
    if let Some(status) = refusal {
        http3::refuse(control, status).await;
        return None;
    }
    let mut response = Response::builder().status(StatusCode::OK).header("sec-webtransport-http3-draft", "draft02");
    if offers_protocol(request.headers()) {
        response = response.header("wt-protocol", format!("\"{PROTOCOL}\""));
    }
    let id = quic_id(&control);
    let answered = control.send_response(response.body(()).ok()?);
    tokio::time::timeout(ANSWER, answered).await.ok()?.ok()?;
    let mut prefix = BytesMut::new();
    capsule::put_varint(&mut prefix, id / 4);
    let low = sessions.low_priority(&connection);
    let pipe =
        Pipe::Quic { connection: connection.clone(), datagram_prefix: prefix.freeze(), stream: None, low: low.clone() };
    Some(WebTransport {
        inbox: sessions.open(id),
        connection,
        sessions,
        id,
        control,
        capsules: Capsules::new(Instant::now()),
        outlet: Outlet::new(Format::Stream, pipe, limits),
        low,
        live: None,
        decoder: frame::Decoder::default(),
        idle: false,
    })
}

enum Event {
    Control(Option<Bytes>),
    Stream(Stream),
    Live(Option<Bytes>),
    Other,
}

impl WebTransport {
    /// The way out.
    pub(crate) fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    /// The client's address.
    pub(crate) fn address(&self) -> IpAddr {
        self.connection.remote_address().ip().to_canonical()
    }

    /// Has the session's datagrams taken where they are read. To be called once.
    pub(crate) fn set_datagrams(&self, datagrams: impl TakeDatagram + 'static) {
        self.inbox.set_datagrams(datagrams);
    }

    /// The next of what comes.
    pub(crate) async fn next(&mut self, reading: Reading) -> Incoming {
        let may_read = reading == Reading::On;
        loop {
            if let Some(code) = self.outlet.ending() {
                return Incoming::Ended(code);
            }
            if self.outlet.is_broken() {
                return Incoming::Gone;
            }
            if may_read && let Some(incoming) = self.decode() {
                return incoming;
            }
            // Capsules and streams come without a frame that would be counted.
            consume_budget().await;
            match self.event(reading).await {
                Event::Control(None) => return Incoming::Gone,
                Event::Control(Some(bytes)) => match self.capsules.push(bytes, Instant::now()) {
                    Ok(false) => {}
                    Ok(true) => return Incoming::Gone,
                    Err(CapsuleError::Invalid) => return Incoming::Broken(CloseCode::ProtocolError),
                    Err(CapsuleError::TooMany) => return Incoming::Broken(CloseCode::RateLimited),
                },
                Event::Stream(stream) => {
                    if let Some(incoming) = self.stream(stream) {
                        return incoming;
                    }
                }
                Event::Live(Some(bytes)) => {
                    self.decoder.push(&bytes);
                    self.idle = false;
                }
                // Without its live stream a session is over.
                Event::Live(None) => return Incoming::Gone,
                Event::Other if !may_read => return Incoming::Held,
                Event::Other => {}
            }
        }
    }

    /// Sends what waits and closes the session with the code.
    pub(crate) async fn finish(mut self, code: Option<CloseCode>) {
        if let Some(code) = code {
            self.outlet.close(code);
        }
        let closing = async {
            if code.is_some() {
                // A client that does not read its stream still reads the capsule.
                let _ = tokio::time::timeout(FLUSH_TIMEOUT, poll_fn(|context| self.outlet.poll_flush(context))).await;
            }
            if let Some(mut live) = self.outlet.take_stream() {
                let _ = live.finish();
            }
            let code = code.unwrap_or(CloseCode::Done);
            if self.control.send_data(capsule::close_session(code)).await.is_err()
                || self.control.finish().await.is_err()
            {
                return;
            }
            // The other side ends its direction once it has read the capsule.
            while let Ok(Some(_)) = self.control.recv_data().await {
                consume_budget().await;
            }
        };
        let _ = tokio::time::timeout(CLOSE, closing).await;
        if let Some(mut live) = self.live.take() {
            let _ = live.stop(super::streams::SESSION_GONE);
        }
        if self.sessions.close(self.id) {
            // Browsers would leave the connection open.
            self.connection.close(H3_NO_ERROR, b"");
        }
    }

    async fn event(&mut self, reading: Reading) -> Event {
        let Self { control, inbox, live, outlet, .. } = self;
        let may_read = reading == Reading::On;
        let reads = may_read && !outlet.is_far_behind();
        let blocked = outlet.is_blocked();
        tokio::select! {
            data = control.recv_data() => {
                Event::Control(data.ok().flatten().map(|mut data| data.copy_to_bytes(data.remaining())))
            }
            stream = inbox.next() => Event::Stream(stream),
            chunk = read(live), if reads && live.is_some() => Event::Live(chunk),
            () = poll_fn(|context| outlet.poll_flush(context)), if blocked => Event::Other,
            () = outlet.woken() => Event::Other,
            () = held(reading), if !may_read => Event::Other,
        }
    }

    fn decode(&mut self) -> Option<Incoming> {
        match self.decoder.next().and_then(|bytes| bytes.map(frame::client_frame).transpose()) {
            Ok(Some(frame)) => Some(Incoming::Frame(frame)),
            Ok(None) if self.idle => None,
            Ok(None) => {
                self.idle = true;
                Some(Incoming::Idle(self.decoder.is_partial()))
            }
            Err(error) => Some(Incoming::Broken(close_code(error))),
        }
    }

    /// The first bidirectional stream is the live one, further ones are for calls; unidirectional ones
    /// have no use.
    fn stream(&mut self, stream: Stream) -> Option<Incoming> {
        match stream {
            Stream { recv, send: Some(send) } if self.live.is_none() => {
                let _ = send.set_priority(LIVE_PRIORITY);
                self.live = Some(recv);
                self.outlet.set_stream(send);
                None
            }
            Stream { recv, send: Some(send) } => {
                let low = self.low.clone();
                Some(Incoming::CallStream(CallStream { recv, send, low }))
            }
            stream @ Stream { send: None, .. } => {
                stream.reset(capsule::http_code(CloseCode::ProtocolError));
                None
            }
        }
    }
}

async fn read(live: &mut Option<quinn::RecvStream>) -> Option<Bytes> {
    let chunk = live.as_mut()?.read_chunk(MAX_CHUNK, true).await;
    chunk.ok().flatten().map(|chunk| chunk.bytes)
}

fn quic_id(control: &H3Stream) -> u64 {
    control.id().into_inner()
}

/// Whether our sub-protocol is among those that the client names: a list of quoted strings (RFC 9651
/// section 3.1).
fn offers_protocol(headers: &HeaderMap) -> bool {
    headers
        .get_all("wt-available-protocols")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim().trim_matches('"') == PROTOCOL)
}

/// Where WebTransport is.
const PATH: &str = "/wt";
const PROTOCOL: &str = "gogochat.v1.proto";
/// On one QUIC connection.
const MAX_SESSIONS: usize = 4;
/// Above everything else on the connection: a page of history never delays a message.
const LIVE_PRIORITY: i32 = 10;
const MAX_CHUNK: usize = 16 * 1024;
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);
/// H3_NO_ERROR (RFC 9114 section 8.1).
const H3_NO_ERROR: quinn::VarInt = quinn::VarInt::from_u32(0x100);
