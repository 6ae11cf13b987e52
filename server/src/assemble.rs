//! Start-up and shutdown on one page: what a process is made of, in the order in which it begins
//! and ends.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use gogochat_core::Core;
use gogochat_edge::{self as edge, door::Doors};
use gogochat_storage::{
    discovery::{Discovery, DiscoveryError},
    open::{self, OpenError},
};
use sd_notify::NotifyState;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    certificate::Reloadable,
    config::{Config, DiscoveryKind, Role, listeners},
    cores,
    edges::Edges,
    ending::{self, Ending, Signals},
    failover::Failover,
    found,
    identity::Identity,
    membership::Membership,
    node, page,
    patience::patiently,
    reload::{self, Reload},
    settings,
    status::{self, Checks},
    telemetry::{self, Counted},
};

/// Runs what the configuration says until SIGTERM or Ctrl-C, then drains. `ready` is called once
/// everything listens.
///
/// # Errors
/// A part could not start.
pub(crate) fn run(
    config: Config,
    certificate: Option<Arc<Reloadable>>,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(config, certificate, ready));
    runtime.shutdown_timeout(ending::LAST);
    ended
}

async fn serve(
    config: Config,
    certificate: Option<Arc<Reloadable>>,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let process = Process::new(config);
    let Parts { core, edge } = tokio::select! {
        parts = process.start(certificate) => parts?,
        () = signals.asked() => {
            tracing::info!("stopped before it was ready");
            return Ok(());
        }
    };
    process.say_ready();
    ready()?;
    // Where the unit says Type=notify; without it nobody is told.
    notify(&[NotifyState::Ready]);
    let fault = process.run(core.as_ref(), &mut signals).await;
    signals.end_by_the_next();
    notify(&[NotifyState::Stopping]);
    process.drain(core, edge).await;
    fault.map_or(Ok(()), Err)
}

/// Tells systemd.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

/// What every phase needs.
struct Process {
    config: Config,
    /// What all listeners share.
    doors: Arc<Doors>,
    /// Ends all tasks.
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Who this node is, and who else there is.
struct Cluster {
    /// `None`: this process speaks with no other.
    identity: Option<Arc<Identity>>,
    discovery: Arc<dyn Discovery>,
}

/// The core of this process.
struct RunningCore {
    core: Arc<Core>,
    membership: Membership,
}

/// What this process is made of, by its roles.
struct Parts {
    core: Option<RunningCore>,
    edge: Option<RunningEdge>,
}

/// The edge of this process.
struct RunningEdge {
    edge: edge::Edge,
    edges: Edges,
}

impl Process {
    fn new(config: Config) -> Self {
        // A descriptor for each connection, and some for what is none.
        if let Err(error) = Doors::raise_descriptors() {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
        Self { config, doors: Doors::new(), stop: CancellationToken::new(), tasks: TaskTracker::new() }
    }

    /// The start, phase by phase: each part stands on those before it, and clients are let in last.
    async fn start(&self, certificate: Option<Arc<Reloadable>>) -> anyhow::Result<Parts> {
        let metrics = telemetry::start_metrics()?;
        let cluster = self.find_cluster(certificate.as_ref()).await?;
        let core = self.start_core(&cluster).await?;
        let edge = self.start_edge(&cluster, certificate, core.as_ref(), metrics).await?;
        Ok(Parts { core, edge })
    }

    /// Phase 1 of the start: this node's identity, its certificates, and the other nodes.
    async fn find_cluster(&self, certificate: Option<&Arc<Reloadable>>) -> anyhow::Result<Cluster> {
        let Self { config, stop, tasks, .. } = self;
        let identity = config.is_joined().then(|| Identity::open(&config.node, &config.cluster)).transpose()?;
        let mut watched: Vec<Arc<dyn Reload>> = Vec::new();
        watched.extend(certificate.cloned().map(|certificate| certificate as _));
        watched.extend(identity.clone().map(|identity| identity as _));
        let watching = async move {
            if let Err(error) = reload::watch(watched).await {
                tracing::error!(%error, "certificates are not read anew");
            }
        };
        tasks.spawn(stop.clone().run_until_cancelled_owned(watching));
        let finding = settings::discovery(config);
        let discovery =
            patiently(config.patience(), DiscoveryError::is_away, async || open::open_discovery(&finding).await)
                .await?;
        if config.cluster.discovery == DiscoveryKind::Etcd {
            tasks.spawn(stop.clone().run_until_cancelled_owned(found::watch(discovery.clone())));
        }
        Ok(Cluster { identity, discovery })
    }

    /// Phase 2: the core. Store, workers, gRPC for nodes and for the public; then other nodes may find it.
    async fn start_core(&self, cluster: &Cluster) -> anyhow::Result<Option<RunningCore>> {
        let Self { config, doors, stop, tasks } = self;
        if !config.has(Role::Core) {
            return Ok(None);
        }
        if config.keeps_store_in_data() {
            let data = &config.data;
            std::fs::create_dir_all(data).with_context(|| format!("data: {}", data.display()))?;
        }
        let mut membership = Membership::begin(config, cluster.discovery.clone()).await?;
        let keeping = settings::storage(config);
        let storage = patiently(config.patience(), OpenError::is_away, async || open::open(&keeping).await).await?;
        membership.lock_store(config, &*storage.store).await?;
        let assigned = storage.bus.assigned();
        let core = Arc::new(Core::start(settings::core(config), storage).await?);
        if let (Some(address), Some(identity)) = (config.cluster.listen, &cluster.identity) {
            node::serve(doors, address, identity.clone(), core.node_service(), stop, tasks).await?;
        }
        for address in &config.core.grpc {
            node::serve_public(doors, *address, core.public_service(), stop, tasks).await?;
        }
        membership.join(config, assigned, stop).await?;
        Ok(Some(RunningCore { core, membership }))
    }

    /// Phase 3: the edge. Transports, joined to the core in this process or, over mutual TLS, in
    /// another. Without the role edge: health and metrics alone.
    async fn start_edge(
        &self,
        cluster: &Cluster,
        certificate: Option<Arc<Reloadable>>,
        core: Option<&RunningCore>,
        metrics: Counted,
    ) -> anyhow::Result<Option<RunningEdge>> {
        let Self { config, doors, stop, tasks } = self;
        let render = move || metrics.render();
        let mut checks: Checks = Vec::new();
        if let Some(RunningCore { core, .. }) = core {
            let probe = core.clone();
            checks.push(("core", Arc::new(move || probe.ready().map(|()| None))));
        }
        if config.cluster.discovery == DiscoveryKind::Etcd {
            checks.push(("discovery", found::check(cluster.discovery.clone())));
        }
        let Some(certificate) = certificate else {
            let status = status::router(self.follow(checks, core), render);
            node::serve_http(doors, &config.http.listen, status, stop, tasks).await?;
            return Ok(None);
        };
        let own = core.map(|core| edge::Core {
            name: config.node.clone(),
            address: String::new(),
            services: settings::core(config).services,
            lives: true,
            link: edge::CoreLink::new(core.core.node_service()),
        });
        let configured = config.cluster.discovery == DiscoveryKind::Static;
        let cores = cores::follow(own, cluster.discovery.cores(), cluster.identity.clone(), configured, stop, tasks)?;
        if let Some(room) = settings::room(config) {
            tracing::info!("edge.sessions: {room}");
        }
        let bound = edge::Edge::bind(settings::edge(config, &certificate, doors.clone()), cores).await?;
        let edges = Edges::join(config, cluster.discovery.clone(), bound.handle());
        let failover = Failover::watch(&config.node, bound.handle(), edges.watch(), stop, tasks);
        let probe = bound.handle();
        checks.push(("edge", Arc::new(move || probe.ready().and_then(|()| failover.ready()))));
        let policy = settings::content_security_policy(config, edges.watch());
        let edge = bound.start(page::router(policy), status::router(self.follow(checks, core), render));
        Ok(Some(RunningEdge { edge, edges }))
    }

    /// Has gRPC health say what `/readyz` says.
    fn follow(&self, checks: Checks, core: Option<&RunningCore>) -> Arc<Checks> {
        let checks = Arc::new(checks);
        if let Some(RunningCore { core, .. }) = core {
            let following = status::follow(core.clone(), checks.clone());
            self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(following));
        }
        checks
    }

    fn say_ready(&self) {
        let config = &self.config;
        let listens = listeners::all(config).into_iter().map(|(key, address)| format!("{key}={address}"));
        let listens = listens.collect::<Vec<_>>().join(" ");
        tracing::info!(node = config.node, roles = ?config.roles, listens, "ready");
    }

    /// Runs until a signal ends it, or another core does what this one alone may do: that is a fault.
    async fn run(&self, core: Option<&RunningCore>, signals: &mut Signals) -> Option<anyhow::Error> {
        let superseded = async {
            match core {
                Some(core) => core.membership.superseded().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = signals.asked() => None,
            error = superseded => Some(error),
        }
    }

    /// The end: clients are told and finish, then what they sent is committed and answered, then nothing
    /// listens. It is over 2 s after `drain_ms` at the latest.
    async fn drain(self, core: Option<RunningCore>, edge: Option<RunningEdge>) {
        let deadline = Duration::from_millis(self.config.drain_ms);
        let ending = Ending::begin(deadline);
        tracing::info!(?deadline, "draining");
        if let Some(RunningEdge { edge, edges }) = edge {
            // No other edge sends its clients here any more; these go to the others.
            let others = ending.wait("leaving the other edges", edges.leave()).await.unwrap_or_default();
            edge.drain(ending.left(), &others).await;
        }
        if let Some(RunningCore { core, mut membership }) = core {
            ending.wait("leaving the other cores", membership.leave()).await;
            core.drain(ending.left()).await;
            ending.wait("giving the claim back", membership.end()).await;
        }
        self.stop.cancel();
        self.tasks.close();
        ending.wait("some task", self.tasks.wait()).await;
        tracing::info!("stopped");
    }
}
