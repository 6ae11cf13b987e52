//! How the parts of a system are joined between processes: by gRPC over mutual TLS. In one process an edge calls the same service without a connection.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use axum::Router;
use gogochat_storage::discovery::CoreNode;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    service::Routes,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig},
};

use crate::config::Cluster;

/// Takes edges on `address`, each with a certificate of the private CA.
pub(crate) async fn serve(
    address: SocketAddr,
    cluster: &Cluster,
    routes: Routes,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    let listener = listen(address, "cluster.listen").await?;
    let tls = ServerTlsConfig::new().identity(identity(cluster)?).client_ca_root(authority(cluster)?);
    let server = builder()
        .tls_config(tls)
        .context("cluster.certificate")?
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.clone().cancelled_owned());
    tasks.spawn(report("the node service", server));
    Ok(())
}

/// The channel to a core in another process; it dials at once and again whenever it breaks.
pub(crate) fn connect(core: &CoreNode, cluster: &Cluster) -> anyhow::Result<Channel> {
    let tls =
        ClientTlsConfig::new().domain_name(&core.name).identity(identity(cluster)?).ca_certificate(authority(cluster)?);
    let endpoint = endpoint(format!("https://{}", core.address))
        .with_context(|| format!("{} cannot be the address of {}", core.address, core.name))?
        .tls_config(tls)
        .context("cluster.certificate")?
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true);
    Ok(endpoint.connect_lazy())
}

/// Serves the public gRPC services in clear.
pub(crate) async fn serve_public(
    address: SocketAddr,
    routes: Routes,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    let listener = listen(address, "core.grpc").await?;
    let server = Server::builder()
        .max_concurrent_streams(PUBLIC_STREAMS)
        .max_frame_size(64 * 1024)
        .http2_keepalive_interval(Some(Duration::from_secs(15)))
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.clone().cancelled_owned());
    tasks.spawn(report("the public gRPC service", server));
    Ok(())
}

/// Serves HTTP in clear, for a process without the edge role.
pub(crate) async fn serve_http(
    addresses: &[SocketAddr],
    app: Router,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    for address in addresses {
        let listener = listen(*address, "http.listen").await?;
        let server = axum::serve(listener, app.clone()).with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move { report("health", server.into_future()).await });
    }
    Ok(())
}

async fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{key}: {address} cannot be listened on"))
}

/// A server that ends otherwise than by a stop is a fault worth a line in the log.
async fn report<E: std::error::Error>(what: &str, server: impl Future<Output = Result<(), E>>) {
    if let Err(error) = server.await {
        tracing::error!(%error, "{what} ended");
    }
}

fn builder() -> Server {
    Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

fn endpoint(uri: String) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(uri)?
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

fn identity(cluster: &Cluster) -> anyhow::Result<Identity> {
    Ok(Identity::from_pem(pem(&cluster.certificate, "cluster.certificate")?, pem(&cluster.key, "cluster.key")?))
}

fn authority(cluster: &Cluster) -> anyhow::Result<Certificate> {
    Ok(Certificate::from_pem(pem(&cluster.ca, "cluster.ca")?))
}

fn pem(path: &Path, key: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{key}: {}", path.display()))
}

/// HTTP/2 flow control between nodes: a full Attach batch never waits for a window.
const WINDOW: u32 = 8 * 1024 * 1024;
const FRAME: u32 = 1024 * 1024;
/// A peer that is gone without a word is noticed within 2 s.
const KEEPALIVE: Duration = Duration::from_secs(1);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(1);
const PUBLIC_STREAMS: u32 = 128;
