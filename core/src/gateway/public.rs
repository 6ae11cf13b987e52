//! gRPC for clients: every method of the public services, by bearer token, through the same table
//! as all other calls. Bodies are passed on as bytes, so no service is written twice.

use std::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf as _, BufMut as _, Bytes};
use gogochat_proto::{error::ErrorCode, trace::trace_id, v1};
use prost::Message as _;
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::{MetadataMap, MetadataValue},
    server::{Grpc, NamedService, UnaryService},
};
use tower::Service;
use tracing::Instrument as _;

use super::{
    Gateway, deadline,
    invoke::{Credentials, span},
};

/// One public service.
pub(crate) struct Public<N> {
    gateway: Arc<Gateway>,
    name: PhantomData<fn() -> N>,
}

macro_rules! services {
    ($($name:ident = $path:literal;)*) => {
        $(
            /// The name of a public service.
            #[derive(Clone, Copy)]
            pub(crate) struct $name;
            impl NamedService for Public<$name> {
                const NAME: &'static str = $path;
            }
        )*
        /// Their names.
        pub(crate) const NAMES: &[&str] = &[$($path,)*];
    };
}

services! {
    AccountService = "gogochat.v1.AccountService";
    AdminService = "gogochat.v1.AdminService";
    SocialService = "gogochat.v1.SocialService";
    ChatService = "gogochat.v1.ChatService";
    SyncService = "gogochat.v1.SyncService";
}

impl<N> Public<N> {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway, name: PhantomData }
    }
}

impl<N> Clone for Public<N> {
    fn clone(&self) -> Self {
        Self::new(self.gateway.clone())
    }
}

impl<N> Service<http::Request<Body>> for Public<N> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call =
            Call { gateway: self.gateway.clone(), method: request.uri().path().trim_start_matches('/').to_owned() };
        // tonic would answer a moment later, with CANCELLED.
        let deadline = deadline::of(request.headers()).map(|deadline| deadline.saturating_sub(EARLIER));
        Box::pin(async move {
            let mut grpc = Grpc::new(Raw).max_decoding_message_size(MAX_MESSAGE);
            let answer = grpc.unary(call, request);
            let Some(deadline) = deadline else { return Ok(answer.await) };
            let late = || {
                let advice = "not done within the call's grpc-timeout: whether it took effect is unknown";
                status(&ErrorCode::DeadlineExceeded.with(advice)).into_http()
            };
            Ok(tokio::time::timeout(deadline, answer).await.unwrap_or_else(|_| late()))
        })
    }
}

/// One call.
struct Call {
    gateway: Arc<Gateway>,
    method: String,
}

impl UnaryService<Bytes> for Call {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let gateway = self.gateway.clone();
        let method = std::mem::take(&mut self.method);
        Box::pin(async move {
            let address = request.remote_addr().map(|address| address.ip());
            let credentials = Credentials::Token(bearer(request.metadata()).to_owned());
            let traced = request.metadata().get("traceparent").and_then(|value| value.to_str().ok());
            let span = span(traced.and_then(trace_id).unwrap_or_default());
            let answer = gateway.call(&method, request.into_inner(), credentials, address).instrument(span).await;
            answer.map(Response::new).map_err(|error| status(&error))
        })
    }
}

/// The token of `authorization: Bearer TOKEN` (RFC 6750 section 2.1); empty without.
fn bearer(metadata: &MetadataMap) -> &str {
    metadata
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map_or("", |(_, token)| token.trim())
}

/// The error as gRPC says it: status and message, the whole of it in `gogochat-error-bin`.
fn status(error: &v1::Error) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert_bin("gogochat-error-bin", MetadataValue::from_bytes(&error.encode_to_vec()));
    Status::with_metadata(Code::from_i32(error.status), error.message.clone(), metadata)
}

/// Messages as bytes.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(bytes.copy_to_bytes(bytes.remaining())))
    }
}

/// Of a client's deadline.
const EARLIER: Duration = Duration::from_millis(5);
/// Past the limit on bodies, so that a body a little over it gets the error of its own.
const MAX_MESSAGE: usize = 256 * 1024;
