//! The gRPC service that edges call.

use std::sync::Arc;

use gogochat_proto::{
    node::{EdgeBatch, InvokeReply, InvokeRequest, invoke_request, node_service_server::NodeService},
    service::Service,
};
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument as _;

use super::{
    Gateway, Phase,
    attach::Attached,
    invoke::{Credentials, span},
};
use crate::{auth, fanout::Batches};

/// The node service, as edges call it.
pub(crate) struct Node(pub(crate) Arc<Gateway>);

#[tonic::async_trait]
impl NodeService for Node {
    type AttachStream = Batches<Box<dyn FnOnce() + Send>>;

    async fn attach(&self, request: Request<Streaming<EdgeBatch>>) -> Result<Response<Self::AttachStream>, Status> {
        if !self.0.runs(Service::Chat) {
            return Err(Status::failed_precondition("this core does not run chat"));
        }
        if self.0.has_reached(Phase::Ended) {
            return Err(Status::unavailable("this core has gone away"));
        }
        let Attached { queue, ended } = self.0.attach(request.into_inner());
        Ok(Response::new(Batches::new(queue, Box::new(move || ended.cancel()))))
    }

    async fn invoke(&self, request: Request<InvokeRequest>) -> Result<Response<InvokeReply>, Status> {
        let InvokeRequest { method, body, caller, address, trace_id } = request.into_inner();
        let credentials = match caller {
            Some(invoke_request::Caller::Principal(principal)) => match auth::caller(&principal) {
                Ok(caller) => Credentials::Principal(caller),
                Err(error) => return Ok(Response::new(InvokeReply { error: Some(error), ..Default::default() })),
            },
            Some(invoke_request::Caller::AccessToken(token)) => Credentials::Token(token),
            None => Credentials::Token(String::new()),
        };
        let call = self.0.call(&method, body, credentials, address.parse().ok());
        let answer = call.instrument(span(&trace_id)).await;
        let revoked = self.0.sign_outs.take_unsent();
        Ok(Response::new(match answer {
            Ok(body) => InvokeReply { body, error: None, revoked },
            Err(error) => InvokeReply { error: Some(error), revoked, ..Default::default() },
        }))
    }
}
