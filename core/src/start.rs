//! The start of a core, phase by phase.

use std::{sync::Arc, time::Duration};

use gogochat_proto::service::Service;
use gogochat_storage::{
    blobs::Blobs,
    bus::{Bus, BusCommand, BusError, Room},
    open::Storage,
    presence::Presence as Directory,
    store::{Store, StoreError},
};
use parking_lot::Mutex;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    account::{
        Account,
        admin::Admin,
        follow::Follower,
        sign_out::{NotifyBy, SIGN_OUT, SignOuts},
    },
    auth::{Auth, HashError},
    chat::{Chat, MarkCollector, announce, shared_bus, worker::Worker},
    clock::now_ms,
    config::CoreConfig,
    fanout::Fanout,
    feed::{Following, UnreadCheck},
    gateway::{
        Gateway, Parts,
        dispatch::{Services, ordered},
    },
    metrics::Metrics,
    outside::Outside,
    presence::Presence,
    social::Social,
    sync::Sync,
};

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

/// What runs of a core.
pub(crate) struct Running {
    pub(crate) gateway: Arc<Gateway>,
    /// Why the workers cannot go on, if so.
    pub(crate) state: Arc<Mutex<Result<(), String>>>,
    pub(crate) outside: Outside,
    pub(crate) workers: TaskTracker,
    /// Cancelled when no command comes any more.
    pub(crate) closing: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// Starts all of a core.
///
/// # Errors
/// [`StartError`].
pub(crate) async fn start(config: &CoreConfig, storage: Storage) -> Result<Running, StartError> {
    let start = Start::new(config, storage)?;
    // A start that fails leaves no task behind.
    let guard = start.stop.clone().drop_guard();
    start.follow_sign_outs().await?;
    let outside = start.watch_outside();
    let services = start.services();
    let state = start.work().await?;
    start.keep_house();
    let gateway = start.open_gateway(services);
    let Start { workers, closing, tasks, .. } = start;
    let stop = guard.disarm();
    Ok(Running { gateway, state, outside, workers, closing, tasks, stop })
}

/// What the phases share.
struct Start<'a> {
    config: &'a CoreConfig,
    /// Whether edges attach here.
    runs_chat: bool,
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    /// The way to this core's own worker, where cores share the bus.
    local: Option<Arc<dyn Bus>>,
    directory: Arc<dyn Directory>,
    blobs: Arc<dyn Blobs>,
    metrics: Arc<Metrics>,
    auth: Arc<Auth>,
    fanout: Arc<Fanout>,
    marks: Arc<MarkCollector>,
    sign_outs: Arc<SignOuts>,
    workers: TaskTracker,
    closing: CancellationToken,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<'a> Start<'a> {
    /// Phase 1: what all services need.
    fn new(config: &'a CoreConfig, storage: Storage) -> Result<Self, StartError> {
        let Storage { store, bus, local, presence: directory, blobs, .. } = storage;
        let runs_chat = config.services.contains(&Service::Chat);
        let metrics = Arc::new(Metrics::default());
        let auth = Arc::new(Auth::new(store.clone(), config)?);
        let fanout = Arc::new(Fanout::new(config.waiting_calls, metrics.clone()));
        let marks = Arc::new(MarkCollector::new(store.clone(), fanout.clone(), metrics.clone(), config.marks_waiting));
        let notify_by = match (&local, runs_chat) {
            (Some(_), attached) => NotifyBy::Bus { bus: bus.clone(), attached },
            (None, true) => NotifyBy::Attachments,
            (None, false) => NotifyBy::Answers,
        };
        let sign_outs = Arc::new(SignOuts::new(auth.clone(), fanout.clone(), notify_by));
        Ok(Self {
            config,
            runs_chat,
            store,
            bus,
            local,
            directory,
            blobs,
            metrics,
            auth,
            fanout,
            marks,
            sign_outs,
            workers: TaskTracker::new(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Phase 2: who is signed out from here on, before any session opens.
    async fn follow_sign_outs(&self) -> Result<(), StartError> {
        let follower = Follower::begin(self.store.clone(), self.sign_outs.clone()).await?;
        self.spawn(follower.run());
        Ok(())
    }

    /// Phase 3: whether store, bus, presence and blobs answer.
    fn watch_outside(&self) -> Outside {
        let outside = Outside::default();
        for look in outside.looks(self.runs_chat, &self.store, &self.bus, &self.directory, &self.blobs, &self.metrics) {
            self.spawn(look);
        }
        outside
    }

    /// Phase 4: the services, and the task of presence.
    fn services(&self) -> Services {
        let Self { config, store, auth, fanout, sign_outs, .. } = self;
        let (presence, moves) =
            Presence::new(store.clone(), self.directory.clone(), fanout.clone(), self.metrics.clone(), config);
        let presence = Arc::new(presence);
        if self.runs_chat {
            self.spawn(presence.clone().run(moves));
        }
        Services {
            account: Account::new(store.clone(), auth.clone(), sign_outs.clone(), self.fanout.clone(), config),
            admin: Admin::new(store.clone(), auth.clone(), sign_outs.clone()),
            social: Social::new(store.clone()),
            chat: Chat::new(store.clone(), store.clone(), auth.clone()),
            sync: Sync::new(store.clone()),
            presence,
        }
    }

    /// Phase 5: the workers and the announcer of what they settle, where chat runs.
    async fn work(&self) -> Result<Arc<Mutex<Result<(), String>>>, StartError> {
        let state = Arc::new(Mutex::new(Ok(())));
        if !self.runs_chat {
            return Ok(state);
        }
        let Self { store, bus, local, fanout, sign_outs, stop, .. } = self;
        let (announcer, settled) = mpsc::channel(SETTLED);
        // What has to be committed here; where cores share a bus, what comes by that as well.
        let own = local.as_ref().unwrap_or(bus);
        let (mut worker, consumer) = (self.worker(), own.consumer().await?);
        let (announce_to, ended) = (announcer.clone(), stop.clone());
        let working = self.workers.spawn(async move {
            worker.run(consumer, &announce_to, &ended).await;
            Ok(())
        });
        self.watch_worker(&state, working);
        if local.is_some() {
            let (bus, fanout, closing, stop) = (bus.clone(), fanout.clone(), self.closing.clone(), stop.clone());
            let sharing = shared_bus::run(self.worker(), bus, fanout, announcer, closing, stop);
            self.watch_worker(&state, self.workers.spawn(sharing));
        }
        let sign_outs = sign_outs.clone();
        let notice = move |command: &BusCommand| sign_outs.heard(command.user, command.device);
        self.workers.spawn(self.marks.clone().run(self.closing.clone(), stop.clone()));
        // It ends with its workers, when everything was announced.
        self.workers.spawn(announce::run(fanout.clone(), store.clone(), settled, notice));
        Ok(state)
    }

    fn worker(&self) -> Worker {
        let (store, fanout, metrics) = (self.store.clone(), self.fanout.clone(), self.metrics.clone());
        let CoreConfig { batch_max: commands, batch_rows: rows, batch_bytes: bytes, .. } = *self.config;
        Worker::new(store, fanout, metrics, ordered(), &[SIGN_OUT], self.marks.clone(), Room { commands, rows, bytes })
    }

    /// Without its worker a core is not ready, however the worker has ended.
    fn watch_worker(&self, state: &Arc<Mutex<Result<(), String>>>, worker: JoinHandle<Result<(), BusError>>) {
        let state = state.clone();
        self.tasks.spawn(async move {
            if let Ok(Err(error)) = worker.await {
                tracing::error!(%error, "the bus gives no commands");
            }
            *state.lock() = Err(WORKER_ENDED.to_owned());
        });
    }

    /// Phase 6: counts what waits, and forgets what has had its effect.
    fn keep_house(&self) {
        if self.runs_chat {
            let check = UnreadCheck::new(self.store.clone(), self.metrics.clone());
            let assigned = self.bus.assigned();
            self.spawn(Following::new(check, self.store.clone(), self.metrics.clone(), assigned).run());
            self.spawn(raise_floor(self.store.clone()));
        }
        let (auth, fanout, metrics) = (self.auth.clone(), self.fanout.clone(), self.metrics.clone());
        self.spawn(async move {
            let mut look = tokio::time::interval(LOOK_EVERY);
            look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for round in 0_u64.. {
                look.tick().await;
                metrics.bus_depth.set(fanout.progress.in_flight() as f64);
                if round.is_multiple_of(SWEEP_ROUNDS) {
                    auth.sweep();
                }
            }
        });
    }

    /// Phase 7: the way in.
    fn open_gateway(&self, services: Services) -> Arc<Gateway> {
        let parts = Parts {
            services,
            auth: self.auth.clone(),
            store: self.store.clone(),
            bus: self.bus.clone(),
            local: self.local.clone().unwrap_or_else(|| self.bus.clone()),
            sign_outs: self.sign_outs.clone(),
            fanout: self.fanout.clone(),
            marks: self.marks.clone(),
            metrics: self.metrics.clone(),
            stop: self.stop.clone(),
            tasks: self.tasks.clone(),
        };
        let gateway = Arc::new(Gateway::new(parts, self.config));
        self.spawn(gateway.clone().renew_tickets());
        gateway
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }
}

/// Raises the floor of the feed now and then, and drops what nobody follows. Cores take turns by what the
/// store has of it: one whose clock is off does so more often or less, and does no harm.
async fn raise_floor(store: Arc<dyn Store>) {
    let mut turn = tokio::time::interval(FLOOR_EVERY);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        let now = now_ms();
        let since = now - FLOOR_EVERY.as_millis() as i64 * 3 / 4;
        let raised = async { store.trim_feed(store.raise_floor(now, since).await?, KEPT).await };
        if let Err(error) = raised.await {
            // What has moved comes again for a while longer.
            tracing::debug!(%error, "the feed's floor was not raised");
        }
    }
}

const WORKER_ENDED: &str = "the chat worker has ended";
const LOOK_EVERY: Duration = Duration::from_secs(2);
const SWEEP_ROUNDS: u64 = 30;
/// What moved so short a time before a device's last Sync may be told to it again; and so often the rows
/// of an active conversation's members are written.
const FLOOR_EVERY: Duration = Duration::from_secs(60);
/// Positions that are kept in the feed for a follower that is behind.
const KEPT: i64 = 1_000_000;
/// Settled batches that may wait to be announced: past it the worker waits, and its bus fills.
const SETTLED: usize = 4;
