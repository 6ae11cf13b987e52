//! WebSocket: the handshake over hyper (RFC 6455 section 4), and the connection after it, on the bare socket.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    frame::{self, FrameError},
    json,
    v1::client_frame,
};
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade::downcast};
use tokio::{io::Interest, net::TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{
    Incoming, PAUSE_READING, close_code,
    outlet::{Outlet, Pipe},
    rfc6455::{Decoder, Message},
};
use crate::{
    config::Limits,
    session::{
        queue::Class,
        wire::{self, Format},
    },
};

/// A client over WebSocket.
pub(crate) struct WebSocketLink {
    tcp: Arc<TcpStream>,
    tls: bool,
    address: IpAddr,
    format: Format,
    outlet: Arc<Outlet>,
    decoder: Decoder,
    /// Frames of a message that are not given yet.
    frames: VecDeque<client_frame::Frame>,
    /// What was read ends; nothing more is to be decoded.
    idle: bool,
    closed: bool,
}

/// A handshake that was accepted: the link is there once the response has gone out.
pub(crate) struct Accepted {
    upgrade: OnUpgrade,
    format: Format,
}

/// Checks a request for a WebSocket.
///
/// # Errors
/// The response that refuses it.
pub(crate) fn accept(
    mut request: Request<Body>,
    allowed_origins: &[String],
) -> Result<(Response<Body>, Accepted), Box<Response<Body>>> {
    let headers = request.headers();
    if !origin_allowed(headers, allowed_origins) {
        return Err(refuse(StatusCode::FORBIDDEN, "this origin may not connect"));
    }
    let has = |name, token: &str| tokens(headers, name).any(|t| t.eq_ignore_ascii_case(token));
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|v| v == "13");
    if request.method() != http::Method::GET
        || !has(header::CONNECTION, "upgrade")
        || !has(header::UPGRADE, "websocket")
    {
        return Err(refuse(StatusCode::UPGRADE_REQUIRED, "a WebSocket handshake is wanted here (RFC 6455)"));
    }
    if !version {
        let mut response = refuse(StatusCode::UPGRADE_REQUIRED, "version 13 is wanted");
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, http::HeaderValue::from_static("13"));
        return Err(response);
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_LENGTH) else {
        return Err(refuse(StatusCode::BAD_REQUEST, "the key is missing or no key"));
    };
    let Some((protocol, format)) = tokens(headers, header::SEC_WEBSOCKET_PROTOCOL)
        .find_map(|token| PROTOCOLS.into_iter().find(|(name, _)| *name == token))
    else {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "the sub-protocol has to be gogochat.v1.proto or gogochat.v1.json",
        ));
    };
    let accept = derive_accept_key(key.as_bytes());
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(refuse(StatusCode::UPGRADE_REQUIRED, "this connection cannot be upgraded"));
    };
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .header(header::SEC_WEBSOCKET_PROTOCOL, protocol)
        .body(Body::empty())
        .map_err(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR, "no response"))?;
    Ok((response, Accepted { upgrade, format }))
}

/// Whether a request comes from a page that may connect. One without Origin comes from no page.
pub(crate) fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| allowed.iter().any(|a| a.as_bytes() == origin.as_bytes()))
}

impl Accepted {
    /// Waits for the bare socket.
    ///
    /// # Errors
    /// The client has gone, or the connection is not ours.
    pub(crate) async fn link(self, address: SocketAddr, limits: Limits) -> io::Result<WebSocketLink> {
        let upgraded = self.upgrade.await.map_err(io::Error::other)?;
        let (tcp, tls, early) = take_apart(upgraded)?;
        let tcp = Arc::new(tcp);
        let is_tls = tls.is_some();
        let pipe = match tls {
            Some(tls) => Pipe::Tls(tcp.clone(), tls),
            None => Pipe::Tcp(tcp.clone()),
        };
        let mut decoder = Decoder::default();
        decoder.push(&early);
        let mut link = WebSocketLink {
            tcp,
            tls: is_tls,
            address: address.ip().to_canonical(),
            format: self.format,
            outlet: Outlet::new(self.format, pipe, limits),
            decoder,
            frames: VecDeque::new(),
            idle: false,
            closed: false,
        };
        // TLS may hold what came together with the handshake's last bytes, of which the socket tells nothing any more.
        link.read();
        Ok(link)
    }
}

impl WebSocketLink {
    /// The way out.
    pub(crate) fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    /// "ws" or "wss".
    pub(crate) fn kind(&self) -> &'static str {
        if self.tls { "wss" } else { "ws" }
    }

    /// The client's address.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// The next of what comes.
    pub(crate) async fn next(&mut self, hold: bool) -> Incoming {
        loop {
            if let Some(code) = self.outlet.ending() {
                return Incoming::Ended(code);
            }
            if self.outlet.is_broken() {
                return Incoming::Gone;
            }
            if !hold {
                match self.decode() {
                    Ok(Some(incoming)) => return incoming,
                    Ok(None) => {}
                    Err(code) => return Incoming::Broken(code),
                }
            }
            let reading = !hold && self.outlet.backlog(Instant::now()).bytes < PAUSE_READING;
            let blocked = self.outlet.is_blocked();
            tokio::select! {
                ready = self.tcp.readable(), if reading => {
                    if ready.is_err() || !self.read() {
                        return Incoming::Gone;
                    }
                }
                _ = self.tcp.writable(), if blocked => {
                    let _ = poll_fn(|context| std::task::Poll::Ready(self.outlet.poll_flush(context))).await;
                }
                () = self.outlet.woken() => if hold { return Incoming::Idle(false) },
            }
        }
    }

    /// Sends what waits, closes, and waits for the other side to close too: a socket that is closed with unread bytes is reset, and the client would not see
    /// the last frames.
    pub(crate) async fn finish(mut self, code: Option<CloseCode>) {
        if let Some(code) = code {
            self.outlet.close(code);
        }
        let closing = async {
            while !self.outlet.is_flushed() {
                if self.tcp.writable().await.is_err() {
                    return;
                }
                let _ = poll_fn(|context| std::task::Poll::Ready(self.outlet.poll_flush(context))).await;
            }
            self.outlet.with_tls(|_, tls| tls.send_close_notify());
            let _ = socket2::SockRef::from(&*self.tcp).shutdown(std::net::Shutdown::Write);
            while !self.closed {
                if self.tcp.readable().await.is_err() || !self.discard() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }

    fn decode(&mut self) -> Result<Option<Incoming>, CloseCode> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(Some(Incoming::Frame(frame)));
            }
            match self.decoder.next()? {
                Some(Message::Binary(bytes)) if self.format == Format::Binary => self.frames = split(&bytes)?,
                Some(Message::Text(text)) if self.format == Format::Text => {
                    let text = std::str::from_utf8(&text).map_err(|_| CloseCode::ProtocolError)?;
                    let frame = json::client_frame_from_json(text).map_err(|error| match error {
                        json::JsonError::TooLarge(_) => CloseCode::FrameTooLarge,
                        _ => CloseCode::ProtocolError,
                    })?;
                    self.frames.push_back(frame);
                }
                Some(Message::Ping(payload)) => {
                    self.outlet.push(wire::control(wire::PONG, &payload), Class::Control);
                }
                Some(Message::Pong) => {}
                Some(Message::Close) => {
                    self.closed = true;
                    return Ok(Some(Incoming::Gone));
                }
                Some(Message::Binary(_) | Message::Text(_)) => return Err(CloseCode::ProtocolError),
                None if self.idle => return Ok(None),
                None => {
                    self.idle = true;
                    return Ok(Some(Incoming::Idle(self.decoder.is_partial())));
                }
            }
        }
    }

    /// Reads what the socket has, up to the scratch buffer's size; `false` at its end.
    fn read(&mut self) -> bool {
        self.idle = false;
        let Self { tcp, outlet, decoder, tls, .. } = self;
        SCRATCH.with_borrow_mut(|scratch| {
            if *tls {
                outlet.with_tls(|tcp, tls| read_tls(tcp, tls, scratch, |bytes| decoder.push(bytes))).unwrap_or(false)
            } else {
                match try_read(tcp, scratch) {
                    Ok(0) => false,
                    Ok(n) => {
                        decoder.push(scratch.get(..n).unwrap_or_default());
                        true
                    }
                    Err(error) => error.kind() == io::ErrorKind::WouldBlock,
                }
            }
        })
    }

    fn discard(&mut self) -> bool {
        SCRATCH.with_borrow_mut(|scratch| match try_read(&self.tcp, scratch) {
            Ok(n) => n > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        })
    }
}

/// The bare socket under an upgraded connection, its TLS state, and bytes that were read already.
fn take_apart(upgraded: Upgraded) -> io::Result<(TcpStream, Option<Box<rustls::ServerConnection>>, Bytes)> {
    match downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => Ok((parts.io.into_inner(), None, parts.read_buf)),
        Err(upgraded) => match downcast::<TokioIo<TlsStream<TcpStream>>>(upgraded) {
            Ok(parts) => {
                let (tcp, tls) = parts.io.into_inner().into_inner();
                Ok((tcp, Some(Box::new(tls)), parts.read_buf))
            }
            Err(_) => Err(io::Error::other("an upgraded connection of an unknown kind")),
        },
    }
}

fn read_tls(
    tcp: &TcpStream,
    tls: &mut rustls::ServerConnection,
    scratch: &mut [u8],
    mut push: impl FnMut(&[u8]),
) -> bool {
    // Decrypted bytes first: rustls takes no more ciphertext while they wait.
    let mut open = match tls.read_tls(&mut TryRead(tcp)) {
        Ok(0) => false,
        Ok(_) => tls.process_new_packets().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    };
    loop {
        match io::Read::read(&mut tls.reader(), scratch) {
            Ok(0) => {
                open = false;
                break;
            }
            Ok(n) => push(scratch.get(..n).unwrap_or_default()),
            Err(_) => break,
        }
    }
    open
}

/// A socket that says WouldBlock instead of waiting.
struct TryRead<'a>(&'a TcpStream);

impl io::Read for TryRead<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        try_read(self.0, bytes)
    }
}

/// Reads what is there. A buffer that is not filled shows that nothing is left, which saves asking the kernel once more.
fn try_read(tcp: &TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
    let mut read = None;
    let result = tcp.try_io(Interest::READABLE, || {
        let n = io::Read::read(&mut &*socket2::SockRef::from(tcp), bytes)?;
        read = Some(n);
        // To tokio this says that it has to wait for the next event; one that comes meanwhile is not lost.
        if n > 0 && n < bytes.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match read {
        Some(n) => Ok(n),
        None => result.map(|()| 0),
    }
}

/// The frames of a binary message.
fn split(bytes: &Bytes) -> Result<VecDeque<client_frame::Frame>, CloseCode> {
    let mut decoder = frame::Decoder::default();
    decoder.push(bytes);
    let mut frames = VecDeque::with_capacity(1);
    while let Some(frame) = decoder.next().map_err(close_code)? {
        frames.push_back(frame::client_frame(frame).map_err(close_code)?);
    }
    if decoder.is_partial() || frames.is_empty() {
        return Err(close_code(FrameError::Malformed));
    }
    Ok(frames)
}

/// The members of a comma-separated header.
fn tokens(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim)
}

fn refuse(status: StatusCode, why: &'static str) -> Box<Response<Body>> {
    let mut response = Response::new(Body::from(why));
    *response.status_mut() = status;
    Box::new(response)
}

thread_local! {
    /// One for all connections of a thread: reading never waits while it is in use.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 16 * 1024].into());
}

const PROTOCOLS: [(&str, Format); 2] = [("gogochat.v1.proto", Format::Binary), ("gogochat.v1.json", Format::Text)];
/// 16 bytes in base64.
const KEY_LENGTH: usize = 24;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
