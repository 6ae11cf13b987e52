//! Start-up and shutdown on one page: what a process is made of, in the order in which it begins and ends.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use gogochat_core::Core;
use gogochat_edge::{self as edge, door::Doors};
use gogochat_storage::{
    discovery::DiscoveryError,
    open::{self, OpenError},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    certificate::Reloadable,
    config::{Config, DiscoveryKind, Role, listeners},
    cores,
    detour::Detour,
    edges::Edges,
    identity::Identity,
    membership::Membership,
    node, page,
    patience::patiently,
    reload::{self, Reload},
    settings,
    status::{self, Checks},
    telemetry,
};

/// Runs what the configuration says until SIGTERM or Ctrl-C, then drains. `ready` is called once everything listens.
///
/// # Errors
/// A part could not start.
pub(crate) fn run(
    config: Config,
    certificate: Option<Arc<Reloadable>>,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config, certificate, ready))
}

async fn serve(
    config: Config,
    certificate: Option<Arc<Reloadable>>,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let metrics = telemetry::start_metrics()?;
    // A descriptor for each connection, and some for what is none.
    if let Err(error) = Doors::raise_descriptors() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let doors = Doors::new();
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let mut checks: Checks = Vec::new();

    // 0. Who this node is, and who else there is.
    let identity = config.is_joined().then(|| Identity::open(&config.node, &config.cluster)).transpose()?;
    let mut watched: Vec<Arc<dyn Reload>> = Vec::new();
    watched.extend(certificate.clone().map(|certificate| certificate as _));
    watched.extend(identity.clone().map(|identity| identity as _));
    let watching = async move {
        if let Err(error) = reload::watch(watched).await {
            tracing::error!(%error, "certificates are not read anew");
        }
    };
    tasks.spawn(stop.clone().run_until_cancelled_owned(watching));
    let patience = Duration::from_millis(config.wait_ms);
    let finding = settings::discovery(&config);
    let discovery = patiently(patience, DiscoveryError::is_away, async || open::open_discovery(&finding).await).await?;

    // 1. The core: store, workers, gRPC for nodes and for the public.
    let mut core = None;
    let mut own = None;
    if config.has(Role::Core) {
        if config.keeps_store_in_data() {
            let data = &config.data;
            std::fs::create_dir_all(data).with_context(|| format!("data: {}", data.display()))?;
        }
        let mut membership = Membership::begin(&config, discovery.clone()).await?;
        let keeping = settings::storage(&config);
        let storage = patiently(patience, OpenError::is_away, async || open::open(&keeping).await).await?;
        membership.lock_store(&config, &*storage.store).await?;
        let assigned = storage.bus.assigned();
        let started = Arc::new(Core::start(settings::core(&config), storage).await?);
        own = Some(edge::Core {
            name: config.node.clone(),
            address: String::new(),
            services: settings::core(&config).services,
            lives: true,
            link: edge::CoreLink::new(started.node_service()),
        });
        if let (Some(address), Some(identity)) = (config.cluster.listen, &identity) {
            node::serve(&doors, address, identity.clone(), started.node_service(), &stop, &tasks).await?;
        }
        for address in &config.core.grpc {
            node::serve_public(&doors, *address, started.public_service(), &stop, &tasks).await?;
        }
        membership.join(&config, assigned, &stop).await?;
        let probe = started.clone();
        checks.push(("core", Arc::new(move || probe.ready().map(|()| None))));
        core = Some((started, membership));
    }

    // 2. The edge: transports, joined to the core in this process or, over mutual TLS, in another.
    let mut front = None;
    if let Some(certificate) = certificate {
        let configured = config.cluster.discovery == DiscoveryKind::Static;
        let cores = cores::follow(own, discovery.cores(), identity, configured, &stop, &tasks)?;
        let started = edge::Edge::bind(settings::edge(&config, &certificate, doors.clone()), cores).await?;
        let probe = started.handle();
        let edges = Edges::join(&config, discovery.clone(), started.handle());
        let detour = Detour::watch(&config.node, started.handle(), edges.watch(), &stop, &tasks);
        checks.push(("edge", Arc::new(move || probe.ready().and_then(|()| detour.ready()))));
        let policy = settings::content_security_policy(&config, certificate.is_pinned(), edges.watch());
        front = Some((started.start(page::router(policy), status::router(checks, metrics)), edges));
    } else {
        // A core alone: health and metrics all the same.
        node::serve_http(&doors, &config.http.listen, status::router(checks, metrics), &stop, &tasks).await?;
    }

    let listens = listeners::all(&config).into_iter().map(|(key, address)| format!("{key}={address}"));
    tracing::info!(node = config.node, roles = ?config.roles, listens = listens.collect::<Vec<_>>().join(" "), "ready");
    ready()?;
    let superseded = async {
        match &core {
            Some((_, membership)) => membership.superseded().await,
            None => std::future::pending().await,
        }
    };
    let fault = tokio::select! {
        signal = wait_for_signal() => signal.err(),
        error = superseded => Some(error),
    };

    // 3. The end: clients are told and finish, then what they sent is committed and answered, then nothing listens.
    let deadline = Duration::from_millis(config.drain_ms);
    tracing::info!(?deadline, "draining");
    if let Some((front, edges)) = front {
        // No other edge sends its clients here any more; these go to the others.
        let others = edges.leave().await;
        front.drain(deadline, &others).await;
    }
    if let Some((core, mut membership)) = core {
        membership.leave().await;
        core.drain(deadline).await;
        membership.end().await;
    }
    stop.cancel();
    tasks.close();
    if tokio::time::timeout(deadline, tasks.wait()).await.is_err() {
        tracing::warn!("some tasks did not end in time");
    }
    tracing::info!("stopped");
    fault.map_or(Ok(()), Err)
}

async fn wait_for_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // A second signal ends the process at once, as the default does.
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(())
}
