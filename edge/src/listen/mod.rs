//! The sockets: TCP in clear, TCP with TLS and QUIC.

mod admission;
mod crypto;
mod quic;
mod reset;
mod socket;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use quinn::Endpoint;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::admission::Admission;
pub(crate) use self::admission::source;
use crate::{
    config::EdgeConfig,
    connection::Hub,
    metrics as names,
    routes::Shared,
    transport::http::{self, HEADER_TIMEOUT},
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
        let acceptor = TlsAcceptor::from(Arc::new(crypto::tls(config, &[b"h2", b"http/1.1"])?));
        let (endpoint, quic) = (reset::endpoint(config.reset_key), crypto::quic(config)?);
        let mut sockets = Self { http: Vec::new(), tls: Vec::new(), quic: Vec::new(), acceptor };
        for address in &config.http {
            sockets.http.push(socket::tcp(*address).map_err(|error| BindError::Listen { address: *address, error })?);
        }
        for address in &config.edge {
            let (tls, endpoint) = socket::both(*address, &endpoint, &quic)
                .map_err(|error| BindError::Listen { address: *address, error })?;
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

    /// Serves every socket until `stop`: `clear` without TLS, `router` with it and over QUIC.
    pub(crate) fn serve(
        self,
        shared: &Arc<Shared>,
        router: &Router,
        clear: &Router,
        stop: &CancellationToken,
    ) -> Vec<Endpoint> {
        let tasks = &shared.hub.tasks;
        let admission = Admission::new(&shared.config.limits);
        for listener in self.http {
            tasks.spawn(accept_tcp(listener, None, clear.clone(), shared.hub.clone(), admission.clone(), stop.clone()));
        }
        for listener in self.tls {
            let port = listener.local_addr().map_or(0, |address| address.port());
            let secure = advertise(router.clone(), port);
            let acceptor = Some(self.acceptor.clone());
            tasks.spawn(accept_tcp(listener, acceptor, secure, shared.hub.clone(), admission.clone(), stop.clone()));
        }
        for endpoint in &self.quic {
            let accept =
                quic::accept(endpoint.clone(), shared.clone(), router.clone(), admission.clone(), stop.clone());
            tasks.spawn(accept);
        }
        self.quic
    }
}

async fn accept_tcp(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    hub: Arc<Hub>,
    admission: Arc<Admission>,
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
        let Some(mut place) = admission.admit(address.ip(), acceptor.is_some()) else {
            let transport = if acceptor.is_some() { "tls" } else { "tcp" };
            metrics::counter!(names::REFUSED, "transport" => transport, "reason" => "too many").increment(1);
            continue;
        };
        let (router, acceptor, stop) = (router.clone(), acceptor.clone(), stop.clone());
        hub.tasks.spawn(async move {
            let result = match acceptor {
                Some(acceptor) => match tokio::time::timeout(HEADER_TIMEOUT, acceptor.accept(tcp)).await {
                    Ok(Ok(tls)) => {
                        place.shaken();
                        http::serve(tls, address, router, stop).await
                    }
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err("the TLS handshake took too long".into()),
                },
                None => http::serve(tcp, address, router, stop).await,
            };
            if let Err(error) = result {
                tracing::debug!(%address, error, "an HTTP connection ended");
            }
        });
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

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
