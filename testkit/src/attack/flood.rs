//! Floods over a WebSocket in clear: pings, typing, calls. As cheap as they can be for the attacker:
//! bytes are made once, and of what comes back frames are counted and nothing else.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gogochat_proto::{
    frame,
    limits::MAX_CALLS_IN_FLIGHT,
    v1::{self, client_frame, server_frame},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
};

/// A client that floods. Its figures grow while one of its floods runs; a flood ends when the server
/// closes, or when its future is dropped.
#[derive(Debug, Clone, Default)]
pub struct Flood(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    answered: AtomicU64,
}

impl Flood {
    /// Frames that were written to the socket, whole.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// WebSocket messages and control frames that came from the server.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.0.answered.load(Ordering::Relaxed)
    }

    /// Keeps the socket full of empty pings (RFC 6455 section 5.5.2). `address` is one where the server
    /// takes WebSockets in clear; without a `token` Hello is never said, which the server ends after 5 s.
    ///
    /// # Errors
    /// The server takes no WebSocket there, or refuses the token.
    pub async fn pings(&self, address: SocketAddr, token: Option<&str>) -> io::Result<()> {
        let mut socket = open(address).await?;
        if let Some(token) = token {
            hello(&mut socket, token).await?;
        }
        self.repeat(socket, &message(PING, &[])).await;
        Ok(())
    }

    /// Says without end that the user types in a conversation of theirs.
    ///
    /// # Errors
    /// As of [`Self::pings`].
    pub async fn typing(&self, address: SocketAddr, token: &str, conversation: &str) -> io::Result<()> {
        let mut socket = open(address).await?;
        hello(&mut socket, token).await?;
        let kind = Some(v1::ephemeral::Kind::Typing(v1::Typing::default()));
        let conversation_id = conversation.to_owned();
        let typing = v1::Ephemeral { conversation_id, user_id: String::new(), kind };
        self.repeat(socket, &binary(client_frame::Frame::Ephemeral(typing))).await;
        Ok(())
    }

    /// Calls a method without end, with as many calls waiting as one session may have. `key`: the
    /// conversation's id, where the method has one; `body`: of the n-th call.
    ///
    /// # Errors
    /// As of [`Self::pings`].
    pub async fn calls(
        &self,
        address: SocketAddr,
        token: &str,
        method: &str,
        key: &str,
        body: impl Fn(u32) -> Vec<u8>,
    ) -> io::Result<()> {
        let mut socket = open(address).await?;
        hello(&mut socket, token).await?;
        let (read, mut write) = socket.into_split();
        let places = Semaphore::new(MAX_CALLS_IN_FLIGHT);
        let calling = async {
            for id in 0.. {
                let Ok(place) = places.acquire().await else { return };
                place.forget();
                let call = v1::Call { id, method: method.to_owned(), key: key.to_owned(), body: body(id).into() };
                if write.write_all(&binary(client_frame::Frame::Call(call))).await.is_err() {
                    return;
                }
                self.0.sent.fetch_add(1, Ordering::Relaxed);
            }
        };
        tokio::select! {
            () = calling => {}
            () = self.count(read, |frames| places.add_permits(frames)) => {}
        }
        Ok(())
    }

    /// Posts to a path by HTTP/1.1 without end, and does not wait for answers, which it reads. `body`: of
    /// the n-th request.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn posts(&self, address: SocketAddr, path: &str, body: impl Fn(u64) -> String) -> io::Result<()> {
        let (mut read, mut write) = TcpStream::connect(address).await?.into_split();
        let posting = async {
            for n in 0.. {
                let body = body(n);
                let length = body.len();
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
                );
                if write.write_all([head, body].concat().as_bytes()).await.is_err() {
                    return;
                }
                self.0.sent.fetch_add(1, Ordering::Relaxed);
            }
        };
        let reading = async {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(size @ 1..) = read.read(&mut buffer).await {
                let heads = buffer.get(..size).unwrap_or_default().windows(8).filter(|bytes| bytes == b"HTTP/1.1");
                self.0.answered.fetch_add(heads.count() as u64, Ordering::Relaxed);
            }
        };
        tokio::select! {
            () = posting => {}
            () = reading => {}
        }
        Ok(())
    }

    async fn repeat(&self, socket: TcpStream, message: &[u8]) {
        let (read, write) = socket.into_split();
        tokio::select! {
            () = self.write(write, message) => {}
            () = self.count(read, |_| {}) => {}
        }
    }

    async fn write(&self, mut write: OwnedWriteHalf, message: &[u8]) {
        let many = message.repeat(MANY);
        while write.write_all(&many).await.is_ok() {
            self.0.sent.fetch_add(MANY as u64, Ordering::Relaxed);
        }
    }

    async fn count(&self, mut read: OwnedReadHalf, mut counted: impl FnMut(usize)) {
        let (mut buffer, mut bytes) = (vec![0; 64 * 1024], Vec::new());
        while let Ok(size @ 1..) = read.read(&mut buffer).await {
            bytes.extend_from_slice(buffer.get(..size).unwrap_or_default());
            let (mut frames, mut place) = (0, 0);
            while let Some((_, payload, end)) = split(bytes.get(place..).unwrap_or_default()) {
                // A reply has a name of its own; other frames make no place for a call.
                frames += usize::from(!payload.is_empty());
                place += end;
                self.0.answered.fetch_add(1, Ordering::Relaxed);
            }
            bytes.drain(..place);
            counted(frames);
        }
    }
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address).await?;
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: gogochat.v1.proto\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let switches = head.starts_with(b"HTTP/1.1 101");
    switches.then_some(socket).ok_or_else(|| io::Error::other(String::from_utf8_lossy(&head).into_owned()))
}

/// Says Hello, and waits for Welcome.
async fn hello(socket: &mut (impl AsyncRead + AsyncWrite + Unpin), token: &str) -> io::Result<()> {
    let hello = v1::Hello { access_token: token.to_owned(), client: "flood/1".to_owned(), ..Default::default() };
    socket.write_all(&binary(client_frame::Frame::Hello(hello))).await?;
    let mut bytes = Vec::new();
    let payload = loop {
        bytes.push(socket.read_u8().await?);
        if let Some((_, payload, _)) = split(&bytes) {
            break payload.to_vec();
        }
    };
    let mut decoder = frame::Decoder::default();
    decoder.push(&payload);
    let frame = decoder.next().ok().flatten().and_then(|bytes| frame::server_frame(bytes).ok().flatten());
    match frame {
        Some(server_frame::Frame::Welcome(_)) => Ok(()),
        other => Err(io::Error::other(format!("no Welcome: {other:?}"))),
    }
}

fn binary(frame: client_frame::Frame) -> Vec<u8> {
    message(BINARY, &frame::encode(&v1::ClientFrame::from(frame)))
}

/// A whole message, masked with zeros (RFC 6455 section 5.2).
fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![FIN | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..126), _) => bytes.push(MASKED | short),
        (_, Ok(medium)) => {
            bytes.push(MASKED | 126);
            bytes.extend(medium.to_be_bytes());
        }
        _ => {
            bytes.push(MASKED | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// The first frame of a server: its opcode, its payload, and where it ends.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (opcode, short) = (bytes.first()? & 0x0f, usize::from(*bytes.get(1)?));
    let (length, header) = match short {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        short => (short, 2),
    };
    Some((opcode, bytes.get(header..header + length)?, header + length))
}

/// Messages in one write.
const MANY: usize = 1_000;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const BINARY: u8 = 2;
const PING: u8 = 9;
