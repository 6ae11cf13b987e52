//! The way in: edges by Attach and Invoke, clients by gRPC. The one place that knows every service.

mod attach;
mod dispatch;
mod invoke;
mod open;
pub(crate) mod public;
mod publish;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gogochat_proto::node::{
    EdgeBatch, InvokeReply, InvokeRequest, core_item::Item, invoke_request, node_service_server::NodeService,
};
use gogochat_storage::{bus::Bus, store::Store};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};

pub(crate) use self::dispatch::ordered;
use self::{attach::Reader, invoke::Credentials, open::opener};
use crate::{
    account::Account,
    auth::{self, Auth},
    chat::Chat,
    config::CoreConfig,
    fanout::{Attachment, Batches, Hub, Outbox, replay},
    metrics::Metrics,
    presence::Presence,
    social::Social,
    sync::Sync,
};

/// What answers calls.
pub(crate) struct Services {
    pub(crate) account: Account,
    pub(crate) social: Social,
    pub(crate) chat: Chat,
    pub(crate) sync: Sync,
    pub(crate) presence: Arc<Presence>,
}

/// The way in.
pub(crate) struct Gateway {
    pub(crate) services: Services,
    pub(crate) auth: Arc<Auth>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    call_deadline: Duration,
    outbox: (usize, usize),
    draining: AtomicBool,
}

/// What a gateway stands on.
pub(crate) struct Ground {
    pub(crate) services: Services,
    pub(crate) auth: Arc<Auth>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Gateway {
    pub(crate) fn new(ground: Ground, config: &CoreConfig) -> Self {
        let Ground { services, auth, store, bus, hub, metrics, stop, tasks } = ground;
        Self {
            services,
            auth,
            store,
            bus,
            hub,
            metrics,
            stop,
            tasks,
            call_deadline: config.call_deadline,
            outbox: (config.outbox_items, config.outbox_bytes),
            draining: AtomicBool::new(false),
        }
    }

    /// Whether commands are refused because the core is going away.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Tells the edges, and takes no more commands.
    pub(crate) fn begin_drain(&self, deadline: Duration) {
        self.draining.store(true, Ordering::SeqCst);
        let drain_ms = i32::try_from(deadline.as_millis()).unwrap_or(i32::MAX);
        for attachment in self.hub.attachments() {
            attachment.push(Item::DrainMs(drain_ms));
        }
    }

    /// Serves an edge until either side ends it.
    fn attach(self: &Arc<Self>, inbound: Streaming<EdgeBatch>) -> Arc<Attachment> {
        let (items, bytes) = self.outbox;
        // Never 0, which stands for this core itself.
        let id = rand::random::<u64>().max(1);
        let attachment = Arc::new(Attachment::new(id, Outbox::new(items, bytes), self.stop.child_token()));
        self.hub.attach(attachment.clone());
        let (gateway, edge) = (self.clone(), attachment.clone());
        self.tasks.spawn(async move {
            let (opens, opening) = mpsc::channel(OPENS);
            let opener = gateway.tasks.spawn(opener(gateway.clone(), edge.clone(), opening));
            let replay = gateway.tasks.spawn(replay(gateway.hub.clone(), gateway.store.clone(), edge.clone()));
            let reader = Reader::new(gateway.clone(), edge.clone(), opens).run(inbound);
            edge.ended.run_until_cancelled(reader).await;
            edge.ended.cancel();
            // Nothing of this edge's is noted any more once both have ended.
            let _ = tokio::join!(opener, replay);
            gateway.detach(&edge);
        });
        attachment
    }

    fn detach(&self, attachment: &Attachment) {
        self.hub.detach(attachment.id);
        if attachment.outbox.overflowed() {
            tracing::warn!(attachment = attachment.id, "an edge reads too slowly: detached");
            self.metrics.slow_edges.increment(1);
        }
        attachment.outbox.close(Status::unavailable("detached"));
        for (session, state) in attachment.take_sessions() {
            self.left(attachment, session, state);
        }
        tracing::info!(attachment = attachment.id, "an edge detached");
    }
}

/// The node service, as edges call it.
pub(crate) struct Node(pub(crate) Arc<Gateway>);

#[tonic::async_trait]
impl NodeService for Node {
    type AttachStream = Batches<Box<dyn FnOnce() + Send>>;

    async fn attach(&self, request: Request<Streaming<EdgeBatch>>) -> Result<Response<Self::AttachStream>, Status> {
        let attachment = self.0.attach(request.into_inner());
        let ended = attachment.ended.clone();
        Ok(Response::new(Batches::new(attachment.outbox.clone(), Box::new(move || ended.cancel()))))
    }

    async fn invoke(&self, request: Request<InvokeRequest>) -> Result<Response<InvokeReply>, Status> {
        let InvokeRequest { method, body, caller, address } = request.into_inner();
        let credentials = match caller {
            Some(invoke_request::Caller::Principal(principal)) => match auth::caller(&principal) {
                Ok(caller) => Credentials::Principal(caller),
                Err(error) => return Ok(Response::new(InvokeReply { error: Some(error), ..Default::default() })),
            },
            Some(invoke_request::Caller::AccessToken(token)) => Credentials::Token(token),
            None => Credentials::Token(String::new()),
        };
        let answer = self.0.call(&method, body, credentials, address.parse().ok()).await;
        Ok(Response::new(match answer {
            Ok(body) => InvokeReply { body, error: None },
            Err(error) => InvokeReply { error: Some(error), ..Default::default() },
        }))
    }
}

/// Sessions of one edge that may wait to be opened.
const OPENS: usize = 16_384;
