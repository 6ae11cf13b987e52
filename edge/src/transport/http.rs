//! HTTP over TCP (versions 1.1 and 2, by hyper) and over QUIC (version 3, by h3), all served by one router.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::{Buf as _, Bytes};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::webtransport::H3Stream;

/// Serves a connection until it ends, or is upgraded, or `stop` lets it finish what it has under way.
///
/// # Errors
/// The connection broke, or what came is no HTTP.
pub(crate) async fn serve<S>(
    io: S,
    address: SocketAddr,
    router: Router,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(address));
        router.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_REQUESTS)
        .max_header_list_size(MAX_HEADERS as u32)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(HEADER_TIMEOUT);
    let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(TokioIo::new(io), service));
    tokio::select! {
        result = &mut connection => return result,
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// Answers one HTTP/3 request.
///
/// # Errors
/// The stream or the connection broke.
pub(crate) async fn serve_h3(
    request: Request<()>,
    stream: H3Stream,
    address: SocketAddr,
    router: Router,
) -> Result<(), h3::error::StreamError> {
    let (mut send, recv) = stream.split();
    let body = futures_util::stream::try_unfold(recv, |mut recv| async move {
        let data = tokio::time::timeout(BODY_TIMEOUT, recv.recv_data()).await.map_err(io::Error::other)?;
        let data = data.map_err(io::Error::other)?.map(|mut data| data.copy_to_bytes(data.remaining()));
        Ok::<_, io::Error>(data.map(|bytes: Bytes| (bytes, recv)))
    });
    let mut request = request.map(|()| Body::from_stream(body));
    request.extensions_mut().insert(ConnectInfo(address));
    // The router takes the host from its header, as in the versions before.
    if let Some(host) = request.uri().authority().and_then(|host| host.as_str().parse().ok()) {
        request.headers_mut().entry(http::header::HOST).or_insert(host);
    }
    let response: Result<Response<Body>, Infallible> = router.oneshot(request).await;
    let Ok(response) = response;
    let (parts, mut body) = response.into_parts();
    send.send_response(Response::from_parts(parts, ())).await?;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            // What was promised cannot be kept: the client must see that the body is not whole.
            send.stop_stream(h3::error::Code::H3_INTERNAL_ERROR);
            return Ok(());
        };
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            match tokio::time::timeout(BODY_TIMEOUT, send.send_data(data)).await {
                Ok(sent) => sent?,
                Err(_) => {
                    send.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
                    return Ok(());
                }
            }
        }
    }
    send.finish().await
}

/// From a connection's, or a request's, first byte to the end of its headers, and between two requests.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Header section size.
pub(crate) const MAX_HEADERS: usize = 16 * 1024;
/// Between two pieces of a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REQUESTS: u32 = 64;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
