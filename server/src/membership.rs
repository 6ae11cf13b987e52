//! A core's place in the cluster: it registers itself, and claims what only one core may do.

use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use gogochat_storage::{
    discovery::{Claim, CoreNode, Discovery, DiscoveryError, Node, Registration},
    open::{self, Alone},
    store::{Hold, Store},
};
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    config::{BusKind, Config, Service},
    patience::patiently,
    settings,
};

/// A core's place in the cluster, for as long as this lives.
pub(crate) struct Membership {
    discovery: Arc<dyn Discovery>,
    /// Says when the claim is in doubt. It ends before the claim, which is given back by whoever
    /// ends: also by a start that fails.
    watching: Option<AbortOnDropHandle<()>>,
    claim: Option<Claim>,
    registration: Option<Arc<Registration>>,
    /// Beside an SQLite store; let go with the process, however it ends.
    lock: Option<File>,
    /// In a MySQL store; let go with the process, too.
    alone: Option<Alone>,
}

impl Membership {
    /// Makes sure that this core may do what it is about to: with the channel bus one alone commits.
    ///
    /// # Errors
    /// Another does; discovery is not reachable.
    pub(crate) async fn begin(config: &Config, discovery: Arc<dyn Discovery>) -> anyhow::Result<Self> {
        let mut membership =
            Self { discovery, watching: None, claim: None, registration: None, lock: None, alone: None };
        if config.core.bus == BusKind::Channel && config.runs(Service::Chat) {
            membership.lock = lock(config)?;
            let claiming = async || membership.discovery.claim(CHAT, &config.node).await;
            let claim = patiently(config.patience(), DiscoveryError::is_away, claiming).await.context(ONE_ALONE)?;
            membership.watching = Some(AbortOnDropHandle::new(tokio::spawn(watch_claim(claim.held()))));
            membership.claim = Some(claim);
        }
        Ok(membership)
    }

    /// The same, where the store itself knows of all its cores: once it is there, and before
    /// anything is committed. And makes sure that it is the store of the cluster's other cores: one
    /// that had its own would answer for conversations and people that it does not have.
    ///
    /// # Errors
    /// Another core does; it is another store; the store or discovery is not reachable.
    pub(crate) async fn lock_store(&mut self, config: &Config, store: &dyn Store) -> anyhow::Result<()> {
        let id = store.installation().await.context("core.store")?.to_string();
        let agreeing = async || match self.discovery.agree(STORE, &id).await {
            // Discovery is there: what it says is final.
            Err(differs @ DiscoveryError::Differs { .. }) => Ok(Err(differs)),
            agreed => agreed.map(Ok),
        };
        let agreed = patiently(config.patience(), DiscoveryError::is_away, agreeing).await?;
        agreed.map_err(|error| match error {
            DiscoveryError::Differs { key, cluster, here } => anyhow::anyhow!(
                "core.store: this is not the store of the cluster {:?}, which is installation {cluster}, and this one {here}: name the same \
                 store on all cores, or give another cluster a name of its own (cluster.name). If this is to be the cluster's store from now on, \
                 stop all cores and delete {key} in etcd",
                config.cluster.name
            ),
            other => other.into(),
        })?;
        if self.claim.is_some() {
            self.alone = open::alone(&config.store_url(), CHAT).await.context(ONE_ALONE)?;
        }
        Ok(())
    }

    /// Ends when another core does what this one alone may do.
    pub(crate) async fn superseded(&self) -> anyhow::Error {
        let Some(alone) = &self.alone else { return std::future::pending().await };
        let mut state = alone.state();
        loop {
            match *state.borrow_and_update() {
                Hold::Held => {}
                Hold::Unsure => tracing::warn!("MySQL has let go of this core's lock, which is taken again"),
                Hold::Lost => {
                    return anyhow::anyhow!("{ONE_ALONE}: another core has taken the lock in MySQL meanwhile");
                }
            }
            if state.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Lets edges find the core, which listens by now. `assigned`: the partitions that it is given.
    ///
    /// # Errors
    /// Another live node has the name; discovery is not reachable.
    pub(crate) async fn join(
        &mut self,
        config: &Config,
        mut assigned: watch::Receiver<Vec<u32>>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let Some(node) = settings::own_core(config) else { return Ok(()) };
        let registering = async || self.discovery.register(Node::Core(node.clone())).await;
        let registration = Arc::new(patiently(config.patience(), DiscoveryError::is_away, registering).await?);
        self.registration = Some(registration);
        let mut cores = self.discovery.cores();
        // What was there before is seen once this is: of two who start at once one at least sees the other.
        let own = |cores: &Vec<CoreNode>| cores.iter().any(|core| core.name == config.node);
        let _ = timeout(SEEN, cores.wait_for(own)).await;
        let agreed = one_bus(config, &cores.borrow());
        if let Err(error) = agreed {
            self.leave().await;
            return Err(error);
        }
        let told = self.registration.as_ref().map(Arc::downgrade).unwrap_or_default();
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                let partitions = assigned.borrow_and_update().clone();
                let Some(registration) = told.upgrade() else { return };
                registration.update(|node| {
                    if let Node::Core(core) = node {
                        core.partitions = partitions;
                    }
                });
                drop(registration);
                if assigned.changed().await.is_err() {
                    return;
                }
            }
        }));
        Ok(())
    }

    /// Edges look for other cores from here on.
    pub(crate) async fn leave(&mut self) {
        if let Some(registration) = self.registration.take().and_then(Arc::into_inner) {
            registration.close().await;
        }
    }

    /// Another may do what this core did alone.
    pub(crate) async fn end(mut self) {
        self.leave().await;
        drop(self.watching.take());
        if let Some(claim) = self.claim.take() {
            claim.close().await;
        }
        drop((self.lock, self.alone));
    }
}

/// Two cores of which one shares its commands by Kafka and the other does not would commit to one
/// conversation side by side, which the store keeps right, and tell of it late.
fn one_bus(config: &Config, cores: &[CoreNode]) -> anyhow::Result<()> {
    let own = config.core.bus.name();
    let chats = |core: &&CoreNode| core.services.iter().any(|service| service == CHAT);
    let other = cores.iter().filter(chats).find(|core| {
        config.runs(Service::Chat) && core.lives && core.name != config.node && !core.bus.is_empty() && core.bus != own
    });
    match other {
        Some(core) => bail!(
            "core.bus = {own:?}: the core {:?} has {:?}, and all that run \"chat\" have to have the same; to change it, stop all of them first",
            core.name,
            core.bus
        ),
        None => Ok(()),
    }
}

/// A lock beside an SQLite store, which one machine has: it holds where discovery knows nothing of
/// other processes.
fn lock(config: &Config) -> anyhow::Result<Option<File>> {
    let url = config.store_url();
    let Some(path) = url.strip_prefix("sqlite:") else { return Ok(None) };
    let path = PathBuf::from(format!("{path}.lock"));
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("core.store: {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => bail!("{ONE_ALONE}: another process uses {url}"),
        Err(std::fs::TryLockError::Error(error)) => {
            // Some file systems have no locks; the store is safe with two writers all the same.
            tracing::warn!(%error, "{} cannot be locked", path.display());
            Ok(None)
        }
    }
}

/// No node exits because etcd is away. What is committed stays right even with two; only what is
/// told may come late.
async fn watch_claim(mut held: watch::Receiver<bool>) {
    while held.changed().await.is_ok() {
        if *held.borrow_and_update() {
            tracing::info!("this core alone runs chat again");
        } else {
            tracing::error!("another core may run chat: the claim in etcd could not be renewed");
        }
    }
}

const CHAT: &str = "chat";
const STORE: &str = "store";
/// How long etcd may take to tell a core of itself.
const SEEN: Duration = Duration::from_secs(5);
const ONE_ALONE: &str = "core.bus = \"channel\": one core alone runs \"chat\" (set core.bus = \"kafka\", or leave \"chat\" out of core.services)";
