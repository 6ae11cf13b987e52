//! HTTP/3 requests (RFC 9114), served by the router that serves every version. A request and its
//! answer have deadlines, both for a body that trickles and for an answer that is not read.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::{Buf as _, Bytes};
use h3::{error::Code, quic, server::RequestStream};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::h3_backend::BidiStream;
use crate::limits::quic::{ANSWER, ANSWER_PIECE, ANSWER_RATE, BODY, BODY_GRACE, BODY_RATE, SEND_WINDOW};

/// The stream of a request.
pub(crate) type H3Stream = RequestStream<BidiStream<Bytes>, Bytes>;

/// An answer did not get to the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The stream or the connection broke.
    #[error(transparent)]
    Stream(#[from] h3::error::StreamError),
    /// The client does not read.
    #[error("the client does not read it")]
    NotRead,
    /// The handler broke off.
    #[error("the answer ended early: {0}")]
    Body(axum::Error),
}

/// Answers one request.
///
/// # Errors
/// The answer did not get to the client. Its stream was reset, so that no part is taken for the whole.
pub(crate) async fn serve(
    request: Request<()>,
    stream: H3Stream,
    address: SocketAddr,
    router: Router,
) -> Result<(), AnswerError> {
    let (mut send, recv) = stream.split();
    let pace = Pace { begun: Instant::now(), bytes: 0 };
    let body = futures_util::stream::try_unfold((recv, pace), |(mut recv, mut pace)| async move {
        let deadline = pace.deadline(Instant::now());
        let data = tokio::time::timeout_at(deadline.into(), recv.recv_data()).await.map_err(io::Error::other)?;
        let data = data.map_err(io::Error::other)?.map(|mut data| data.copy_to_bytes(data.remaining()));
        Ok::<_, io::Error>(data.map(|bytes: Bytes| {
            pace.bytes += bytes.len();
            (bytes, (recv, pace))
        }))
    });
    let mut request = request.map(|()| Body::from_stream(body));
    request.extensions_mut().insert(ConnectInfo(address));
    // The router takes the host from its header, as in the versions before.
    if let Some(host) = request.uri().authority().and_then(|host| host.as_str().parse().ok()) {
        request.headers_mut().entry(http::header::HOST).or_insert(host);
    }
    let response: Result<Response<Body>, Infallible> = router.oneshot(request).await;
    let Ok(response) = response;
    let sent = answer(&mut send, response).await;
    if let Err(error) = &sent {
        // Fails when the stream is gone.
        send.stop_stream(match error {
            AnswerError::Body(_) => Code::H3_INTERNAL_ERROR,
            AnswerError::Stream(_) | AnswerError::NotRead => Code::H3_REQUEST_CANCELLED,
        });
    }
    sent
}

/// Answers with a status alone.
pub(crate) async fn refuse(mut stream: H3Stream, status: StatusCode) {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if answer(&mut stream, response).await.is_err() {
        stream.stop_stream(Code::H3_REQUEST_CANCELLED);
    }
}

/// Refuses a request that is none (RFC 9114 section 4.1.2).
pub(crate) fn refuse_malformed(mut stream: H3Stream) {
    stream.stop_stream(Code::H3_MESSAGE_ERROR);
    stream.stop_sending(Code::H3_MESSAGE_ERROR);
}

async fn answer<S: quic::SendStream<Bytes>>(
    send: &mut RequestStream<S, Bytes>,
    response: Response<Body>,
) -> Result<(), AnswerError> {
    let (parts, mut body) = response.into_parts();
    taken(ANSWER, send.send_response(Response::from_parts(parts, ()))).await?;
    let mut sent = 0;
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(AnswerError::Body)?.into_data() else { continue };
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(ANSWER_PIECE));
            sent += piece.len();
            taken(ANSWER, send.send_data(piece)).await?;
        }
    }
    // What QUIC still holds of it.
    let rest = Duration::from_secs((sent.min(SEND_WINDOW) / ANSWER_RATE) as u64);
    taken(ANSWER + rest, send.finish()).await
}

/// Gives the client its time to take something.
async fn taken(
    limit: Duration,
    sending: impl Future<Output = Result<(), h3::error::StreamError>>,
) -> Result<(), AnswerError> {
    tokio::time::timeout(limit, sending).await.map_err(|_| AnswerError::NotRead)?.map_err(AnswerError::Stream)
}

/// How fast a body comes.
#[derive(Debug, Clone, Copy)]
struct Pace {
    begun: Instant,
    bytes: usize,
}

impl Pace {
    /// Until when more has to come.
    fn deadline(self, now: Instant) -> Instant {
        let due = Duration::from_secs((self.bytes / BODY_RATE) as u64);
        (self.begun + BODY_GRACE + due).min(now + BODY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_neither_silent_nor_slow_for_long() {
        let begun = Instant::now();
        let after = |seconds: f32, bytes: usize| {
            let now = begun + Duration::from_secs_f32(seconds);
            Pace { begun, bytes }.deadline(now).saturating_duration_since(now)
        };
        assert_eq!(after(0.0, 0), BODY);
        assert_eq!(after(100.0, 200 * BODY_RATE), BODY, "as fast as it has to be");
        assert_eq!(after(15.0, 3), BODY_GRACE - Duration::from_secs(15), "a byte every few seconds");
        assert_eq!(after(30.0, 3 * BODY_RATE), Duration::ZERO);
    }
}
