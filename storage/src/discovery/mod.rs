//! Discovery: which nodes there are.

pub mod static_list;

use async_trait::async_trait;
use tokio::sync::watch;

/// Which nodes there are.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// The core nodes, now and at every change.
    fn cores(&self) -> watch::Receiver<Vec<CoreNode>>;
}

/// A core node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CoreNode {
    /// Its node name, which its certificate carries.
    pub name: String,
    /// Host and port of its node service.
    pub address: String,
}
