//! The core: every decision. Who may do what, in which order, committed once, and whom to send it
//! to.
//!
//! ARCHITECTURE.md shows its layers: services below, the gateway above them, the start above all.

mod account;
mod auth;
mod authorize;
mod chat;
mod clock;
mod command;
mod config;
mod failure;
mod fanout;
mod feed;
mod gateway;
mod log;
pub mod metrics;
mod outside;
mod presence;
mod social;
mod start;
mod sync;
mod text;

use std::{sync::Arc, time::Duration};

use gogochat_proto::{method::DESCRIPTORS, node::node_service_server::NodeServiceServer};
use gogochat_storage::open::Storage;
use parking_lot::Mutex;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};

pub use self::{
    auth::{HashError, OneTimePassword},
    config::{Argon2Cost, CoreConfig, Rate, Rates, Registration},
    start::StartError,
    text::user_name,
};
use self::{
    gateway::{
        Gateway, Phase,
        node::Node,
        public::{self, Public},
    },
    outside::Outside,
    start::Running,
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

impl Core {
    /// Starts a core on what is open: its workers, its presence, its housekeeping.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: CoreConfig, storage: Storage) -> Result<Self, StartError> {
        let Running { gateway, state, outside, workers, closing, tasks, stop } = start::start(&config, storage).await?;
        let core = Self {
            gateway,
            health: HealthReporter::new(),
            state,
            outside,
            grace: config.drain_grace,
            workers,
            closing,
            tasks,
            stop: stop.drop_guard(),
        };
        core.set_serving(core.ready().is_ok()).await;
        Ok(core)
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
        if self.gateway.has_reached(Phase::Draining) {
            return Err("draining".to_owned());
        }
        self.state.lock().clone()?;
        self.outside.ready()
    }

    /// Tells callers of gRPC health, and those who watch it, whether this process can serve: of the whole ("") and
    /// of each public service. One of which no method runs here is never serving.
    pub async fn set_serving(&self, serving: bool) {
        for name in public::NAMES.iter().copied().chain([""]) {
            let status = if serving && (name.is_empty() || self.gateway.runs_some_of(name)) {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            self.health.set_service_status(name, status).await;
        }
    }

    /// Goes away in good order, one step after the other:
    ///
    /// 1. Edges are told, and open their sessions at other cores.
    /// 2. Commands are refused. What was taken is committed and answered.
    /// 3. Partitions are handed over, and the answers go to the edges.
    /// 4. Each edge's stream ends once it was sent everything.
    ///
    /// What is not done by the deadline is left: nobody was promised it.
    pub async fn drain(&self, deadline: Duration) {
        let grace = self.grace.min(deadline / 2);
        if grace.is_zero() {
            self.gateway.refuse_commands();
        }
        self.gateway.begin_drain(deadline);
        self.set_serving(false).await;
        let fanout = &self.gateway.fanout;
        let sessions_left = async {
            while fanout.attachments().iter().any(|attachment| !attachment.is_empty()) {
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
            for attachment in fanout.attachments() {
                attachment.queue.empty().await;
            }
            // What was promised is done; what contacts should know comes last.
            let _ = tokio::time::timeout(SEE_OFF, self.gateway.services.presence.see_off()).await;
            for attachment in fanout.attachments() {
                attachment.queue.empty().await;
            }
            self.gateway.end_attachments().await;
        };
        if tokio::time::timeout(deadline, finish).await.is_err() {
            tracing::warn!(commands = fanout.progress.in_flight(), "not everything was finished by the deadline");
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

/// Of a drain, for presence: whoever is not seen off by then lapses.
const SEE_OFF: Duration = Duration::from_secs(2);
const DRAIN_STEP: Duration = Duration::from_millis(20);
/// An edge's batch: what it had waiting.
const MAX_NODE_MESSAGE: usize = 16 * 1024 * 1024;
