//! What connections share: TLS settings and UDP sockets.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use quinn::{EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    ConnectError, Connection, Target, Transport, Trust,
    connection::{WebSocket, WebTransport},
    happy_eyeballs,
    stream::Stream,
    tls::Tls,
};

/// Opens connections. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Dialer {
    shared: Arc<Shared>,
}

/// How a [`Dialer`] works.
#[derive(Debug, Clone)]
pub struct DialerOptions {
    /// Which certificates are taken.
    pub trust: Trust,
    /// Whether TLS sessions are resumed. Without, each connection makes a full handshake.
    pub resume_tls: bool,
    /// UDP sockets over which WebTransport connections are spread, 1 or more: each is served by one task.
    pub sockets: usize,
    /// From dialling to an open transport.
    pub timeout: Duration,
}

struct Shared {
    tls: Tls,
    options: DialerOptions,
    quic: quinn::ClientConfig,
    /// By address family, made at first use: a socket needs a runtime.
    endpoints: Mutex<[Vec<quinn::Endpoint>; 2]>,
    next: AtomicUsize,
}

impl Default for DialerOptions {
    fn default() -> Self {
        Self { trust: Trust::System, resume_tls: true, sockets: 1, timeout: Duration::from_secs(10) }
    }
}

impl Dialer {
    /// A dialer that trusts these.
    ///
    /// # Errors
    /// [`ConnectError::Tls`]: there are no authorities to trust, or they cannot be read.
    pub fn new(trust: Trust) -> Result<Self, ConnectError> {
        Self::with(DialerOptions { trust, ..DialerOptions::default() })
    }

    /// A dialer that works like this.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(options: DialerOptions) -> Result<Self, ConnectError> {
        let tls = Tls::new(&options.trust, options.resume_tls)?;
        let mut quic = quinn::ClientConfig::new(Arc::clone(&tls.quic) as _);
        quic.transport_config(Arc::new(transport()));
        let shared =
            Shared { tls, options, quic, endpoints: Mutex::new([Vec::new(), Vec::new()]), next: AtomicUsize::new(0) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Opens a transport. Nobody is signed in on it yet: [`Connection::hello`] does that.
    ///
    /// # Errors
    /// The server cannot be reached, or takes no sessions.
    pub async fn open(&self, target: &Target, transport: Transport) -> Result<Connection, ConnectError> {
        tokio::time::timeout(self.shared.options.timeout, async {
            Ok(match transport {
                Transport::WebTransport => self.web_transport(target).await?.into(),
                Transport::WebSocket => WebSocket::open(self.stream(target).await?, target).await?.into(),
            })
        })
        .await
        .unwrap_or(Err(ConnectError::TimedOut))
    }

    async fn web_transport(&self, target: &Target) -> Result<WebTransport, ConnectError> {
        if !target.is_secure() {
            return Err(ConnectError::NotSecure);
        }
        let connect = async |address| -> Result<quinn::Connection, ConnectError> {
            let connecting = self.endpoint(address)?.connect_with(self.shared.quic.clone(), address, target.host())?;
            Ok(connecting.await?)
        };
        let connection = happy_eyeballs::first(resolve(target).await?, connect).await;
        WebTransport::open(connection.unwrap_or_else(|| Err(unknown(target)))?, target).await
    }

    /// A TCP connection, within TLS on a secure target.
    pub(crate) async fn stream(&self, target: &Target) -> Result<Stream, ConnectError> {
        let connected = happy_eyeballs::first(resolve(target).await?, TcpStream::connect).await;
        let tcp = connected.ok_or_else(|| unknown(target))??;
        // Without it, the small writes of a handshake wait for the peer's delayed acknowledgement.
        tcp.set_nodelay(true)?;
        if !target.is_secure() {
            return Ok(Box::new(tcp));
        }
        let name = rustls::pki_types::ServerName::try_from(target.host().to_owned()).map_err(|_| unknown(target))?;
        let connector = TlsConnector::from(Arc::clone(&self.shared.tls.tcp));
        Ok(Box::new(connector.connect(name, tcp).await?))
    }

    fn endpoint(&self, address: SocketAddr) -> Result<quinn::Endpoint, ConnectError> {
        let mut families = self.shared.endpoints.lock();
        let [v4, v6] = &mut *families;
        let (endpoints, local) = if address.is_ipv4() {
            (v4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
        } else {
            (v6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))
        };
        let wanted = self.shared.options.sockets.max(1);
        if endpoints.len() < wanted {
            let endpoint = bind(local)?;
            endpoints.push(endpoint.clone());
            return Ok(endpoint);
        }
        let turn = self.shared.next.fetch_add(1, Ordering::Relaxed) % wanted;
        endpoints.get(turn).cloned().ok_or_else(|| ConnectError::Unknown(address.to_string()))
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

fn unknown(target: &Target) -> ConnectError {
    ConnectError::Unknown(target.host().to_owned())
}

async fn resolve(target: &Target) -> Result<impl Iterator<Item = SocketAddr>, ConnectError> {
    Ok(tokio::net::lookup_host((target.host(), target.port())).await?)
}

fn bind(local: SocketAddr) -> std::io::Result<quinn::Endpoint> {
    let socket =
        socket2::Socket::new(socket2::Domain::for_address(local), socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    // One socket receives for many connections: with the default of 208 KiB a burst to all of them
    // is lost. Best effort.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&local.into())?;
    quinn::Endpoint::new(EndpointConfig::default(), None, socket.into(), Arc::new(quinn::TokioRuntime))
}

fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        // The server opens HTTP/3's control and QPACK streams, and none else; a slot costs memory.
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(8))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(4 * STREAM_WINDOW))
        .send_window(u64::from(4 * STREAM_WINDOW))
        // Probes cost both sides more than larger packets save a chat.
        .mtu_discovery_config(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(60_000))))
        .datagram_receive_buffer_size(Some(64 * 1024))
        .datagram_send_buffer_size(16 * 1024);
    config
}

const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;
