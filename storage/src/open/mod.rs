//! Opens what a configuration names: the only place that knows which backends there are.

// The two have the same items: clients of a cluster's services, or the refusal of each.
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(not(feature = "cluster"))]
#[path = "no_cluster.rs"]
mod cluster;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::cluster::{Alone, ClusterError};
use crate::{
    blobs::{
        Blobs, S3Config,
        folder::{FolderBlobs, FolderError},
    },
    bus::{Bus, KafkaConfig, channel::ChannelBus},
    discovery::{CoreNode, Discovery, DiscoveryError, EtcdConfig, static_list::StaticList},
    presence::{Presence, RedisConfig, memory::MemoryPresence},
    store::{
        SqlStore, Store, StoreError,
        backup::{self, BackupError},
        sqlite::{self, MigrateError},
        transfer::Report,
    },
};

/// What to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// Where the store is: `sqlite:PATH` or `mysql://user:password@host:port/database`.
    pub store_url: String,
    /// The way of commands.
    pub bus: BusConfig,
    /// Commands that may wait in each partition of the bus.
    pub bus_queue: usize,
    /// Where it is kept who is connected.
    pub presence: PresenceConfig,
    /// Where blobs are.
    pub blobs: BlobsConfig,
}

/// The way of commands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BusConfig {
    /// Inside this process.
    #[default]
    Channel,
    /// By Kafka.
    Kafka(KafkaConfig),
}

/// Where it is kept who is connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PresenceConfig {
    /// In this process.
    #[default]
    Memory,
    /// In Redis.
    Redis(RedisConfig),
}

/// Where blobs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobsConfig {
    /// In this folder.
    Folder(PathBuf),
    /// In a bucket of an S3 store.
    S3(S3Config),
}

/// How nodes find each other.
#[derive(Clone, PartialEq, Eq)]
pub enum DiscoveryConfig {
    /// These cores, and what registers in this process.
    Static(Vec<CoreNode>),
    /// By etcd.
    Etcd(EtcdConfig),
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            store_url: "sqlite:data/gogochat.db".into(),
            bus: BusConfig::Channel,
            bus_queue: 4_096,
            presence: PresenceConfig::Memory,
            blobs: BlobsConfig::Folder("data/blobs".into()),
        }
    }
}

/// What was opened.
#[derive(Clone)]
pub struct Storage {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// The way of commands to their workers.
    pub bus: Arc<dyn Bus>,
    /// A way of this process's own, where `bus` leads to workers of other processes too; `None` where it
    /// is one itself.
    pub local: Option<Arc<dyn Bus>>,
    /// Who is connected.
    pub presence: Arc<dyn Presence>,
    /// Files of messages.
    pub blobs: Arc<dyn Blobs>,
}

/// Why it could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The store's URL is of no known kind.
    #[error("core.store: there is no store for {0:?}: write sqlite:PATH or mysql://user:password@host:port/database")]
    UnknownStore(String),
    /// SQLite has no options.
    #[error(
        "core.store: an SQLite store takes no options, and here is {0:?}: write sqlite:PATH, without a question mark"
    )]
    SqliteOptions(String),
    /// The store did not open.
    #[error("core.store: {0}")]
    Store(#[from] MigrateError),
    /// A backup was not made, or not restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The folder of blobs did not open.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A service of a cluster did not open.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl OpenError {
    /// Whether something does not answer, or has no room, that may soon, as it is just being started.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_away(),
            // Somebody may be about to make room.
            Self::Store(MigrateError::Store(StoreError::Full)) => true,
            _ => false,
        }
    }
}

/// Opens it. The store has the newest schema then.
///
/// # Errors
/// A URL is of no known kind, the store cannot be used, or a newer program has written it; Kafka, Redis
/// or the place of blobs cannot be used.
pub async fn open(config: &StorageConfig) -> Result<Storage, OpenError> {
    let store = Arc::new(open_store(&config.store_url).await?);
    let presence: Arc<dyn Presence> = match &config.presence {
        PresenceConfig::Memory => Arc::new(MemoryPresence::default()),
        PresenceConfig::Redis(redis) => cluster::presence(redis).await?,
    };
    let blobs: Arc<dyn Blobs> = match &config.blobs {
        BlobsConfig::Folder(folder) => Arc::new(FolderBlobs::open(folder).await?),
        BlobsConfig::S3(s3) => cluster::blobs(s3).await?,
    };
    let channel: Arc<dyn Bus> = Arc::new(ChannelBus::new(config.bus_queue));
    let (bus, local): (Arc<dyn Bus>, _) = match &config.bus {
        BusConfig::Channel => (channel, None),
        BusConfig::Kafka(kafka) => (cluster::bus(kafka, config.bus_queue).await?, Some(channel)),
    };
    Ok(Storage { store, bus, local, presence, blobs })
}

/// Opens discovery, which nodes without a core need as well.
///
/// # Errors
/// etcd does not answer, or the configuration cannot be used.
pub async fn open_discovery(config: &DiscoveryConfig) -> Result<Arc<dyn Discovery>, DiscoveryError> {
    match config {
        DiscoveryConfig::Static(cores) => Ok(Arc::new(StaticList::new(cores.clone()))),
        DiscoveryConfig::Etcd(etcd) => cluster::discovery(etcd).await,
    }
}

/// Takes what one process alone may do with the store of this URL, under `name`. `None`: the store is a
/// file of this machine's, which has locks of its own.
///
/// # Errors
/// Another process has it; the store cannot be used.
pub async fn alone(url: &str, name: &str) -> Result<Option<Alone>, ClusterError> {
    Ok(if url.starts_with("mysql:") { Some(cluster::alone(url, name).await?) } else { None })
}

/// Whether a URL is one of a store, as far as can be seen without opening it. The files that it names
/// are those for TLS.
///
/// # Errors
/// It is of no known kind, or not of the form of its kind.
pub fn check_store(url: &str) -> Result<Vec<PathBuf>, OpenError> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => sqlite_path(path).map(|_| Vec::new()),
        Some(("mysql", _)) => Ok(cluster::check_store(url)?),
        _ => Err(OpenError::UnknownStore(shown(url))),
    }
}

/// Opens the store that a URL names.
///
/// # Errors
/// As [`open`].
pub async fn open_store(url: &str) -> Result<SqlStore, OpenError> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(sqlite::open(sqlite_path(path)?).await?),
        Some(("mysql", _)) => Ok(cluster::store(url).await?),
        _ => Err(OpenError::UnknownStore(shown(url))),
    }
}

/// Opens the store of a `mysql:` URL to move another store into it, which may have been begun already.
///
/// # Errors
/// The URL is not of this form, the server cannot be used, a newer program has written the database.
pub async fn open_for_transfer(url: &str) -> Result<SqlStore, ClusterError> {
    cluster::store_for_transfer(url).await
}

/// Makes a backup of the store that a URL names, beside the servers that work with it.
///
/// # Errors
/// There is a file of that name, or no room for it; the store cannot be read, or another program wrote it.
pub async fn back_up(url: &str, to: &Path, report: Report<'_>) -> Result<(), OpenError> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(backup::of_sqlite(sqlite_path(path)?, to, report).await?),
        Some(("mysql", _)) => Ok(cluster::back_up(url, to, report).await?),
        _ => Err(OpenError::UnknownStore(shown(url))),
    }
}

/// Restores a backup into the store that a URL names, which nobody uses. `replace`: what it has is given up.
///
/// # Errors
/// The file is no backup or is damaged; the store has something, is in use, or cannot be used.
pub async fn restore(from: &Path, url: &str, replace: bool, report: Report<'_>) -> Result<(), OpenError> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => {
            Ok(backup::into_sqlite(from, sqlite_path(path)?, replace, report).await?)
        }
        Some(("mysql", _)) => Ok(cluster::restore(from, url, replace, report).await?),
        _ => Err(OpenError::UnknownStore(shown(url))),
    }
}

/// Whether Kafka's client takes the configuration, as far as that is known before it connects.
///
/// # Errors
/// It knows no such property, or not this value: which, and why.
pub fn check_bus(config: &KafkaConfig) -> Result<(), String> {
    cluster::check_bus(config)
}

/// A mistyped option would be part of the name of a file that is made, and empty.
fn sqlite_path(path: &str) -> Result<&Path, OpenError> {
    match path.split_once('?') {
        Some((_, options)) => Err(OpenError::SqliteOptions(options.to_owned())),
        None => Ok(Path::new(path)),
    }
}

/// For messages: what has a colon or an @ may have a password behind it, whatever else is amiss.
fn shown(url: &str) -> String {
    match url.split_once(':') {
        Some((scheme, rest)) if rest.starts_with("//") && scheme.bytes().all(|b| b.is_ascii_alphabetic()) => {
            format!("{scheme}://...")
        }
        Some((_, "")) | None if !url.contains('@') => url.to_owned(),
        _ => "...".to_owned(),
    }
}
