//! The services of a cluster that this build has clients of: all of them with the feature
//! `cluster`, none without it.

/// What this build lacks, by name.
pub const MISSING: &[&str] = if cfg!(feature = "cluster") { &[] } else { &ALL };

const ALL: [&str; 5] = ["MySQL", "Kafka", "Redis", "etcd", "S3"];

/// A service that this build has no client of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this build has no client of {0}: use a release, or build one with `make build`")]
pub struct NotBuilt(pub &'static str);
