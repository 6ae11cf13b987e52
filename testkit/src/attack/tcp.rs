//! Connections over TCP that begin, and then wait for the server to end them.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{http2::Http2, tls};

/// What a connection says before it says nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Nothing, or these bytes: half a request, half a preface of HTTP/2.
    Clear(&'static [u8]),
    /// The same after a TLS handshake in which this protocol was offered (ALPN): `None` offers none.
    Tls(Option<&'static str>, &'static [u8]),
    /// These bytes, and then one more every second.
    Drip(&'static [u8]),
    /// The same over TLS.
    TlsDrip(&'static [u8]),
    /// HTTP/2 in clear that asks nothing, and answers each PING.
    Pings,
    /// The same over TLS.
    TlsPings,
}

/// The openings that an address in clear has to bear.
pub const CLEAR: [Opening; 7] = [
    Opening::Clear(b""),
    Opening::Clear(b"PRI * HT"),
    Opening::Clear(b"GET / HTTP/1.1\r\nhost: "),
    Opening::Clear(WEBSOCKET),
    Opening::Drip(HEADER),
    Opening::Drip(BODY),
    Opening::Pings,
];

/// The openings that an address with TLS has to bear.
pub const TLS: [Opening; 10] = [
    Opening::Clear(b""),
    // The header of a record, and of the ClientHello in it.
    Opening::Clear(&[0x16, 3, 1, 2, 0, 1]),
    Opening::Tls(None, b""),
    Opening::Tls(Some("http/1.1"), b""),
    Opening::Tls(Some("h2"), b""),
    Opening::Tls(Some("h2"), b"PRI * HT"),
    Opening::Tls(Some("http/1.1"), WEBSOCKET),
    Opening::TlsDrip(HEADER),
    Opening::TlsDrip(BODY),
    Opening::TlsPings,
];

/// The openings that a gRPC server has to bear.
pub const GRPC: [Opening; 3] = [Opening::Clear(b""), Opening::Clear(b"PRI * HT"), Opening::Pings];

/// Connections that are open.
#[derive(Debug, Default)]
pub struct Crowd {
    waiting: JoinSet<Duration>,
}

impl Crowd {
    /// Opens `count` connections, from these addresses of this machine by turns; from any if there
    /// are none.
    ///
    /// # Errors
    /// There are not enough ports or descriptors here. A server that ends a connection
    /// while it is opened is no error.
    pub async fn open(
        &mut self,
        address: SocketAddr,
        opening: Opening,
        count: usize,
        from: &[Ipv4Addr],
    ) -> anyhow::Result<()> {
        for n in 0..count {
            let source = (!from.is_empty()).then(|| from.get(n % from.len()).copied()).flatten();
            let tcp = connect(address, source, None).await.with_context(|| format!("connection {n}"))?;
            let begin = Instant::now();
            self.waiting.spawn(async move {
                // However it ends.
                let _ = hold(tcp, opening).await;
                begin.elapsed()
            });
        }
        Ok(())
    }

    /// How many the server has not ended.
    pub fn left(&mut self) -> usize {
        while self.waiting.try_join_next().is_some() {}
        self.waiting.len()
    }

    /// Waits until the server has ended all of them: how long the one that lasted longest has.
    ///
    /// # Errors
    /// Some are left after `limit`.
    pub async fn gone(&mut self, limit: Duration) -> anyhow::Result<Duration> {
        let mut longest = Duration::ZERO;
        let all = async {
            while let Some(lasted) = self.waiting.join_next().await {
                longest = longest.max(lasted.unwrap_or_default());
            }
        };
        if timeout(limit, all).await.is_err() {
            bail!("{} connections are left after {limit:?}", self.left());
        }
        Ok(longest)
    }
}

/// A connection. `window`: the most bytes that its socket takes without being read.
///
/// # Errors
/// There is no port, or nobody listens.
pub async fn connect(address: SocketAddr, from: Option<Ipv4Addr>, window: Option<u32>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(window) = window {
        socket.set_recv_buffer_size(window)?;
    }
    if let Some(from) = from {
        socket.bind((from, 0).into())?;
    }
    socket.connect(address).await
}

async fn hold(mut tcp: TcpStream, opening: Opening) -> io::Result<()> {
    match opening {
        Opening::Clear(bytes) => {
            tcp.write_all(bytes).await?;
            until_end(&mut tcp).await
        }
        Opening::Tls(protocol, bytes) => {
            let mut tls = tls::shake_hands(tcp, protocol).await?;
            tls.write_all(bytes).await?;
            tls.flush().await?;
            until_end(&mut tls).await
        }
        Opening::Drip(bytes) => {
            tcp.write_all(bytes).await?;
            drip(&mut tcp).await
        }
        Opening::TlsDrip(bytes) => {
            let mut tls = tls::shake_hands(tcp, Some("http/1.1")).await?;
            tls.write_all(bytes).await?;
            drip(&mut tls).await
        }
        Opening::Pings => Http2::begin(tcp, WINDOW).await?.until_end().await,
        Opening::TlsPings => Http2::begin(tls::shake_hands(tcp, Some("h2")).await?, WINDOW).await?.until_end().await,
    }
}

/// Reads, and says nothing, until the server ends the connection.
///
/// # Errors
/// It was reset.
pub async fn until_end(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut scratch = [0; 1024];
    while io.read(&mut scratch).await? > 0 {}
    Ok(())
}

/// Sends a byte every second, until the server ends the connection.
async fn drip(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let mut scratch = [0; 1024];
    loop {
        tokio::select! {
            read = io.read(&mut scratch) => if read? == 0 { return Ok(()) },
            _ = every.tick() => {
                io.write_all(b"x").await?;
                io.flush().await?;
            }
        }
    }
}

/// Asks for `path` by HTTP/1.1 again and again, and reads nothing, until the server takes nothing
/// more or ends the connection; then waits for the end without a word.
///
/// # Errors
/// The connection could not be made.
pub async fn never_read(address: SocketAddr, path: &str, token: &str, asks: usize) -> io::Result<TcpStream> {
    let mut tcp = connect(address, None, Some(4 * 1024)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
    for _ in 0..asks {
        match timeout(Duration::from_millis(200), tcp.write_all(request.as_bytes())).await {
            Ok(Ok(())) => {}
            _ => break,
        }
    }
    Ok(tcp)
}

/// A header that is not whole.
const HEADER: &[u8] = b"GET / HTTP/1.1\r\nhost: ";
/// A request whose body is not whole.
const BODY: &[u8] = b"POST /v1/accounts HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000\r\n\r\n";
/// A WebSocket without a Hello.
const WEBSOCKET: &[u8] = b"GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-protocol: gogochat.v1.json\r\n\r\n";
/// What HTTP/2 begins with unless it is said (RFC 9113 section 6.9.2).
const WINDOW: u32 = 65_535;
