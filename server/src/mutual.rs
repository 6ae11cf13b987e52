//! Connections between nodes: TLS on which both sides show a certificate of the private CA (RFC 8446 section 4.3.2). Each handshake takes
//! the certificates as they were read last.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gogochat_storage::discovery::CoreNode;
use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{CertificateError, pki_types::ServerName};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::identity::Identity;

/// The connections of nodes that have shown a certificate of the private CA, until `stop`.
pub(crate) fn accept(
    listener: TcpListener,
    identity: Arc<Identity>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> ReceiverStream<io::Result<server::TlsStream<TcpStream>>> {
    let (shaken, connections) = mpsc::channel(1);
    let (running, stopped) = (tasks.clone(), stop.clone());
    let accepting = async move {
        let (room, said) = (Arc::new(Semaphore::new(HANDSHAKES)), Arc::<Mutex<Option<Instant>>>::default());
        loop {
            let Ok(place) = room.clone().acquire_owned().await else { return };
            let (tcp, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no node can be taken in");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let (acceptor, shaken, said) = (TlsAcceptor::from(identity.server()), shaken.clone(), said.clone());
            let handshake = async move {
                let _place = place;
                let _ = tcp.set_nodelay(true);
                match timeout(HANDSHAKE, acceptor.accept(tcp)).await.unwrap_or_else(|_| Err(late())) {
                    Ok(connection) => _ = shaken.send(Ok(connection)).await,
                    Err(error) => complain(&said, &from.to_string(), &error),
                }
            };
            running.spawn(stopped.clone().run_until_cancelled_owned(handshake));
        }
    };
    tasks.spawn(stop.clone().run_until_cancelled_owned(accepting));
    ReceiverStream::new(connections)
}

/// Anybody may connect: what they do wrong is said once a second at most.
fn complain(said: &Mutex<Option<Instant>>, from: &str, error: &io::Error) {
    let now = Instant::now();
    let mut said = said.lock();
    if said.is_none_or(|before| now.saturating_duration_since(before) >= Duration::from_secs(1)) {
        *said = Some(now);
        tracing::warn!(from, reason = meaning(error), "a node was turned away");
    }
}

/// Dials one core.
#[derive(Clone)]
pub(crate) struct Dialler {
    core: Arc<CoreNode>,
    name: ServerName<'static>,
    identity: Arc<Identity>,
}

impl Dialler {
    /// # Errors
    /// The core's name cannot stand in a certificate.
    pub(crate) fn new(core: &CoreNode, identity: Arc<Identity>) -> anyhow::Result<Self> {
        let name = ServerName::try_from(core.name.clone())
            .with_context(|| format!("cluster.cores: {:?} is no name of a node", core.name))?;
        Ok(Self { core: Arc::new(core.clone()), name, identity })
    }

    async fn dial(self) -> io::Result<TokioIo<client::TlsStream<TcpStream>>> {
        let dialling = async {
            let tcp = TcpStream::connect(&self.core.address).await?;
            tcp.set_nodelay(true)?;
            TlsConnector::from(self.identity.client()).connect(self.name, tcp).await
        };
        let dialled = timeout(HANDSHAKE, dialling).await.unwrap_or_else(|_| Err(late()));
        let named = |error: io::Error| {
            let CoreNode { name, address, .. } = &*self.core;
            io::Error::new(error.kind(), format!("{name} at {address}: {}", meaning(&error)))
        };
        dialled.map(TokioIo::new).map_err(named)
    }
}

impl tower::Service<Uri> for Dialler {
    type Response = TokioIo<client::TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().dial())
    }
}

/// What a failed handshake means to the operator of both nodes.
fn meaning(error: &io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) else {
        return error.to_string();
    };
    let advice = match tls {
        rustls::Error::InvalidCertificate(cause) => match cause {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired: renew its cluster.certificate, or set the clocks of both machines"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet: set the clocks of both machines"
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is of another CA: cluster.ca here has to hold the CA of its cluster.certificate"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is another node's: see node there, and cluster.cores here"
            }
            _ => "its certificate is refused",
        },
        rustls::Error::NoCertificatesPresented => "it shows no certificate",
        rustls::Error::AlertReceived(_) => "it refuses this node's cluster.certificate",
        _ => return tls.to_string(),
    };
    format!("{advice} ({tls})")
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the handshake takes too long")
}

/// How long a handshake may take, with the dialling before it.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Handshakes under way at once.
const HANDSHAKES: usize = 256;
/// After a failure of the system's, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
