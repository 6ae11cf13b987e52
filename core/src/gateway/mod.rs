//! The way into a core: edges come by Attach and Invoke, clients by gRPC. The one module that knows
//! every service.

mod attach;
mod deadline;
pub(crate) mod dispatch;
mod edge_stream;
mod invoke;
mod lanes;
pub(crate) mod node;
mod open;
mod phase;
pub(crate) mod public;
mod publish;
mod tickets;
mod typing;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use gogochat_proto::{
    error::ErrorCode,
    method::{self, Method},
    node::core_item::Item,
    service::Service,
    v1,
};
use gogochat_storage::{bus::Bus, store::Store};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::phase::Phase;
use self::{dispatch::Services, phase::Reached, tickets::TicketKeys, typing::Typing};
use crate::{
    account::sign_out::SignOuts,
    auth::Auth,
    chat::{CERTAIN, MarkCollector},
    config::CoreConfig,
    fanout::Fanout,
    metrics::Metrics,
};

/// The way in.
pub(crate) struct Gateway {
    pub(crate) services: Services,
    pub(crate) auth: Arc<Auth>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) local: Arc<dyn Bus>,
    pub(crate) sign_outs: Arc<SignOuts>,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) marks: Arc<MarkCollector>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    tickets: TicketKeys,
    typing: Typing,
    runs: Vec<Service>,
    call_deadline: Duration,
    queue_items: usize,
    queue_bytes: usize,
    phase: Reached,
}

/// What a gateway is made of.
pub(crate) struct Parts {
    pub(crate) services: Services,
    pub(crate) auth: Arc<Auth>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    /// The way to a worker of this core.
    pub(crate) local: Arc<dyn Bus>,
    pub(crate) sign_outs: Arc<SignOuts>,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) marks: Arc<MarkCollector>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Gateway {
    pub(crate) fn new(parts: Parts, config: &CoreConfig) -> Self {
        let Parts { services, auth, store, bus, local, sign_outs, fanout, marks, metrics, stop, tasks } = parts;
        let typing = Typing::start(&tasks, &stop, store.clone(), fanout.clone());
        Self {
            typing,
            services,
            auth,
            store,
            bus,
            local,
            sign_outs,
            fanout,
            marks,
            metrics,
            stop,
            tasks,
            tickets: TicketKeys::default(),
            runs: config.services.clone(),
            call_deadline: config.call_deadline,
            queue_items: config.edge_queue_items,
            queue_bytes: config.edge_queue_bytes,
            phase: Reached::default(),
        }
    }

    /// Whether a service runs here.
    pub(crate) fn runs(&self, service: Service) -> bool {
        self.runs.contains(&service)
    }

    /// Whether some method of a public service ("gogochat.v1.ChatService") runs here.
    pub(crate) fn runs_some_of(&self, name: &str) -> bool {
        let of_it = |method: &&Method| method.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        method::all().filter(of_it).any(|method| self.runs(Service::of(method)))
    }

    /// Whether this phase of going away, or a later one, has begun.
    pub(crate) fn has_reached(&self, phase: Phase) -> bool {
        self.phase.has(phase)
    }

    /// Tells the edges, and opens no more sessions.
    pub(crate) fn begin_drain(&self, deadline: Duration) {
        self.phase.begin(Phase::Draining);
        let drain_ms = i32::try_from(deadline.as_millis()).unwrap_or(i32::MAX);
        for attachment in self.fanout.attachments() {
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
            for attachment in self.fanout.attachments() {
                attachment.push(Item::TicketKey(key.clone()));
            }
        }
    }

    /// Takes no more commands.
    pub(crate) fn refuse_commands(&self) {
        self.phase.begin(Phase::Refusing);
    }

    /// Takes no more commands; the workers end once they have worked off what was taken.
    pub(crate) async fn close(&self) {
        self.refuse_commands();
        self.bus.close().await;
        self.local.close().await;
    }

    /// The workers have ended. Where everything that was committed here was sent, each edge is told so, and
    /// its stream ends in good order: it need not have other cores look for more.
    pub(crate) async fn end_attachments(&self) {
        self.phase.begin(Phase::Ended);
        if !self.fanout.progress.is_all_sent(Instant::now(), CERTAIN) {
            return tracing::warn!("something may have been committed and not sent: the edges look for it");
        }
        let until = tokio::time::Instant::now() + HEAR_OUT;
        let ends = self.fanout.attachments().into_iter().map(|attachment| async move {
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
}

pub(crate) fn draining() -> v1::Error {
    ErrorCode::Unavailable.with("the server is going away")
}

/// How often a look is taken whether it is time for a new key.
const RENEW_TICKETS: Duration = Duration::from_secs(60);
/// How long an edge has to end its side of a stream, once nothing is committed here any more.
const HEAR_OUT: Duration = Duration::from_secs(2);
