//! Discovery: which nodes there are, and claims to what only one node may do.

mod config;
#[cfg(feature = "cluster")]
pub mod etcd;
mod handle;
mod node;
pub mod static_list;
#[cfg(feature = "cluster")]
mod trouble;

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::{
    config::EtcdConfig,
    handle::{Claim, Registration},
    node::{CoreNode, EdgeNode, Node},
};
use crate::{services::NotBuilt, tls::NoAuthority};

/// Which nodes there are.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// The core nodes, by name, now and at every change. When discovery itself is away the last
    /// ones stay.
    fn cores(&self) -> watch::Receiver<Vec<CoreNode>>;

    /// The edge nodes, in the same way.
    fn edges(&self) -> watch::Receiver<Vec<EdgeNode>>;

    /// Says that a node is there, for as long as the registration lives. If a node that has just
    /// died still has the name, this waits until it lapses.
    ///
    /// # Errors
    /// Another live node has the name; discovery is not reachable.
    async fn register(&self, node: Node) -> Result<Registration, DiscoveryError>;

    /// Takes what only one may have at a time, under `name`, for `holder`. If a holder that has
    /// just died still has it, this waits until it lapses.
    ///
    /// # Errors
    /// Another has it; discovery is not reachable.
    async fn claim(&self, name: &str, holder: &str) -> Result<Claim, DiscoveryError>;

    /// Makes sure that every node of the cluster has the same `value` under `name`, for ever. The
    /// first one decides.
    ///
    /// # Errors
    /// [`DiscoveryError::Differs`]; discovery is not reachable.
    async fn agree(&self, name: &str, value: &str) -> Result<(), DiscoveryError>;

    /// What is amiss with discovery, while nodes go by what they knew last. It goes on trying.
    fn trouble(&self) -> Option<String> {
        None
    }
}

impl DiscoveryError {
    /// Whether discovery does not answer, or takes no writes, but may do so soon.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unwilling { .. })
    }
}

/// Why a node was not registered, or a claim not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// Two nodes have one name.
    #[error("another live node is named {name:?} (at {address}): give this one another name (node)")]
    NameTaken {
        /// The name.
        name: String,
        /// Where the other is.
        address: String,
    },
    /// Another has what was claimed.
    #[error("{holder} has {name:?}, which one node alone may have")]
    Claimed {
        /// What was claimed.
        name: String,
        /// Who has it.
        holder: String,
    },
    /// The cluster says otherwise.
    #[error("{key} in etcd is {cluster}, and here it is {here}")]
    Differs {
        /// Where the cluster says it.
        key: String,
        /// What it says.
        cluster: String,
        /// What was to be said here.
        here: String,
    },
    /// The user or password is wrong.
    #[error("cluster.etcd: etcd refuses the user or password (cluster.etcd_user, cluster.etcd_password): {0}")]
    Refused(String),
    /// It does not answer.
    #[error("cluster.etcd: etcd does not answer at {endpoints}: {reason}")]
    Unreachable {
        /// Where it should be.
        endpoints: String,
        /// What came of it.
        reason: String,
    },
    /// It answers, and takes no writes for now.
    #[error("cluster.etcd: etcd at {endpoints} takes no writes: {reason}")]
    Unwilling {
        /// Where it is.
        endpoints: String,
        /// Why.
        reason: String,
    },
    /// The authority's file cannot be used.
    #[error("cluster.etcd_ca: {0}")]
    Ca(#[from] NoAuthority),
    /// Its certificate is not believed.
    #[error(
        "cluster.etcd_ca: the certificate of etcd at {endpoints} is refused: {reason} (give the authority that signed it, and in cluster.etcd hosts that it is for)"
    )]
    Untrusted {
        /// Where it is.
        endpoints: String,
        /// Why.
        reason: String,
    },
    /// The configuration cannot be used.
    #[error("cluster.etcd: {0}")]
    Config(String),
    /// This build has no client of etcd.
    #[error("cluster.discovery: {0}")]
    NotBuilt(#[from] NotBuilt),
}
