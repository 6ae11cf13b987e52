//! Requests under way on a connection, and the bytes of their answers. When a client asks and does
//! not read, the next answers wait once its answers take up what a connection may have. Its
//! connection ends when none of them leaves for a while.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::activity::Activity;
use crate::limits::tcp::{ANSWER, CHUNK, WAITING_HEADERS};

/// A request under way: from its headers to the moment when the last byte of its answer has left.
#[derive(Debug)]
pub(super) struct Underway {
    activity: Activity,
    /// What its answer may take.
    permit: Option<OwnedSemaphorePermit>,
}

/// The body of an answer, given on in pieces that are counted until they have left.
#[derive(Debug)]
pub struct Answer<B> {
    body: B,
    /// Of a piece that was too large.
    rest: Bytes,
    underway: Arc<Underway>,
}

/// Bytes of an answer that the HTTP library has.
#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    underway: Arc<Underway>,
}

impl Underway {
    /// Begins a request that takes no share of what answers may take.
    pub(super) fn begin(activity: &Activity, version: Version) -> Self {
        activity.begin(version);
        Self { activity: activity.clone(), permit: None }
    }

    /// Waits until there is room for one more answer. `None`: too many wait already.
    /// `headers`: bytes of the request's, see [`size`].
    pub(super) async fn admit(activity: &Activity, version: Version, headers: usize) -> Option<Self> {
        if !activity.has_room() {
            return None;
        }
        let mut underway = Self::begin(activity, version);
        let (answers, needed) = (activity.answers().clone(), kib(ANSWER));
        if let Ok(permit) = answers.clone().try_acquire_many_owned(needed) {
            underway.permit = Some(permit);
            return Some(underway);
        }
        let waiting = Waiting::begin(activity, headers)?;
        underway.permit = Some(answers.acquire_many_owned(needed).await.ok()?);
        drop(waiting);
        Some(underway)
    }

    /// The answer is there. One that is smaller than what was set aside for it leaves the rest to
    /// others.
    pub(super) fn answer<B: Body>(mut self, response: Response<B>) -> Response<Answer<B>> {
        if let (Some(size), Some(permit)) = (response.body().size_hint().exact(), &mut self.permit) {
            let needed = kib(usize::try_from(size).unwrap_or(ANSWER)) as usize;
            drop(permit.split(permit.num_permits().saturating_sub(needed)));
        }
        response.map(|body| Answer { body, rest: Bytes::new(), underway: Arc::new(self) })
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.activity.finish();
    }
}

/// Headers of a request that waits.
struct Waiting<'a>(&'a Activity, usize);

impl<'a> Waiting<'a> {
    fn begin(activity: &'a Activity, headers: usize) -> Option<Self> {
        activity.wait_with(headers, WAITING_HEADERS).then_some(Self(activity, headers))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waited_with(self.1);
    }
}

/// The answer to a request for which there is no room.
pub(super) fn too_many() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"read the answers to earlier requests first")));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    response
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        let bytes = this.rest.split_to(this.rest.len().min(CHUNK));
        this.underway.activity.give(bytes.len());
        let chunk = Chunk { bytes, underway: this.underway.clone() };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(chunk)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(inner.lower().saturating_add(rest));
        hint
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.underway.activity.take(self.bytes.len());
    }
}

/// At least one: a request without one waits for nothing.
fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.min(ANSWER).div_ceil(1024)).unwrap_or(u32::MAX).max(1)
}

/// What a request's headers take, about.
pub(super) fn size<B>(request: &Request<B>) -> usize {
    let entry = |(name, value): (&header::HeaderName, &header::HeaderValue)| name.as_str().len() + value.len() + 32;
    request.uri().to_string().len() + request.headers().iter().map(entry).sum::<usize>()
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
