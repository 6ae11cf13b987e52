//! Nodes that were named in the configuration, and those that register in this process.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Claim, CoreNode, Discovery, DiscoveryError, EdgeNode, Node, Registration, node::set};

/// The nodes of a configuration. A registration is known in this process alone, and takes the place of
/// what the configuration says of a core of that name.
#[derive(Debug)]
pub struct StaticList {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    configured: Vec<CoreNode>,
    state: Mutex<State>,
    cores: watch::Sender<Vec<CoreNode>>,
    edges: watch::Sender<Vec<EdgeNode>>,
}

#[derive(Debug, Default)]
struct State {
    registered: Vec<Node>,
    /// Who has what.
    claims: HashMap<String, String>,
    /// What of what.
    agreed: HashMap<String, String>,
}

impl StaticList {
    /// These nodes.
    #[must_use]
    pub fn new(cores: Vec<CoreNode>) -> Self {
        let shared = Shared {
            configured: cores,
            state: Mutex::default(),
            cores: watch::Sender::default(),
            edges: watch::Sender::default(),
        };
        shared.tell(&shared.state.lock());
        Self { shared: Arc::new(shared) }
    }
}

#[async_trait]
impl Discovery for StaticList {
    fn cores(&self) -> watch::Receiver<Vec<CoreNode>> {
        self.shared.cores.subscribe()
    }

    fn edges(&self) -> watch::Receiver<Vec<EdgeNode>> {
        self.shared.edges.subscribe()
    }

    async fn register(&self, node: Node) -> Result<Registration, DiscoveryError> {
        self.shared.add(node.clone())?;
        let (wanted, mut changes) = watch::channel(node.clone());
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            let mut said = node;
            while changes.changed().await.is_ok() {
                let now = changes.borrow_and_update().clone();
                shared.replace(&said, Some(now.clone()));
                said = now;
            }
            shared.replace(&said, None);
        });
        Ok(Registration::new(wanted, task))
    }

    async fn claim(&self, name: &str, holder: &str) -> Result<Claim, DiscoveryError> {
        let name = name.to_owned();
        {
            let mut state = self.shared.state.lock();
            if let Some(holder) = state.claims.get(&name) {
                return Err(DiscoveryError::Claimed { name, holder: holder.clone() });
            }
            state.claims.insert(name.clone(), holder.to_owned());
        }
        let (wanted, mut until) = watch::channel(());
        let (held, holds) = watch::channel(true);
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            while until.changed().await.is_ok() {}
            shared.state.lock().claims.remove(&name);
            held.send_replace(false);
        });
        Ok(Claim::new(holds, wanted, task))
    }

    async fn agree(&self, name: &str, value: &str) -> Result<(), DiscoveryError> {
        let mut state = self.shared.state.lock();
        let said = state.agreed.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        if said == value {
            return Ok(());
        }
        Err(DiscoveryError::Differs { key: name.to_owned(), cluster: said.clone(), here: value.to_owned() })
    }
}

impl Shared {
    fn add(&self, node: Node) -> Result<(), DiscoveryError> {
        let mut state = self.state.lock();
        if let Some(other) = state.registered.iter().find(|other| same(other, &node)) {
            let address = match other {
                Node::Core(core) => core.address.clone(),
                Node::Edge(edge) => edge.url.clone(),
            };
            return Err(DiscoveryError::NameTaken { name: node.name().to_owned(), address });
        }
        state.registered.push(node);
        self.tell(&state);
        Ok(())
    }

    fn replace(&self, old: &Node, new: Option<Node>) {
        let mut state = self.state.lock();
        state.registered.retain(|other| !same(other, old));
        state.registered.extend(new);
        self.tell(&state);
    }

    fn tell(&self, state: &State) {
        let own = |core: &CoreNode| {
            state.registered.iter().any(|node| matches!(node, Node::Core(own) if own.name == core.name))
        };
        let mut cores: Vec<CoreNode> = self.configured.iter().filter(|core| !own(core)).cloned().collect();
        let mut edges = Vec::new();
        for node in &state.registered {
            match node {
                Node::Core(core) => cores.push(core.clone()),
                Node::Edge(edge) => edges.push(edge.clone()),
            }
        }
        cores.sort_by(|one, other| one.name.cmp(&other.name));
        edges.sort_by(|one, other| one.name.cmp(&other.name));
        set(&self.cores, cores);
        set(&self.edges, edges);
    }
}

/// Of one kind and name.
fn same(one: &Node, other: &Node) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other) && one.name() == other.name()
}
