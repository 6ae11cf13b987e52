//! Nodes that were named in the configuration: they never change.

use tokio::sync::watch;

use super::{CoreNode, Discovery};

/// The nodes of a configuration.
#[derive(Debug)]
pub struct StaticList {
    cores: watch::Sender<Vec<CoreNode>>,
}

impl StaticList {
    /// These nodes.
    #[must_use]
    pub fn new(cores: Vec<CoreNode>) -> Self {
        Self { cores: watch::Sender::new(cores) }
    }
}

impl Discovery for StaticList {
    fn cores(&self) -> watch::Receiver<Vec<CoreNode>> {
        self.cores.subscribe()
    }
}
