//! The sockets: TCP in clear, TCP with TLS and QUIC.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use h3::server::RequestResolver;
use quinn::{
    Endpoint, EndpointConfig, TokioRuntime, TransportConfig, ValidationTokenConfig, VarInt,
    crypto::rustls::QuicServerConfig,
};
use rustls::{CipherSuite, ServerConfig};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{EdgeConfig, Limits},
    connection::Hub,
    metrics as names,
    routes::Shared,
    transport::{
        Link,
        h3_backend::Backend,
        http::{self, HEADER_TIMEOUT, MAX_HEADERS},
        streams::Sessions,
        webtransport,
    },
};

/// The sockets, bound and not yet served.
pub(crate) struct Sockets {
    /// TCP in clear.
    pub(crate) http: Vec<TcpListener>,
    /// TCP with TLS.
    pub(crate) tls: Vec<TcpListener>,
    /// QUIC.
    pub(crate) quic: Vec<Endpoint>,
    acceptor: TlsAcceptor,
}

/// An edge could not begin.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Sockets {
    /// Binds every address. Port 0 is any free one, the same for TCP and UDP.
    pub(crate) fn bind(config: &EdgeConfig) -> Result<Self, BindError> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(config, &[b"h2", b"http/1.1"])?));
        let quic = quic(config)?;
        let mut sockets = Self { http: Vec::new(), tls: Vec::new(), quic: Vec::new(), acceptor };
        for address in &config.http {
            sockets.http.push(tcp(*address).map_err(|error| BindError::Listen { address: *address, error })?);
        }
        for address in &config.edge {
            let (tls, endpoint) =
                both(*address, &quic).map_err(|error| BindError::Listen { address: *address, error })?;
            sockets.tls.push(tls);
            sockets.quic.push(endpoint);
        }
        Ok(sockets)
    }

    /// The addresses that clear HTTP is on.
    pub(crate) fn http_addresses(&self) -> Vec<SocketAddr> {
        self.http.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The addresses that TLS and QUIC are on.
    pub(crate) fn edge_addresses(&self) -> Vec<SocketAddr> {
        self.tls.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves every socket until `stop`.
    pub(crate) fn serve(self, shared: &Arc<Shared>, router: &Router, stop: &CancellationToken) -> Vec<Endpoint> {
        let tasks = &shared.hub.tasks;
        // Handshakes cost the most: so many at once, others wait to be accepted.
        let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        for listener in self.http {
            tasks.spawn(accept_tcp(
                listener,
                None,
                router.clone(),
                shared.hub.clone(),
                handshakes.clone(),
                stop.clone(),
            ));
        }
        for listener in self.tls {
            let port = listener.local_addr().map_or(0, |address| address.port());
            let secure = advertise(router.clone(), port);
            let acceptor = Some(self.acceptor.clone());
            tasks.spawn(accept_tcp(listener, acceptor, secure, shared.hub.clone(), handshakes.clone(), stop.clone()));
        }
        for endpoint in &self.quic {
            tasks.spawn(accept_quic(endpoint.clone(), shared.clone(), router.clone(), stop.clone()));
        }
        self.quic
    }
}

async fn accept_tcp(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    hub: Arc<Hub>,
    handshakes: Arc<Semaphore>,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (tcp, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors: what is open goes on.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small frames must not wait for each other's acknowledgement.
        if tcp.set_nodelay(true).is_err() {
            continue;
        }
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let (router, acceptor, stop) = (router.clone(), acceptor.clone(), stop.clone());
        hub.tasks.spawn(async move {
            let result = match acceptor {
                Some(acceptor) => match tokio::time::timeout(HEADER_TIMEOUT, acceptor.accept(tcp)).await {
                    Ok(Ok(tls)) => {
                        drop(permit);
                        http::serve(tls, address, router, stop).await
                    }
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err("the TLS handshake took too long".into()),
                },
                None => {
                    drop(permit);
                    http::serve(tcp, address, router, stop).await
                }
            };
            if let Err(error) = result {
                tracing::debug!(%address, error, "an HTTP connection ended");
            }
        });
    }
}

async fn accept_quic(endpoint: Endpoint, shared: Arc<Shared>, router: Router, stop: CancellationToken) {
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = stop.cancelled() => return,
        };
        let Some(incoming) = incoming else { return };
        let (shared, router) = (shared.clone(), router.clone());
        shared.hub.tasks.clone().spawn(async move {
            match tokio::time::timeout(HEADER_TIMEOUT, incoming).await {
                // In a task of its own: what the handshake took is freed.
                Ok(Ok(connection)) => {
                    let tasks = shared.hub.tasks.clone();
                    tasks.spawn(serve_quic(connection, shared, router));
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a QUIC handshake failed");
                    metrics::counter!(names::REFUSED, "transport" => "quic", "reason" => "handshake").increment(1);
                }
                Err(_) => {
                    metrics::counter!(names::REFUSED, "transport" => "quic", "reason" => "timeout").increment(1);
                }
            }
        });
    }
}

/// Serves a QUIC connection: WebTransport sessions and HTTP/3 requests, until it closes.
async fn serve_quic(connection: quinn::Connection, shared: Arc<Shared>, router: Router) {
    let sessions = Arc::new(Sessions::default());
    let backend = Backend::new(connection.clone(), sessions.clone());
    // Boxed, for it is needed but once.
    let Ok(mut h3) = Box::pin(begin_h3(backend)).await else { return };
    loop {
        tokio::select! {
            accepted = h3.accept() => match accepted {
                Ok(Some(resolver)) => {
                    let request = serve_request(resolver, connection.clone(), sessions.clone(), shared.clone(), router.clone());
                    shared.hub.tasks.spawn(request);
                }
                Ok(None) | Err(_) => break,
            },
            datagram = connection.read_datagram() => match datagram {
                Ok(datagram) => sessions.datagram(datagram),
                Err(_) => break,
            },
        }
    }
}

async fn begin_h3(backend: Backend) -> Result<H3Connection, h3::error::ConnectionError> {
    h3::server::builder()
        .max_field_section_size(MAX_HEADERS as u64)
        .send_grease(false)
        .enable_webtransport(true)
        .enable_extended_connect(true)
        .enable_datagram(true)
        .max_webtransport_sessions(1)
        .build(backend)
        .await
}

async fn serve_request(
    resolver: RequestResolver<Backend, Bytes>,
    connection: quinn::Connection,
    sessions: Arc<Sessions>,
    shared: Arc<Shared>,
    router: Router,
) {
    let resolved = tokio::time::timeout(HEADER_TIMEOUT, resolver.resolve_request()).await;
    let Ok(Ok((request, stream))) = resolved else { return };
    let address = connection.remote_address();
    if request.extensions().get::<h3::ext::Protocol>() == Some(&h3::ext::Protocol::WEB_TRANSPORT) {
        let origins = &shared.config.allowed_origins;
        let link = webtransport::accept(&request, stream, connection, sessions, origins, shared.config.limits).await;
        match link {
            Some(link) => {
                let link = Link::WebTransport(Box::new(link));
                // On its own the future is small; what it needed to get here is freed.
                shared.hub.tasks.spawn(shared.hub.clone().serve(link));
            }
            None => metrics::counter!(names::REFUSED, "transport" => "wt", "reason" => "refused").increment(1),
        }
    } else if let Err(error) = http::serve_h3(request, stream, address, router).await {
        tracing::debug!(%address, %error, "an HTTP/3 request failed");
    }
}

/// Tells clients of HTTP over TLS that HTTP/3 is on the same port (RFC 7838).
fn advertise(router: Router, port: u16) -> Router {
    let value = ::http::HeaderValue::from_str(&format!("h3=\":{port}\"; ma=86400"));
    match value {
        Ok(value) => {
            let name = ::http::header::ALT_SVC;
            router.layer(tower_http::set_header::SetResponseHeaderLayer::if_not_present(name, value))
        }
        Err(_) => router,
    }
}

fn tls(config: &EdgeConfig, protocols: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // AES-128-GCM first: SHA-256, which processors compute by themselves, makes a handshake a tenth cheaper than AES-256-GCM's SHA-384.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let mut tls = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(config.certificate.clone());
    tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    tls.ignore_client_order = true;
    // Tickets are kept by clients: no table of sessions here.
    tls.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    tls.send_tls13_tickets = 1;
    Ok(tls)
}

fn quic(config: &EdgeConfig) -> Result<quinn::ServerConfig, rustls::Error> {
    // QUIC is TLS 1.3 alone, and 0-RTT stays off: a CONNECT must not be replayed.
    let crypto = QuicServerConfig::try_from(tls(config, &[b"h3"])?)
        .map_err(|_| rustls::Error::General("TLS 1.3 has no cipher suite for QUIC's first packets".to_owned()))?;
    let mut quic = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    quic.transport_config(Arc::new(transport(&config.limits)));
    // Addresses are not validated by retry, so tokens for the next connection would be of no use.
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    quic.validation_token_config(tokens);
    quic.max_incoming(MAX_HANDSHAKES).incoming_buffer_size(64 * 1024).incoming_buffer_size_total(16 * 1024 * 1024);
    Ok(quic)
}

fn transport(limits: &Limits) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(limits.streams.into())
        .max_concurrent_uni_streams(UNI_STREAMS)
        // Probes cost each idle connection more than larger packets ever save a chat.
        .mtu_discovery_config(None)
        .stream_receive_window(STREAM_WINDOW)
        .receive_window(CONNECTION_WINDOW)
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(Some(limits.datagram_buffer))
        .datagram_send_buffer_size(limits.datagram_buffer)
        .max_idle_timeout(Some(IDLE_MS.into()));
    transport
}

fn both(address: SocketAddr, quic: &quinn::ServerConfig) -> io::Result<(TcpListener, Endpoint)> {
    let mut tries = if address.port() == 0 { 16 } else { 1 };
    loop {
        let listener = tcp(address)?;
        match udp(listener.local_addr()?) {
            Ok(socket) => {
                let runtime = Arc::new(TokioRuntime);
                let endpoint = Endpoint::new(EndpointConfig::default(), Some(quic.clone()), socket, runtime)?;
                return Ok((listener, endpoint));
            }
            // The port that was free for TCP is taken for UDP.
            Err(_) if tries > 1 => tries -= 1,
            Err(error) => return Err(error),
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted edge takes its port at once.
    socket.set_reuse_address(true)?;
    prepare(&socket, address)?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // Bursts of many clients; the kernel gives less where its limit is lower.
    let _ = socket.set_recv_buffer_size(UDP_BUFFER);
    let _ = socket.set_send_buffer_size(UDP_BUFFER);
    prepare(&socket, address)?;
    Ok(socket.into())
}

fn prepare(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if let SocketAddr::V6(v6) = address {
        // [::] takes both families: browsers try ::1 for localhost.
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))
}

type H3Connection = h3::server::Connection<Backend, Bytes>;

/// Handshakes under way at once.
const MAX_HANDSHAKES: usize = 2_048;
const BACKLOG: i32 = 4_096;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A frame of the largest size, and the next one begun.
const STREAM_WINDOW: VarInt = VarInt::from_u32(128 * 1024);
const CONNECTION_WINDOW: VarInt = VarInt::from_u32(512 * 1024);
/// Bytes of a connection that wait for the client's acknowledgement.
const SEND_WINDOW: u64 = 512 * 1024;
/// HTTP/3 itself has three; WebTransport's have no use here.
const UNI_STREAMS: VarInt = VarInt::from_u32(8);
const UDP_BUFFER: usize = 8 * 1024 * 1024;
/// Past the 45 s after which a session is dead.
const IDLE_MS: VarInt = VarInt::from_u32(60_000);
