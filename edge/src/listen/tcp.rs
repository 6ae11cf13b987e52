//! Connections over TCP: the client's address, TLS, then HTTP.

use std::{io, net::SocketAddr, sync::Arc};

use axum::Router;
use rustls::{ServerConfig, server::Acceptor};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    admission::Admission,
    gateways::Gateways,
    proxy_header::{self, HeaderError},
};
use crate::{
    address::source,
    door::{self, Doors, Kept, Watched},
    limits::tcp::{CLIENT_HELLO, PROXY_HEADER, TLS_HANDSHAKE},
    metrics as names,
};

/// What a listener's connections come to.
pub(super) struct Served {
    /// TLS; `None`: in clear.
    pub(super) acceptor: Option<Arc<ServerConfig>>,
    /// For whom a gateway brings.
    pub(super) router: Router,
    /// For who comes without one.
    pub(super) direct: Router,
    /// Who tells where its connections come from.
    pub(super) gateways: Gateways,
    pub(super) admission: Arc<Admission>,
    pub(super) doors: Arc<Doors>,
    pub(super) stop: CancellationToken,
}

/// Accepts connections until they are to stop.
pub(super) async fn accept(listener: TcpListener, served: Arc<Served>, tasks: TaskTracker) {
    let key = if served.acceptor.is_some() { "edge.listen" } else { "http.listen" };
    while let Some((tcp, peer)) = served.stop.run_until_cancelled(served.doors.accept(&listener, key)).await {
        let entered = served.clone().enter(tcp, peer);
        tasks.spawn(entered);
    }
}

/// Why a connection came to nothing.
#[derive(Debug, thiserror::Error)]
enum EnterError {
    #[error("its address has as many connections as it may, or too many shake hands")]
    TooMany,
    #[error("the gateway's header: {0}")]
    Header(#[from] HeaderError),
    #[error("its place was needed for another")]
    Evicted,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl Served {
    async fn enter(self: Arc<Self>, tcp: TcpStream, peer: SocketAddr) {
        let entered = if self.gateways.has(peer.ip()) {
            self.told(tcp, peer).await
        } else {
            self.admitted(tcp, peer, self.direct.clone()).await
        };
        let Err(error) = entered else { return };
        tracing::debug!(%peer, %error, "a connection ended");
        match error {
            EnterError::TooMany => self.refused("too many"),
            EnterError::Header(error) => self.refused(error.reason()),
            EnterError::Evicted | EnterError::Io(_) | EnterError::Http(_) => {}
        }
    }

    /// Hears from a gateway where its connection comes from, and serves it as that address's.
    async fn told(&self, tcp: TcpStream, gateway: SocketAddr) -> Result<(), EnterError> {
        let mut waiting = self.doors.watch_handshake(tcp, None, PROXY_HEADER).await.ok_or(EnterError::TooMany)?;
        let activity = waiting.activity().clone();
        let header = tokio::select! {
            header = proxy_header::read(waiting.get_mut()?) => header,
            () = activity.evicted() => return Err(EnterError::Evicted),
        };
        let address = header?.unwrap_or(gateway);
        // Whose share of the handshakes it takes was not known before.
        self.admitted(waiting.into_inner()?, address, self.router.clone()).await
    }

    async fn admitted(&self, tcp: TcpStream, address: SocketAddr, router: Router) -> Result<(), EnterError> {
        let kept = Kept::new(self.admission.admit(address.ip()).ok_or(EnterError::TooMany)?);
        let stop = self.stop.clone();
        let Some(tls) = &self.acceptor else {
            let io = self.doors.watch(tcp);
            let activity = io.activity().clone();
            return Ok(door::serve(io, activity, address, kept, router, stop).await?);
        };
        let share = Some(source(address.ip())).filter(|source| !source.is_loopback());
        let tcp = self.doors.watch_handshake(tcp, share, CLIENT_HELLO).await.ok_or(EnterError::TooMany)?;
        let activity = tcp.activity().clone();
        let io = Box::pin(shake_hands(tcp, tls.clone())).await?;
        Ok(door::serve(io, activity, address, kept, router, stop).await?)
    }

    /// Counts a connection that was turned away.
    fn refused(&self, reason: &'static str) {
        let transport = if self.acceptor.is_some() { "tls" } else { "tcp" };
        metrics::counter!(names::REFUSED, "transport" => transport, "reason" => reason).increment(1);
    }
}

/// TLS from the ClientHello to the end of the handshake, each in its time.
async fn shake_hands(tcp: Watched<TcpStream>, config: Arc<ServerConfig>) -> io::Result<TlsStream<Watched<TcpStream>>> {
    let activity = tcp.activity().clone();
    let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
    activity.allow(TLS_HANDSHAKE);
    let tls = start.into_stream(config).await?;
    activity.opened();
    Ok(tls)
}
