//! HTTP/1.1 and HTTP/2 over a connection, by hyper.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::Request;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::{
    activity::Activity,
    answers::{Underway, size, too_many},
    doors::Doors,
};
use crate::limits::tcp::{
    CHUNK, CONNECTION_WINDOW, FIRST_REQUEST, HTTP2_PING, HTTP2_PONG, MAX_HEADERS, MAX_REQUESTS, STREAM_WINDOW,
};

/// What a connection keeps as long as it is open, such as its place among those of its address.
/// Requests carry it as an extension, for whatever takes the connection over.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    _kept: Option<Arc<dyn Send + Sync>>,
}

impl Kept {
    pub(crate) fn new(kept: impl Send + Sync + 'static) -> Self {
        Self { _kept: Some(Arc::new(kept)) }
    }
}

/// Serves a connection until it ends, or is upgraded, or `stop` or a long rest lets it finish what it has
/// under way. `io` is [`Watched`], or TLS over that; `activity` is what is known of it.
///
/// # Errors
/// The connection broke or had to end, or what came is no HTTP.
pub(crate) async fn serve<S>(
    io: S,
    activity: Activity,
    address: SocketAddr,
    kept: Kept,
    router: Router,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let rests = activity.clone();
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let (activity, router, kept) = (activity.clone(), router.clone(), kept.clone());
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address));
            request.extensions_mut().insert(kept);
            let (version, headers) = (request.version(), size(&request));
            match Underway::admit(&activity, version, headers).await {
                Some(underway) => Ok::<_, Infallible>(underway.answer(router.oneshot(request).await?)),
                None => {
                    let underway = Underway::begin(&activity, version);
                    Ok(underway.answer(too_many().map(Body::new)))
                }
            }
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    // Watched knows when the first request is late, and how long a client may rest.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(FIRST_REQUEST).max_buf_size(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_REQUESTS)
        .max_header_list_size(MAX_HEADERS as u32)
        .max_send_buf_size(CHUNK)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PONG);
    let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(TokioIo::new(io), service));
    tokio::select! {
        result = &mut connection => return result,
        () = stop.cancelled() => {}
        () = rests.goodbye() => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// Serves HTTP in clear on a listener until `stop`, for a process that has no edge. `key` is the
/// listener's.
pub async fn serve_clear(
    doors: Arc<Doors>,
    listener: TcpListener,
    key: &'static str,
    router: Router,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    while let Some((tcp, peer)) = stop.run_until_cancelled(doors.accept(&listener, key)).await {
        let (io, router, stop) = (doors.watch(tcp), router.clone(), stop.clone());
        tasks.spawn(async move {
            let activity = io.activity().clone();
            if let Err(error) = serve(io, activity, peer, Kept::default(), router, stop).await {
                tracing::debug!(address = %peer, error, "an HTTP connection ended");
            }
        });
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use hyper::client::conn::http2;
    use tokio::time::Instant;

    use super::{
        super::{activity::Tables, watched::Watched},
        *,
    };
    use crate::limits::tcp::{ANSWERS, GOODBYE, HTTP2_IDLE};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_rests_is_told_before_its_connection_ends() {
        let (here, there) = tokio::io::duplex(4_096);
        let activity = Activity::open(&Tables::new(), ANSWERS);
        let io = Watched::new(there, activity.clone());
        let router = Router::new().route("/", get(|| async { "here" }));
        let from = SocketAddr::from(([127, 0, 0, 1], 1));
        let served = tokio::spawn(serve(io, activity, from, Kept::default(), router, CancellationToken::new()));
        let (mut sender, connection) =
            http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(here)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = || Request::get("http://localhost/").body(Body::empty()).unwrap();
        assert_eq!(sender.send_request(request()).await.unwrap().status(), 200);

        let rests = Instant::now();
        connection.await.unwrap().unwrap();
        let rested = rests.elapsed();
        assert!(rested < HTTP2_IDLE && rested >= HTTP2_IDLE - 3 * GOODBYE, "{rested:?}");
        // Whoever is gone may be found gone.
        let _ = served.await.unwrap();
        // It was not sent: whoever asks may ask again, on another connection.
        assert!(sender.try_send_request(request()).await.is_err_and(|error| error.message().is_some()));
    }
}
