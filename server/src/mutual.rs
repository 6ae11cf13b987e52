//! Connections between nodes: TLS on which both sides show a certificate of the private CA (RFC
//! 8446 section 4.3.2). Each handshake takes the certificates as they were read last.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::Context as _;
use gogochat_edge::{
    door::{Doors, LogThrottle, Watched},
    limits::tcp::NODE_HANDSHAKE,
};
use gogochat_storage::discovery::CoreNode;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, pki_types::ServerName};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::identity::Identity;

/// The connections of nodes that have shown a certificate of the private CA, until `stop`.
pub(crate) fn accept(
    doors: Arc<Doors>,
    listener: TcpListener,
    identity: Arc<Identity>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> ReceiverStream<io::Result<server::TlsStream<Watched<TcpStream>>>> {
    let (shaken, connections) = mpsc::channel(1);
    let (running, stopped) = (tasks.clone(), stop.clone());
    let accepting = async move {
        let complaints = Arc::<LogThrottle>::default();
        loop {
            let (tcp, from) = doors.accept(&listener, "cluster.listen").await;
            let Some(tcp) = doors.watch_node(tcp, NODE_HANDSHAKE) else { continue };
            let (acceptor, shaken) = (TlsAcceptor::from(identity.server()), shaken.clone());
            let complaints = complaints.clone();
            let handshake = async move {
                let activity = tcp.activity().clone();
                match acceptor.accept(tcp).await {
                    Ok(connection) => {
                        activity.opened();
                        let _ = shaken.send(Ok(connection)).await;
                    }
                    Err(error) => complain(&complaints, &from.to_string(), &error),
                }
            };
            running.spawn(stopped.clone().run_until_cancelled_owned(handshake));
        }
    };
    tasks.spawn(stop.clone().run_until_cancelled_owned(accepting));
    ReceiverStream::new(connections)
}

/// Anybody may connect: what they do wrong is said once a minute.
fn complain(complaints: &LogThrottle, from: &str, error: &io::Error) {
    if let Some(times) = complaints.due() {
        tracing::warn!(from, times, reason = meaning(error), "a node was turned away");
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
        let dialled = timeout(NODE_HANDSHAKE, dialling).await.unwrap_or_else(|_| Err(late()));
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
