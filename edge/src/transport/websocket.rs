//! A WebSocket after its handshake, on the bare socket.

use std::{cell::RefCell, collections::VecDeque, future::poll_fn, io, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    frame::{self, FrameError},
    json,
    v1::client_frame,
};
use tokio::{io::Interest, net::TcpStream, task::coop::consume_budget};

use super::{
    incoming::{Incoming, close_code, held},
    outlet::{Outlet, Pipe, Tcp},
    rfc6455::{Decoder, Message},
};
use crate::{
    config::Limits,
    door::Kept,
    session::{
        Reading,
        queue::Class,
        wire::{self, Format},
    },
};

/// A client over WebSocket.
pub(crate) struct WebSocket {
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
    _kept: Kept,
}

impl WebSocket {
    /// Takes over a socket, its TLS state, and bytes that were read already.
    pub(crate) fn new(
        tcp: TcpStream,
        tls: Option<Box<rustls::ServerConnection>>,
        early: &[u8],
        format: Format,
        address: IpAddr,
        kept: Kept,
        limits: Limits,
    ) -> Self {
        let tcp = Arc::new(tcp);
        let is_tls = tls.is_some();
        let pipe = match tls {
            Some(tls) => Pipe::Tls(Tcp::new(tcp.clone()), tls),
            None => Pipe::Tcp(Tcp::new(tcp.clone())),
        };
        let mut decoder = Decoder::default();
        decoder.push(early);
        let mut socket = Self {
            tcp,
            tls: is_tls,
            address,
            format,
            outlet: Outlet::new(format, pipe, limits),
            decoder,
            frames: VecDeque::new(),
            idle: false,
            closed: false,
            _kept: kept,
        };
        // TLS may hold what came together with the handshake's last bytes, of which the socket tells
        // nothing any more.
        socket.read();
        socket
    }

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
    pub(crate) async fn next(&mut self, reading: Reading) -> Incoming {
        let may_read = reading == Reading::On;
        loop {
            if let Some(code) = self.outlet.ending() {
                return Incoming::Ended(code);
            }
            if self.outlet.is_broken() {
                return Incoming::Gone;
            }
            if may_read {
                match self.decode() {
                    Ok(Some(incoming)) => return incoming,
                    Ok(None) => {}
                    Err(code) => return Incoming::Broken(code),
                }
            }
            let reads = may_read && !self.outlet.is_far_behind();
            let blocked = self.outlet.is_blocked();
            tokio::select! {
                ready = self.tcp.readable(), if reads => {
                    if ready.is_err() || !self.read() {
                        return Incoming::Gone;
                    }
                }
                _ = self.tcp.writable(), if blocked => {
                    let _ = poll_fn(|context| std::task::Poll::Ready(self.outlet.poll_flush(context))).await;
                }
                () = self.outlet.woken() => if !may_read { return Incoming::Held },
                () = held(reading), if !may_read => return Incoming::Held,
            }
        }
    }

    /// Sends what waits, closes, and waits for the other side to close too: a socket that is closed with
    /// unread bytes is reset, and the client would not see the last frames.
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
                consume_budget().await;
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
                    self.decoder.take_large();
                    let text = std::str::from_utf8(&text).map_err(|_| CloseCode::ProtocolError)?;
                    match json::client_frame_from_json(text) {
                        Ok(frame) => self.frames.push_back(frame),
                        Err(json::JsonError::Call { id, error }) => return Ok(Some(Incoming::Unreadable(id, error))),
                        Err(json::JsonError::TooLarge(_)) => return Err(CloseCode::FrameTooLarge),
                        Err(json::JsonError::Malformed(_)) => return Err(CloseCode::ProtocolError),
                    }
                }
                Some(Message::Ping(payload)) => {
                    self.outlet.push(wire::control(wire::PONG, &payload), Class::Control);
                    return Ok(Some(Incoming::Control));
                }
                Some(Message::Pong | Message::Fragment) => return Ok(Some(Incoming::Control)),
                Some(Message::Close(payload)) => {
                    self.outlet.answer_close(wire::control(wire::CLOSE, &payload));
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

/// Reads what is there. A buffer that is not filled shows that nothing is left, which saves asking the
/// kernel once more.
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

thread_local! {
    /// One for all connections of a thread: reading never waits while it is in use.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 16 * 1024].into());
}
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
