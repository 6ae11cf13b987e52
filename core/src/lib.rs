//! Every decision: who may do what, in which order, committed once, and whom to tell.
//!
//! From the ground up, no arrow back: `authorize, auth, log, fanout <- account, social, chat, sync, presence <- gateway <- ` this page.

mod account;
mod auth;
mod authorize;
mod chat;
mod clock;
mod command;
mod config;
mod failure;
mod fanout;
mod gateway;
mod log;
pub mod metrics;
mod outside;
mod presence;
mod seldom;
mod social;
mod sync;
mod text;

use std::{sync::Arc, time::Duration};

use gogochat_proto::{method::DESCRIPTORS, node::node_service_server::NodeServiceServer, service::Service};
use gogochat_storage::{
    bus::{BusCommand, BusError},
    open::Storage,
    store::StoreError,
};
use parking_lot::Mutex;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};

use self::{
    account::{
        Account,
        follow::Follower,
        sign_out::{SIGN_OUT, SignOuts, Way},
    },
    auth::Auth,
    chat::{Chat, worker::Worker},
    fanout::Hub,
    gateway::{
        Gateway, Ground, Node, Services,
        public::{self, Public},
    },
    metrics::Metrics,
    outside::Outside,
    presence::Presence,
    social::Social,
    sync::Sync,
};
pub use self::{
    auth::HashError,
    config::{Argon2Cost, CoreConfig, Rate, Rates},
};

/// A running core. Dropping it ends its tasks.
pub struct Core {
    gateway: Arc<Gateway>,
    health: HealthReporter,
    state: Arc<Mutex<Result<(), String>>>,
    outside: Outside,
    grace: Duration,
    workers: TaskTracker,
    /// Cancelled when no command comes any more.
    closing: CancellationToken,
    tasks: TaskTracker,
    stop: DropGuard,
}

/// Why a core did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The password parameters cannot be used.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The bus gives nothing.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The store does not answer.
    #[error("core.store: {0}")]
    Store(#[from] StoreError),
}

impl Core {
    /// Starts a core on what is open: its worker, its presence, its housekeeping.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: CoreConfig, storage: Storage) -> Result<Self, StartError> {
        let Storage { store, bus, local, presence: directory, blobs, .. } = storage;
        let chat = config.services.contains(&Service::Chat);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let metrics = Arc::new(Metrics::default());

        let auth = Arc::new(Auth::new(store.clone(), &config)?);
        let hub = Arc::new(Hub::new(config.waiting_calls, metrics.clone()));

        let way = match (&local, chat) {
            (Some(_), attached) => Way::Bus { bus: bus.clone(), attached },
            (None, true) => Way::Attached,
            (None, false) => Way::Answers,
        };
        let sign_outs = Arc::new(SignOuts::new(auth.clone(), hub.clone(), way));
        spawn(&tasks, &stop, Follower::begin(store.clone(), sign_outs.clone()).await?.run());
        let outside = Outside::default();
        for look in outside.looks(chat, &store, &bus, &directory, &blobs, &metrics) {
            spawn(&tasks, &stop, look);
        }
        let (presence, moves) = Presence::new(store.clone(), directory, hub.clone(), metrics.clone(), &config);
        let presence = Arc::new(presence);
        if chat {
            spawn(&tasks, &stop, presence.clone().run(moves));
        }
        let services = Services {
            account: Account::new(store.clone(), auth.clone(), sign_outs.clone(), &config),
            social: Social::new(store.clone()),
            chat: Chat::new(store.clone()),
            sync: Sync::new(store.clone()),
            presence,
        };

        let state = Arc::new(Mutex::new(Ok(())));
        let workers = TaskTracker::new();
        let closing = CancellationToken::new();
        if chat {
            let (teller, settled) = mpsc::channel(SETTLED);
            let new_worker = || {
                let (store, hub, metrics) = (store.clone(), hub.clone(), metrics.clone());
                Worker::new(store, hub, metrics, gateway::ordered(), &[SIGN_OUT], config.batch_max)
            };
            let watch = |worker: JoinHandle<Result<(), BusError>>| {
                let working = state.clone();
                tasks.spawn(async move {
                    // However it ends.
                    if let Ok(Err(error)) = worker.await {
                        tracing::error!(%error, "the bus gives no commands");
                    }
                    *working.lock() = Err(WORKER_ENDED.to_owned());
                });
            };
            // What has to be committed here; where cores share a bus, what comes by that as well.
            let own = local.as_ref().unwrap_or(&bus);
            let (mut worker, consumer, tell, ended) =
                (new_worker(), own.consumer().await?, teller.clone(), stop.clone());
            watch(workers.spawn(async move {
                worker.run(consumer, &tell, &ended).await;
                Ok(())
            }));
            if local.is_some() {
                let (bus, hub, closing, stop) = (bus.clone(), hub.clone(), closing.clone(), stop.clone());
                watch(workers.spawn(chat::partake(new_worker(), bus, hub, teller, closing, stop)));
            }
            let heard = sign_outs.clone();
            let notice = move |command: &BusCommand| heard.heard(command.user, command.device);
            // It ends with its workers, when everything was told.
            workers.spawn(chat::worker::tell(hub.clone(), store.clone(), settled, notice));
        }
        let local = local.unwrap_or_else(|| bus.clone());
        spawn(&tasks, &stop, housekeeping(auth.clone(), hub.clone(), metrics.clone()));

        let ground = Ground {
            services,
            auth,
            store,
            bus,
            local,
            sign_outs,
            hub,
            metrics,
            stop: stop.clone(),
            tasks: tasks.clone(),
        };
        let gateway = Arc::new(Gateway::new(ground, &config));
        spawn(&tasks, &stop, gateway.clone().renew_tickets());
        let grace = config.drain_grace;
        Ok(Self {
            gateway,
            health: HealthReporter::new(),
            state,
            outside,
            grace,
            workers,
            closing,
            tasks,
            stop: stop.drop_guard(),
        })
    }

    /// What edges attach to and invoke: to be called in this process or served over mutual TLS, nowhere else.
    #[must_use]
    pub fn node_service(&self) -> Routes {
        Routes::new(NodeServiceServer::new(Node(self.gateway.clone())).max_decoding_message_size(MAX_NODE_MESSAGE))
    }

    /// What clients call by gRPC with a bearer token, with health and reflection.
    #[must_use]
    pub fn public_service(&self) -> Routes {
        let gateway = &self.gateway;
        let health = tonic_health::pb::health_server::HealthServer::new(
            tonic_health::server::HealthService::from_health_reporter(self.health.clone()),
        );
        let mut routes = Routes::new(health)
            .add_service(Public::<public::AccountService>::new(gateway.clone()))
            .add_service(Public::<public::SocialService>::new(gateway.clone()))
            .add_service(Public::<public::ChatService>::new(gateway.clone()))
            .add_service(Public::<public::SyncService>::new(gateway.clone()));
        let reflection = || {
            let builder = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .with_service_name("grpc.health.v1.Health");
            public::NAMES.iter().fold(builder, |builder, name| builder.with_service_name(*name))
        };
        match (reflection().build_v1(), reflection().build_v1alpha()) {
            (Ok(v1), Ok(v1alpha)) => routes = routes.add_service(v1).add_service(v1alpha),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "no reflection: the descriptors do not decode")
            }
        }
        routes
    }

    /// Whether it can serve, as of the last look a moment ago.
    ///
    /// # Errors
    /// What is missing.
    pub fn ready(&self) -> Result<(), String> {
        if self.gateway.is_draining() {
            return Err("draining".to_owned());
        }
        self.state.lock().clone()?;
        self.outside.ready()
    }

    /// Goes away in good order: edges are told and open their sessions at other cores, then commands are refused, what was taken is committed and
    /// answered, partitions are handed over, the answers are handed to the edges, and each edge's stream ends in good order once it was told all. Whatever is not done by the deadline is left: nobody was
    /// promised it.
    pub async fn drain(&self, deadline: Duration) {
        let grace = self.grace.min(deadline / 2);
        if grace.is_zero() {
            self.gateway.refuse_commands();
        }
        self.gateway.begin_drain(deadline);
        for name in public::NAMES.iter().copied().chain([""]) {
            self.health.set_service_status(name, ServingStatus::NotServing).await;
        }
        let hub = &self.gateway.hub;
        let sessions_left = async {
            while hub.attachments().iter().any(|attachment| !attachment.is_empty()) {
                tokio::time::sleep(DRAIN_STEP).await;
            }
        };
        let finish = async {
            let _ = tokio::time::timeout(grace, sessions_left).await;
            self.gateway.close().await;
            self.closing.cancel();
            self.workers.close();
            self.workers.wait().await;
            self.gateway.bus.left().await;
            for attachment in hub.attachments() {
                attachment.outbox.empty().await;
            }
            // What was promised is done; what contacts should know comes last.
            let _ = tokio::time::timeout(SEE_OFF, self.gateway.services.presence.see_off()).await;
            for attachment in hub.attachments() {
                attachment.outbox.empty().await;
            }
            self.gateway.end_attachments().await;
        };
        if tokio::time::timeout(deadline, finish).await.is_err() {
            tracing::warn!(commands = hub.progress.in_flight(), "not everything was finished by the deadline");
        }
    }

    /// Ends every task and waits for their end.
    pub async fn stop(self) {
        let Self { gateway, workers, tasks, stop, .. } = self;
        drop(gateway);
        drop(stop);
        workers.close();
        workers.wait().await;
        tasks.close();
        tasks.wait().await;
    }
}

fn spawn(tasks: &TaskTracker, stop: &CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
    let stop = stop.clone();
    tasks.spawn(async move {
        stop.run_until_cancelled(task).await;
    });
}

/// Counts what waits, and forgets what has had its effect.
async fn housekeeping(auth: Arc<Auth>, hub: Arc<Hub>, metrics: Arc<Metrics>) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for round in 0_u64.. {
        look.tick().await;
        metrics.bus_depth.set(hub.progress.in_flight() as f64);
        if round.is_multiple_of(SWEEP_ROUNDS) {
            auth.sweep();
        }
    }
}

const WORKER_ENDED: &str = "the chat worker has ended";
/// Of a drain, for presence: whoever is not seen off by then lapses.
const SEE_OFF: Duration = Duration::from_secs(2);
const DRAIN_STEP: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_secs(2);
const SWEEP_ROUNDS: u64 = 30;
/// Settled batches that may wait to be told: past it the worker waits, and its bus fills.
const SETTLED: usize = 4;
/// An edge's batch: what it had waiting.
const MAX_NODE_MESSAGE: usize = 16 * 1024 * 1024;
