//! gRPC for clients.

use bytes::Bytes;
use gogochat_proto::v1::{
    self, account_service_client::AccountServiceClient, chat_service_client::ChatServiceClient,
    sync_service_client::SyncServiceClient,
};
use prost::Message as _;
use tonic::{Code, Request, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::support::{Node, PASSWORD, message, serve};

fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn error(status: &Status) -> v1::Error {
    let bytes = status.metadata().get_bin("gogochat-error-bin").unwrap().to_bytes().unwrap();
    v1::Error::decode(bytes).unwrap()
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

#[tokio::test]
async fn health_follows_the_drain() {
    let (node, channel) = public().await;
    let mut health = HealthClient::new(channel);
    let mut status =
        async || health.check(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner().status();
    assert_eq!(status().await, ServingStatus::Serving);
    node.core.drain(std::time::Duration::from_secs(1)).await;
    assert_eq!(status().await, ServingStatus::NotServing);
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
