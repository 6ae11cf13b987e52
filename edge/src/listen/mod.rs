//! The sockets: TCP in clear, TCP with TLS and QUIC.

mod admission;
mod crypto;
mod gateways;
mod host;
mod proxy_header;
mod quic;
mod reset;
mod socket;
mod tcp;

use std::{io, net::SocketAddr, sync::Arc};

use axum::Router;
use quinn::Endpoint;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::host::ServeSession;
use self::{admission::Admission, gateways::Gateways};
use crate::config::EdgeConfig;

/// What the connections of all sockets come to.
pub(crate) struct Service<H> {
    /// Serves the sessions that come over QUIC. Those over TCP come by way of a router.
    pub(crate) host: Arc<H>,
    /// Answers requests over TLS and QUIC.
    pub(crate) secure: Router,
    /// Answers requests in clear.
    pub(crate) clear: Router,
    /// The settings.
    pub(crate) config: Arc<EdgeConfig>,
    /// Every task of connections.
    pub(crate) tasks: TaskTracker,
    /// Ends the listeners.
    pub(crate) stop: CancellationToken,
}

/// The sockets, bound and not yet served.
pub(crate) struct Sockets {
    /// TCP in clear.
    pub(crate) http: Vec<TcpListener>,
    /// TCP with TLS.
    pub(crate) tls: Vec<TcpListener>,
    /// QUIC.
    pub(crate) quic: Vec<Endpoint>,
    acceptor: Arc<ServerConfig>,
}

/// An edge could not begin.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address cannot be listened on.
    #[error("{key}: cannot listen on {address}: {error}")]
    Listen {
        /// The key of the configuration that has the address.
        key: &'static str,
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
        let acceptor = Arc::new(crypto::tls(config, &[b"h2", b"http/1.1"])?);
        let (endpoint, quic) = (reset::endpoint(config.reset_key), crypto::quic(config)?);
        let mut sockets = Self { http: Vec::new(), tls: Vec::new(), quic: Vec::new(), acceptor };
        let refused = |key, address| move |error| BindError::Listen { key, address, error };
        for address in &config.http {
            sockets.http.push(socket::tcp(*address).map_err(refused("http.listen", *address))?);
        }
        for address in &config.edge {
            let both = socket::both(*address, &endpoint, &quic);
            let (tls, endpoint) = both.map_err(refused("edge.listen", *address))?;
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

    /// Serves every socket until the service is to stop.
    pub(crate) fn serve<H: ServeSession>(self, service: Service<H>) -> Vec<Endpoint> {
        let Service { host, secure, clear, config, tasks, stop } = service;
        let admission = Admission::new(&config.limits);
        let serve = |listener, acceptor, router: &Router, direct, gateways: &Gateways| {
            let (router, gateways, admission) = (router.clone(), gateways.clone(), admission.clone());
            let (doors, stop) = (config.doors.clone(), stop.clone());
            let served = tcp::Served { acceptor, router, direct, gateways, admission, doors, stop };
            tasks.spawn(tcp::accept(listener, Arc::new(served), tasks.clone()));
        };
        let gateways = Gateways::new(&config.http_proxy_protocol_from);
        for listener in self.http {
            serve(listener, None, &clear, clear.clone(), &gateways);
        }
        let gateways = Gateways::new(&config.edge_proxy_protocol_from);
        for listener in self.tls {
            // A gateway's clients see another port, and its QUIC packets would not tell where they come from.
            let direct = advertise(secure.clone(), listener.local_addr().map_or(0, |address| address.port()));
            serve(listener, Some(self.acceptor.clone()), &secure, direct, &gateways);
        }
        let served = quic::Served { host, config, tasks: tasks.clone(), router: secure, admission, stop };
        let served = Arc::new(served);
        for endpoint in &self.quic {
            tasks.spawn(quic::accept(endpoint.clone(), served.clone()));
        }
        self.quic
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
