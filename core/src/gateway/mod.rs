//! The way in: edges by Attach and Invoke, clients by gRPC. The one place that knows every service.

mod attach;
mod dispatch;
mod invoke;
mod open;
pub(crate) mod public;
mod publish;
mod tickets;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use gogochat_proto::{
    node::{
        EdgeBatch, EdgeHello, InvokeReply, InvokeRequest, core_item::Item, edge_item, invoke_request,
        node_service_server::NodeService,
    },
    service::Service,
};
use gogochat_storage::{bus::Bus, clock, store::Store};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};

pub(crate) use self::dispatch::ordered;
use self::{
    attach::{End, Reader},
    invoke::Credentials,
    open::opener,
    tickets::TicketKeys,
};
use crate::{
    account::{Account, sign_out::SignOuts},
    auth::{self, Auth},
    chat::{CERTAIN, Chat},
    config::CoreConfig,
    fanout::{Attachment, Batches, Hub, Outbox, replay, revoked},
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
    pub(crate) local: Arc<dyn Bus>,
    pub(crate) sign_outs: Arc<SignOuts>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    tickets: TicketKeys,
    runs: Vec<Service>,
    call_deadline: Duration,
    outbox: (usize, usize),
    draining: AtomicBool,
    closed: AtomicBool,
    ended: AtomicBool,
}

/// What a gateway stands on.
pub(crate) struct Ground {
    pub(crate) services: Services,
    pub(crate) auth: Arc<Auth>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    /// The way to a worker of this core.
    pub(crate) local: Arc<dyn Bus>,
    pub(crate) sign_outs: Arc<SignOuts>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Gateway {
    pub(crate) fn new(ground: Ground, config: &CoreConfig) -> Self {
        let Ground { services, auth, store, bus, local, sign_outs, hub, metrics, stop, tasks } = ground;
        Self {
            services,
            auth,
            store,
            bus,
            local,
            sign_outs,
            hub,
            metrics,
            stop,
            tasks,
            tickets: TicketKeys::default(),
            runs: config.services.clone(),
            call_deadline: config.call_deadline,
            outbox: (config.outbox_items, config.outbox_bytes),
            draining: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// Whether a service runs here.
    pub(crate) fn runs(&self, service: Service) -> bool {
        self.runs.contains(&service)
    }

    /// Whether the core is going away.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Whether commands are refused because the core is going away.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Tells the edges, and opens no more sessions.
    pub(crate) fn begin_drain(&self, deadline: Duration) {
        self.draining.store(true, Ordering::SeqCst);
        let drain_ms = i32::try_from(deadline.as_millis()).unwrap_or(i32::MAX);
        for attachment in self.hub.attachments() {
            attachment.push(Item::DrainMs(drain_ms));
        }
    }

    /// Tells the edges a new key for tickets whenever it is time.
    pub(crate) async fn renew_tickets(self: Arc<Self>) {
        let mut look = tokio::time::interval(RENEW_TICKETS);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            self.renew_ticket_key();
        }
    }

    /// Tells every edge that is attached a new key, if it is time.
    fn renew_ticket_key(&self) {
        if let Some(key) = self.tickets.renew(Instant::now()) {
            for attachment in self.hub.attachments() {
                attachment.push(Item::TicketKey(key.clone()));
            }
        }
    }

    /// Takes no more commands.
    pub(crate) fn refuse_commands(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Takes no more commands; the workers end once they have worked off what was taken.
    pub(crate) async fn close(&self) {
        self.refuse_commands();
        self.bus.close().await;
        self.local.close().await;
    }

    /// The workers have ended: where everything that was committed here was told, each edge is told so, and its stream ends in good order, so that it need
    /// not have others look for more.
    pub(crate) async fn end_attachments(&self) {
        self.ended.store(true, Ordering::SeqCst);
        if !self.hub.progress.is_all_told(Instant::now(), CERTAIN) {
            return tracing::warn!("something may have been committed and not told: the edges look for it");
        }
        let until = tokio::time::Instant::now() + HEAR_OUT;
        let ends = self.hub.attachments().into_iter().map(|attachment| async move {
            attachment.drained();
            tokio::select! {
                () = attachment.heard_out.cancelled() => attachment.gone.cancelled().await,
                () = attachment.gone.cancelled() => {}
                // It does not know of this.
                () = tokio::time::sleep_until(until) => {}
            }
        });
        join_all(ends).await;
    }

    /// Serves an edge until either side ends it.
    fn attach(self: &Arc<Self>, mut inbound: Streaming<EdgeBatch>) -> (Arc<Outbox>, CancellationToken) {
        let (items, bytes) = self.outbox;
        let outbox = Arc::new(Outbox::new(items, bytes));
        let ended = self.stop.child_token();
        let (gateway, out, end) = (self.clone(), outbox.clone(), ended.clone());
        self.tasks.spawn(async move {
            match end.run_until_cancelled(hello(&mut inbound)).await {
                Some(Ok((edge, first))) => gateway.serve(edge, first, inbound, &out, &end).await,
                Some(Err(status)) => out.close(status),
                None => {}
            }
            out.close(Status::unavailable("detached"));
            end.cancel();
        });
        (outbox, ended)
    }

    async fn serve(
        self: &Arc<Self>,
        edge: EdgeHello,
        first: EdgeBatch,
        inbound: Streaming<EdgeBatch>,
        outbox: &Arc<Outbox>,
        ended: &CancellationToken,
    ) {
        tracing::info!(edge = edge.node, version = edge.version, "an edge attached");
        if let Some(skew) = clock::skew(edge.clock_ms, clock::now_ms()) {
            tracing::warn!(
                edge = edge.node,
                "the edge's clock is {skew} this core's: keep both by NTP, or its sessions end at the wrong time"
            );
        }
        let attachment = Arc::new(Attachment::new(edge.instance, &edge.node, outbox.clone(), ended.clone()));
        self.renew_ticket_key();
        self.hub.attach(&attachment).await;
        if self.is_draining() {
            attachment.push(Item::DrainMs(0));
        }
        for (user, device) in self.auth.lately_revoked() {
            attachment.push(Item::Revoke(revoked(user, device)));
        }
        for key in self.tickets.all() {
            attachment.push(Item::TicketKey(key));
        }
        let (opens, opening) = mpsc::channel(OPENS);
        let opener = self.tasks.spawn(opener(self.clone(), attachment.clone(), opening));
        let replay = self.tasks.spawn(replay(self.hub.clone(), self.store.clone(), attachment.clone()));
        let reader = Reader::new(self.clone(), attachment.clone(), opens).run(first, inbound);
        if ended.run_until_cancelled(reader).await == Some(End::InOrder) {
            ended.run_until_cancelled(attachment.finish()).await;
        }
        ended.cancel();
        // Nothing of this edge's is noted any more once both have ended.
        let _ = tokio::join!(opener, replay);
        self.detach(&attachment);
    }

    fn detach(&self, attachment: &Attachment) {
        self.hub.detach(attachment.id);
        if attachment.outbox.overflowed() {
            tracing::warn!(edge = attachment.edge, "an edge reads too slowly: detached");
            self.metrics.slow_edges.increment(1);
        }
        attachment.outbox.close(Status::unavailable("detached"));
        for (session, state) in attachment.take_sessions() {
            self.left(attachment, session, state);
        }
        attachment.gone.cancel();
        tracing::info!(edge = attachment.edge, "an edge detached");
    }
}

/// The first batch: who it is, and what else it says.
async fn hello(inbound: &mut Streaming<EdgeBatch>) -> Result<(EdgeHello, EdgeBatch), Status> {
    let first = tokio::time::timeout(HELLO_TIMEOUT, inbound.message()).await;
    let mut batch = first
        .map_err(|_| Status::deadline_exceeded("the hello did not come"))??
        .ok_or_else(|| Status::invalid_argument("the stream ended before the hello"))?;
    let wrong = || Status::invalid_argument("the first item has to be the hello");
    if batch.items.is_empty() {
        return Err(wrong());
    }
    match batch.items.remove(0).item {
        Some(edge_item::Item::Hello(edge)) => Ok((edge, batch)),
        _ => Err(wrong()),
    }
}

/// The node service, as edges call it.
pub(crate) struct Node(pub(crate) Arc<Gateway>);

#[tonic::async_trait]
impl NodeService for Node {
    type AttachStream = Batches<Box<dyn FnOnce() + Send>>;

    async fn attach(&self, request: Request<Streaming<EdgeBatch>>) -> Result<Response<Self::AttachStream>, Status> {
        if !self.0.runs(Service::Chat) {
            return Err(Status::failed_precondition("this core does not run chat"));
        }
        if self.0.ended.load(Ordering::SeqCst) {
            return Err(Status::unavailable("this core has gone away"));
        }
        let (outbox, ended) = self.0.attach(request.into_inner());
        Ok(Response::new(Batches::new(outbox, Box::new(move || ended.cancel()))))
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
        let revoked = self.0.sign_outs.take_untold();
        Ok(Response::new(match answer {
            Ok(body) => InvokeReply { body, error: None, revoked },
            Err(error) => InvokeReply { error: Some(error), revoked, ..Default::default() },
        }))
    }
}

/// How often a look is taken whether it is time for a new key.
const RENEW_TICKETS: Duration = Duration::from_secs(60);
/// How long an edge has to end its side of a stream, once nothing is committed here any more.
const HEAR_OUT: Duration = Duration::from_secs(2);
/// From a stream's beginning to its hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Sessions of one edge that may wait to be opened: as many as an edge may have, as all of them come at once when another core is lost.
const OPENS: usize = 1 << 20;
