//! What only a cluster needs: MySQL, Kafka, Redis, etcd, S3.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use crate::store::mysql::Alone;
use crate::{
    blobs::{
        Blobs, S3Config,
        s3::{S3Blobs, S3Error},
    },
    bus::{
        Bus, KafkaConfig,
        kafka::{self, KafkaBus},
    },
    discovery::{Discovery, DiscoveryError, EtcdConfig, etcd::EtcdDiscovery},
    presence::{
        Presence, RedisConfig,
        redis::{RedisError, RedisPresence},
    },
    store::{
        SqlStore, Store as _,
        backup::{self, Backup, BackupError},
        mysql::{self, AloneError},
        transfer::Report,
    },
};

/// Why a service of a cluster did not open.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClusterError {
    /// The MySQL store did not open.
    #[error("core.store: {0}")]
    Mysql(#[from] mysql::OpenError),
    /// What one process alone may do is not this one's.
    #[error(transparent)]
    Alone(#[from] AloneError),
    /// A backup was not made, or not restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The Kafka bus did not open.
    #[error(transparent)]
    Kafka(#[from] kafka::OpenError),
    /// Presence in Redis did not open.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The bucket of blobs did not open.
    #[error(transparent)]
    S3(#[from] S3Error),
}

impl ClusterError {
    /// Whether something does not answer that may do so soon, as it is just being started.
    pub(super) fn is_away(&self) -> bool {
        matches!(
            self,
            Self::Mysql(mysql::OpenError::Unreachable { .. })
                | Self::Kafka(kafka::OpenError::Unreachable { .. })
                | Self::Redis(RedisError::Unreachable { .. })
                | Self::S3(S3Error::Unreachable { .. })
        )
    }
}

pub(super) async fn store(url: &str) -> Result<SqlStore, ClusterError> {
    Ok(mysql::open(url).await?)
}

pub(super) async fn store_for_transfer(url: &str) -> Result<SqlStore, ClusterError> {
    Ok(mysql::open_for_transfer(url).await?)
}

/// Makes a backup of the database of a URL.
pub(super) async fn back_up(url: &str, to: &Path, report: Report<'_>) -> Result<(), ClusterError> {
    let source = mysql::open_snapshot(url).await?;
    backup::of_snapshot(&source, to, report).await?;
    source.close().await;
    Ok(())
}

/// Restores a backup into the database of a URL.
pub(super) async fn restore(from: &Path, url: &str, replace: bool, report: Report<'_>) -> Result<(), ClusterError> {
    let backup = Backup::open(from, report).await?;
    let target = mysql::open_for_restore(url, &backup.name, replace).await?;
    backup.restore_into(&target, report).await?;
    target.close().await;
    Ok(())
}

pub(super) fn check_store(url: &str) -> Result<Vec<PathBuf>, ClusterError> {
    Ok(mysql::check(url)?)
}

pub(super) async fn alone(url: &str, name: &str) -> Result<Alone, ClusterError> {
    Ok(Alone::take(url, name).await?)
}

pub(super) async fn bus(config: &KafkaConfig, queue: usize) -> Result<Arc<dyn Bus>, ClusterError> {
    Ok(Arc::new(KafkaBus::open(config.clone(), queue).await?))
}

pub(super) fn check_bus(config: &KafkaConfig) -> Result<(), String> {
    kafka::check(config).map_err(|error| match error {
        kafka::OpenError::Config(reason) => reason,
        other => other.to_string(),
    })
}

pub(super) async fn presence(config: &RedisConfig) -> Result<Arc<dyn Presence>, ClusterError> {
    Ok(Arc::new(RedisPresence::open(config).await?))
}

pub(super) async fn blobs(config: &S3Config) -> Result<Arc<dyn Blobs>, ClusterError> {
    Ok(Arc::new(S3Blobs::open(config).await?))
}

pub(super) async fn discovery(config: &EtcdConfig) -> Result<Arc<dyn Discovery>, DiscoveryError> {
    Ok(Arc::new(EtcdDiscovery::open(config.clone()).await?))
}
