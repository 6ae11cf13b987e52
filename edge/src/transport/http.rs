//! HTTP over QUIC (version 3, by h3), served by the router that serves TCP.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::{Buf as _, Bytes};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::webtransport::H3Stream;

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
