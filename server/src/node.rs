//! How the parts of a system are joined between processes: by gRPC over mutual TLS. In one process
//! an edge calls the same service without a connection.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::Router;
use gogochat_edge::{
    door::{self, Doors, Requests, Watched},
    limits::tcp::{CONNECTION_WINDOW, GRPC_CALLS, GRPC_PING, HTTP2_PONG, MAX_HEADERS, STREAM_WINDOW},
};
use gogochat_storage::discovery::CoreNode;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    service::Routes,
    transport::{Channel, Endpoint, Server},
};

use crate::{identity::Identity, mutual};

/// Takes edges on `address`, each with a certificate of the private CA.
pub(crate) async fn serve(
    doors: &Arc<Doors>,
    address: SocketAddr,
    identity: Arc<Identity>,
    routes: Routes,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    let listener = listen(address, "cluster.listen").await?;
    let incoming = mutual::accept(doors.clone(), listener, identity, stop, tasks);
    let server = builder()
        .layer(Requests { bounded: false })
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    tasks.spawn(report("the node service", server));
    Ok(())
}

/// The channel to a core in another process; it dials at once and again whenever it breaks.
pub(crate) fn connect(core: &CoreNode, identity: &Arc<Identity>) -> anyhow::Result<Channel> {
    // TLS is the dialler's: to the channel the connection is a clear one.
    let endpoint = endpoint(format!("http://{}", core.address))
        .with_context(|| format!("{} cannot be the address of {}", core.address, core.name))?;
    Ok(endpoint.connect_with_connector_lazy(mutual::Dialler::new(core, identity.clone())?))
}

/// Serves the public gRPC services in clear.
pub(crate) async fn serve_public(
    doors: &Arc<Doors>,
    address: SocketAddr,
    routes: Routes,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    let listener = listen(address, "core.grpc").await?;
    let incoming = accept(doors.clone(), listener, stop, tasks);
    let server = Server::builder()
        .max_concurrent_streams(GRPC_CALLS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(MAX_HEADERS as u32)
        .http2_keepalive_interval(Some(GRPC_PING))
        .http2_keepalive_timeout(Some(HTTP2_PONG))
        .layer(Requests { bounded: true })
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    tasks.spawn(report("the public gRPC service", server));
    Ok(())
}

/// The connections of a listener in clear, until `stop`.
fn accept(
    doors: Arc<Doors>,
    listener: TcpListener,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> ReceiverStream<io::Result<Watched<TcpStream>>> {
    let (accepted, connections) = mpsc::channel(1);
    let accepting = async move {
        loop {
            let (tcp, _) = doors.accept(&listener, "core.grpc").await;
            if accepted.send(Ok(doors.watch_grpc(tcp))).await.is_err() {
                return;
            }
        }
    };
    tasks.spawn(stop.clone().run_until_cancelled_owned(accepting));
    ReceiverStream::new(connections)
}

/// Serves HTTP in clear, for a process without the edge role.
pub(crate) async fn serve_http(
    doors: &Arc<Doors>,
    addresses: &[SocketAddr],
    app: Router,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    for address in addresses {
        let listener = listen(*address, "http.listen").await?;
        tasks.spawn(door::serve_clear(doors.clone(), listener, "http.listen", app.clone(), stop.clone()));
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

/// HTTP/2 flow control between nodes: a full Attach batch never waits for a window.
const WINDOW: u32 = 8 * 1024 * 1024;
const FRAME: u32 = 1024 * 1024;
/// A peer that is gone without a word is noticed within 2 s.
const KEEPALIVE: Duration = Duration::from_secs(1);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(1);
