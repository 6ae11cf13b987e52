//! Connections over TCP: whose they are, TLS, and HTTP.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    admission::{Admission, Place, Untold},
    gateways::Gateways,
    proxy_header::{self, HeaderError},
};
use crate::{
    metrics as names,
    transport::http::{self, HEADER_TIMEOUT},
};

/// What a listener's connections come to.
pub(super) struct Served {
    /// TLS; `None`: in clear.
    pub(super) acceptor: Option<TlsAcceptor>,
    /// For whom a gateway brings.
    pub(super) router: Router,
    /// For who comes without one.
    pub(super) direct: Router,
    /// Who tells where its connections come from.
    pub(super) gateways: Gateways,
    pub(super) admission: Arc<Admission>,
    pub(super) stop: CancellationToken,
}

/// A connection's place, by what is known of where it comes from.
enum Entry {
    Known(Place),
    Untold(Untold),
}

/// Accepts connections until they are to stop.
pub(super) async fn accept(listener: TcpListener, served: Arc<Served>, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = served.stop.cancelled() => return,
        };
        let (tcp, peer) = match accepted {
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
        let entry = if served.gateways.has(peer.ip()) {
            served.admission.admit_untold().map(Entry::Untold)
        } else {
            served.admit(peer).map(Entry::Known)
        };
        match entry {
            Some(entry) => drop(tasks.spawn(served.clone().enter(tcp, peer, entry))),
            None => served.refused(TOO_MANY),
        }
    }
}

impl Served {
    async fn enter(self: Arc<Self>, mut tcp: TcpStream, peer: SocketAddr, entry: Entry) {
        let (address, place, router) = match entry {
            Entry::Known(place) => (peer, place, &self.direct),
            Entry::Untold(untold) => match self.told(&mut tcp, peer, untold).await {
                Ok(Some((address, place))) => (address, place, &self.router),
                Ok(None) => return self.refused(TOO_MANY),
                Err(error) => {
                    tracing::debug!(gateway = %peer, error = &error as &dyn std::error::Error, "a connection is refused");
                    return self.refused(error.reason());
                }
            },
        };
        if let Err(error) = self.serve(tcp, address, place, router.clone()).await {
            tracing::debug!(%address, error, "an HTTP connection ended");
        }
    }

    /// Hears from a gateway where its connection comes from, and admits it as that address's; `None`: that has as many as it may.
    async fn told(
        &self,
        tcp: &mut TcpStream,
        gateway: SocketAddr,
        untold: Untold,
    ) -> Result<Option<(SocketAddr, Place)>, HeaderError> {
        let address = proxy_header::read(tcp).await?.unwrap_or(gateway);
        drop(untold);
        Ok(self.admit(address).map(|place| (address, place)))
    }

    async fn serve(
        &self,
        tcp: TcpStream,
        address: SocketAddr,
        mut place: Place,
        router: Router,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let stop = self.stop.clone();
        let Some(acceptor) = &self.acceptor else { return http::serve(tcp, address, router, stop).await };
        let tls = tokio::time::timeout(HEADER_TIMEOUT, acceptor.accept(tcp))
            .await
            .map_err(|_| "the TLS handshake took too long")??;
        place.shaken();
        http::serve(tls, address, router, stop).await
    }

    fn admit(&self, address: SocketAddr) -> Option<Place> {
        self.admission.admit(address.ip(), self.acceptor.is_some())
    }

    /// Counts a connection that was turned away.
    fn refused(&self, reason: &'static str) {
        let transport = if self.acceptor.is_some() { "tls" } else { "tcp" };
        metrics::counter!(names::REFUSED, "transport" => transport, "reason" => reason).increment(1);
    }
}

const TOO_MANY: &str = "too many";
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
