//! gRPC for clients.

use std::time::Duration;

use bytes::Bytes;
use gogochat_core::CoreConfig;
use gogochat_proto::{
    service::Service,
    v1::{
        self, account_service_client::AccountServiceClient, chat_service_client::ChatServiceClient,
        sync_service_client::SyncServiceClient,
    },
};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Status,
    service::Routes,
    transport::{Channel, Server},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    faulty::Faults,
    support::{DEADLINE, Node, PASSWORD, config, message, serve},
};

fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn error(status: &Status) -> v1::Error {
    let bytes = status.metadata().get_bin("gogochat-error-bin").unwrap().to_bytes().unwrap();
    v1::Error::decode(bytes).unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it took too long")
}

async fn public() -> (Node, Channel) {
    let node = Node::start().await;
    let channel = serve(node.core.public_service());
    (node, channel)
}

#[tokio::test]
async fn every_service_answers_by_bearer_token() {
    let (node, channel) = public().await;
    let mut accounts = AccountServiceClient::new(channel.clone());
    let request = v1::RegisterRequest { name: "alice".into(), password: PASSWORD.into(), ..Default::default() };
    let alice = accounts.register(request.clone()).await.unwrap().into_inner();
    let taken = accounts.register(request).await.unwrap_err();
    assert_eq!((taken.code(), error(&taken).code.as_str()), (Code::AlreadyExists, "name_taken"));

    let mut sync = SyncServiceClient::new(channel.clone());
    let request = v1::SyncRequest::default();
    assert!(sync.sync(with_token(&alice.access_token, request.clone())).await.is_ok());
    let without = sync.sync(request.clone()).await.unwrap_err();
    assert_eq!((without.code(), error(&without).code.as_str()), (Code::Unauthenticated, "unauthenticated"));
    let wrong = sync.sync(with_token("x", request)).await.unwrap_err();
    assert_eq!(error(&wrong).code, "token_invalid");

    // An ordered method is committed before it is answered.
    let bob = node.register("bob").await;
    let carol = node.register("carol").await;
    let log = node.befriend(&bob, &carol).await;
    let mut chat = ChatServiceClient::new(channel);
    let sent = chat.send_message(with_token(&bob.token, message(log, "hello"))).await.unwrap().into_inner();
    assert_eq!(sent.seq, 2);
    let stranger = chat.send_message(with_token(&alice.access_token, message(log, "x"))).await.unwrap_err();
    assert_eq!((stranger.code(), error(&stranger).code.as_str()), (Code::NotFound, "not_a_member"));
}

#[tokio::test]
async fn what_is_no_method_and_what_is_not_for_clients() {
    let (node, channel) = public().await;
    let alice = node.register("alice").await;
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    let mut call = async |path: &'static str, body: Vec<u8>| {
        grpc.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static(path);
        let request = with_token(&alice.token, RawMessage(body.into()));
        grpc.unary(request, path, tonic_prost::ProstCodec::<RawMessage, RawMessage>::default()).await.unwrap_err()
    };
    let unknown = call("/gogochat.v1.ChatService/Nothing", vec![]).await;
    assert_eq!((unknown.code(), error(&unknown).code.as_str()), (Code::Unimplemented, "unknown_method"));
    let malformed = call("/gogochat.v1.SyncService/Sync", vec![0xff; 8]).await;
    assert_eq!(error(&malformed).code, "malformed_body");
    let large = call("/gogochat.v1.SyncService/Sync", vec![0; 64 * 1024 + 1]).await;
    assert_eq!(error(&large).code, "body_too_large");
    let huge = call("/gogochat.v1.SyncService/Sync", vec![0; 1024 * 1024]).await;
    assert_ne!(huge.code(), Code::Ok);
    for path in ["/gogochat.node.v1.NodeService/Invoke", "/gogochat.v1.NoService/Nothing"] {
        assert_eq!(call(path, vec![]).await.code(), Code::Unimplemented);
    }
}

/// Bytes on the wire as they are.
#[derive(Debug, Clone, Default, PartialEq)]
struct RawMessage(Bytes);

impl prost::Message for RawMessage {
    fn encode_raw(&self, out: &mut impl bytes::BufMut) {
        out.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: prost::encoding::WireType,
        _: &mut impl bytes::Buf,
        _: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {}
}

const SERVICES: [&str; 5] = [
    "",
    "gogochat.v1.AccountService",
    "gogochat.v1.SocialService",
    "gogochat.v1.ChatService",
    "gogochat.v1.SyncService",
];

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn health_of_each_service_follows_readiness_and_the_drain() {
    let (node, channel) = public().await;
    let mut health = HealthClient::new(channel);
    let mut watched = Vec::new();
    for service in SERVICES {
        watched.push(health.watch(of(service)).await.unwrap().into_inner());
    }
    let mut all_are = async |expected: ServingStatus| {
        for (service, watch) in SERVICES.iter().zip(&mut watched) {
            assert_eq!(health.check(of(service)).await.unwrap().into_inner().status(), expected, "{service}");
            // Who watches is told.
            let told = soon(watch.message()).await.unwrap().unwrap();
            assert_eq!(told.status(), expected, "{service}");
        }
    };
    all_are(ServingStatus::Serving).await;
    node.core.set_serving(false).await;
    all_are(ServingStatus::NotServing).await;
    node.core.set_serving(true).await;
    all_are(ServingStatus::Serving).await;
    node.core.drain(Duration::from_secs(1)).await;
    all_are(ServingStatus::NotServing).await;
    let unknown = health.check(of("gogochat.node.v1.NodeService")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn what_does_not_run_here_is_not_serving() {
    let services = vec![Service::Account, Service::Presence];
    let node = Node::with(CoreConfig { services, ..config() }, |storage| storage).await;
    let mut health = HealthClient::new(serve(node.core.public_service()));
    for (service, runs) in SERVICES.into_iter().zip([true, true, true, false, false]) {
        let expected = if runs { ServingStatus::Serving } else { ServingStatus::NotServing };
        assert_eq!(health.check(of(service)).await.unwrap().into_inner().status(), expected, "{service}");
    }
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_told_as_such() {
    let faults = Faults::new();
    let node = Node::with(config(), |storage| faults.before(storage)).await;
    let (bob, carol) = (node.register("bob").await, node.register("carol").await);
    let log = node.befriend(&bob, &carol).await;
    let send = async |text: &str, timeout: &str| {
        let body = message(log, text).encode_to_vec();
        soon(raw(node.core.public_service(), "/gogochat.v1.ChatService/SendMessage", &bob.token, timeout, &body)).await
    };
    faults.hold();
    for timeout in ["1m", "50m", "200m", "1S"] {
        let late = send("late", timeout).await.unwrap_err();
        assert_eq!((late.code(), error(&late).code.as_str()), (Code::DeadlineExceeded, "deadline_exceeded"));
        assert_eq!(error(&late).retry_after_ms, 500);
    }
    faults.release();
    assert!(send("in time", "10S").await.is_ok());
}

/// A call of a client that has no clock of its own: what it gets is the server's answer.
async fn raw(routes: Routes, path: &str, token: &str, timeout: &str, body: &[u8]) -> Result<Bytes, Status> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (dial, dialled) = mpsc::channel::<std::io::Result<_>>(1);
    dial.send(Ok(far)).await.unwrap();
    tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(ReceiverStream::new(dialled)));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.unwrap();
    tokio::spawn(connection);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let request = http::Request::post(format!("http://core{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {token}"))
        .header("grpc-timeout", timeout)
        .body(Full::new(Bytes::from([&[0], &length[..], body].concat())))
        .unwrap();
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    // An error comes in the headers alone.
    match Status::from_header_map(&parts.headers) {
        Some(status) => Err(status),
        None => Ok(body.collect().await.unwrap().to_bytes()),
    }
}

#[tokio::test]
async fn reflection_lists_what_clients_can_call() {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let (_node, channel) = public().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    for expected in ["gogochat.v1.AccountService", "gogochat.v1.SyncService", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
    assert!(!names.iter().any(|name| name.starts_with("gogochat.node")), "{names:?}");
}
