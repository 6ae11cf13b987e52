//! This edge's place among the other edges: it publishes its own address, and knows those to which
//! it sends its clients when it drains.

use std::{sync::Arc, time::Duration};

use gogochat_edge::Handle;
use gogochat_storage::discovery::{Discovery, EdgeNode, Node};
use tokio::{sync::watch, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// An edge's place among the edges.
pub(crate) struct Edges {
    node: String,
    edge: Handle,
    edges: watch::Receiver<Vec<EdgeNode>>,
    left: CancellationToken,
    registering: Option<JoinHandle<()>>,
}

impl Edges {
    /// Lets the others know this edge, and which cores it reaches, once it takes sessions.
    pub(crate) fn join(config: &Config, discovery: Arc<dyn Discovery>, edge: Handle) -> Self {
        let (edges, left) = (discovery.edges(), CancellationToken::new());
        let node = EdgeNode { name: config.node.clone(), url: config.edge.public.clone(), cores: Vec::new() };
        let registering = Some(tokio::spawn(register(discovery, edge.clone(), node, left.clone())));
        Self { node: config.node.clone(), edge, edges, left, registering }
    }

    /// All edges, this one among them.
    pub(crate) fn watch(&self) -> watch::Receiver<Vec<EdgeNode>> {
        self.edges.clone()
    }

    /// No other sends its clients here from now on. Gives the URLs of those that reach all that
    /// this one does, or of all where none is known to.
    pub(crate) async fn leave(mut self) -> Vec<String> {
        self.left.cancel();
        if let Some(registering) = self.registering.take() {
            // It has a limit of its own.
            let _ = registering.await;
        }
        targets(&self.node, &self.edge.reach().attached, &self.edges.borrow())
    }
}

fn targets(node: &str, reached: &[String], edges: &[EdgeNode]) -> Vec<String> {
    let others: Vec<_> = edges.iter().filter(|edge| edge.name != node && authority(&edge.url).is_some()).collect();
    let as_good = others.iter().filter(|edge| reached.iter().all(|core| edge.cores.contains(core)));
    let as_good: Vec<_> = as_good.map(|edge| edge.url.clone()).collect();
    if as_good.is_empty() { others.into_iter().map(|edge| edge.url.clone()).collect() } else { as_good }
}

impl Drop for Edges {
    fn drop(&mut self) {
        self.left.cancel();
    }
}

/// Registers, however long that takes: an edge serves its clients with or without.
async fn register(discovery: Arc<dyn Discovery>, edge: Handle, mut node: EdgeNode, left: CancellationToken) {
    if left.run_until_cancelled(edge.attached()).await.is_none() {
        return;
    }
    loop {
        node.cores = edge.reach().attached;
        let registering = discovery.register(Node::Edge(node.clone()));
        match left.run_until_cancelled(registering).await {
            None => return,
            Some(Ok(registration)) => {
                while left.run_until_cancelled(sleep(LOOK)).await.is_some() {
                    let cores = edge.reach().attached;
                    registration.update(|node| {
                        if let Node::Edge(edge) = node {
                            edge.cores = cores;
                        }
                    });
                }
                return registration.close().await;
            }
            Some(Err(error)) => tracing::error!(%error, "other edges do not know of this one (tried again)"),
        }
        if left.run_until_cancelled(sleep(AGAIN)).await.is_none() {
            return;
        }
    }
}

/// Host and port of an edge's URL, which has nothing else.
pub(crate) fn authority(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let alone = uri.scheme_str() == Some("https") && uri.path() == "/" && uri.query().is_none();
    // It comes to stand in the page's policy.
    let plain = authority.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'[' | b']'));
    (alone && plain && !uri.host()?.is_empty()).then(|| authority.to_owned())
}

const AGAIN: Duration = Duration::from_secs(5);
/// How soon a change is told.
const LOOK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_go_where_no_less_is_reached() {
        let edge = |name: &str, cores: &[&str]| EdgeNode {
            name: name.into(),
            url: format!("https://{name}"),
            cores: cores.iter().map(|core| (*core).to_owned()).collect(),
        };
        let mut edges = vec![edge("e1", &["a", "b"]), edge("e2", &["b", "a", "c"]), edge("e3", &["a"])];
        edges.push(EdgeNode { url: String::new(), ..edge("e4", &["a", "b"]) });
        let reached = ["a", "b"].map(str::to_owned);
        assert_eq!(targets("e1", &reached, &edges), ["https://e2"]);
        edges.remove(1);
        assert_eq!(targets("e1", &reached, &edges), ["https://e3"], "better than none");
    }

    #[test]
    fn an_edge_is_scheme_host_and_port() {
        assert_eq!(authority("https://edge-2.example.org").as_deref(), Some("edge-2.example.org"));
        assert_eq!(authority("https://[::1]:8443/").as_deref(), Some("[::1]:8443"));
        for wrong in [
            "",
            "edge-2:443",
            "http://edge-2",
            "https://ann@edge-2",
            "https://edge-2/wt",
            "https://edge-2?x",
            "https://a;b",
        ] {
            assert_eq!(authority(wrong), None, "{wrong}");
        }
    }
}
