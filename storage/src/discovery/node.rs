//! What is known of a node.

use tokio::sync::watch;

/// A node to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A core.
    Core(CoreNode),
    /// An edge.
    Edge(EdgeNode),
}

/// A core node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CoreNode {
    /// Its node name, which its certificate carries.
    pub name: String,
    /// Host and port of its node service.
    pub address: String,
    /// What it runs, by the services' names.
    pub services: Vec<String>,
    /// Its bus, by the configuration's name; empty where that is not known.
    pub bus: String,
    /// The partitions whose commands it is given. A hint: a node may be late to say so.
    pub partitions: Vec<u32>,
    /// Whether it is known to be up: it went on saying so when discovery was heard of last. Not of a
    /// core that is only configured, or has gone without a word.
    pub lives: bool,
}

/// An edge node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EdgeNode {
    /// Its node name.
    pub name: String,
    /// Where clients reach this edge and no other: a URL. Empty: there is no such place.
    pub url: String,
    /// The names of the cores with `chat` that it is attached to. A hint: it may be late to say so, and
    /// none is known while discovery is away.
    pub cores: Vec<String>,
}

impl Node {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Core(core) => &core.name,
            Self::Edge(edge) => &edge.name,
        }
    }
}

/// Tells only what is new.
pub(super) fn set<T: PartialEq>(to: &watch::Sender<T>, value: T) {
    to.send_if_modified(|current| {
        let changed = *current != value;
        *current = value;
        changed
    });
}
