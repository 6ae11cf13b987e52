//! A build without what only a cluster needs: each service is refused by its key.

#![allow(clippy::unused_async, reason = "as in cluster.rs")]

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::watch;

use crate::{
    blobs::{Blobs, S3Config},
    bus::{Bus, KafkaConfig},
    discovery::{Discovery, DiscoveryError, EtcdConfig},
    presence::{Presence, RedisConfig},
    services::NotBuilt,
    store::{Hold, SqlStore, transfer::Report},
};

/// Why a service of a cluster did not open: this build has no client of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}: {1}")]
pub struct ClusterError(&'static str, NotBuilt);

impl ClusterError {
    pub(super) fn is_away(&self) -> bool {
        false
    }
}

/// A lock in MySQL. There is none.
#[derive(Debug)]
pub struct Alone(Infallible);

impl Alone {
    /// How it stands, now and at every change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<Hold> {
        match self.0 {}
    }
}

pub(super) async fn store(_: &str) -> Result<SqlStore, ClusterError> {
    Err(NO_MYSQL)
}

pub(super) async fn store_for_transfer(_: &str) -> Result<SqlStore, ClusterError> {
    Err(NO_MYSQL)
}

pub(super) async fn back_up(_: &str, _: &Path, _: Report<'_>) -> Result<(), ClusterError> {
    Err(NO_MYSQL)
}

pub(super) async fn restore(_: &Path, _: &str, _: bool, _: Report<'_>) -> Result<(), ClusterError> {
    Err(NO_MYSQL)
}

pub(super) fn check_store(_: &str) -> Result<Vec<PathBuf>, ClusterError> {
    Err(NO_MYSQL)
}

pub(super) async fn alone(_: &str, _: &str) -> Result<Alone, ClusterError> {
    Err(NO_MYSQL)
}

pub(super) async fn bus(_: &KafkaConfig, _: usize) -> Result<Arc<dyn Bus>, ClusterError> {
    Err(NO_KAFKA)
}

pub(super) fn check_bus(_: &KafkaConfig) -> Result<(), String> {
    Err(NO_KAFKA.to_string())
}

pub(super) async fn presence(_: &RedisConfig) -> Result<Arc<dyn Presence>, ClusterError> {
    Err(NO_REDIS)
}

pub(super) async fn blobs(_: &S3Config) -> Result<Arc<dyn Blobs>, ClusterError> {
    Err(NO_S3)
}

pub(super) async fn discovery(_: &EtcdConfig) -> Result<Arc<dyn Discovery>, DiscoveryError> {
    Err(NotBuilt("etcd").into())
}

const NO_MYSQL: ClusterError = ClusterError("core.store", NotBuilt("MySQL"));
const NO_KAFKA: ClusterError = ClusterError("core.bus", NotBuilt("Kafka"));
const NO_REDIS: ClusterError = ClusterError("core.presence", NotBuilt("Redis"));
const NO_S3: ClusterError = ClusterError("core.blobs", NotBuilt("S3"));
