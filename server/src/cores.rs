//! The cores as an edge of this process sees them: one link each, which stays while its node does.

use std::sync::Arc;

use anyhow::Context as _;
use gogochat_edge::{Core, CoreLink, Cores};
use gogochat_proto::service::Service;
use gogochat_storage::discovery::CoreNode;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{identity::Identity, node};

/// The core of this process, if it has one, and those that discovery names, as they come and go.
/// One that cannot be dialled, as what it says of itself is broken, is passed over: it must not
/// keep the others out. Not so where `configured` says that the operator has named them.
///
/// # Errors
/// One of those that the configuration names cannot be dialled as it says.
pub(crate) fn follow(
    own: Option<Core>,
    mut nodes: watch::Receiver<Vec<CoreNode>>,
    identity: Option<Arc<Identity>>,
    configured: bool,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<Cores> {
    let first = nodes.borrow_and_update().clone();
    let cores = watch::Sender::new(update(own.as_ref(), &[], &first, identity.as_ref(), configured)?);
    let followed = cores.subscribe();
    let following = async move {
        while nodes.changed().await.is_ok() {
            let now = nodes.borrow_and_update().clone();
            let before = cores.borrow().clone();
            match update(own.as_ref(), &before, &now, identity.as_ref(), configured) {
                Ok(after) => _ = cores.send_replace(after),
                Err(error) => tracing::warn!(%error, "the cores stay as they were"),
            }
        }
        // They never change any more; whoever follows them may go on doing so.
        std::future::pending::<()>().await;
    };
    tasks.spawn(stop.clone().run_until_cancelled_owned(following));
    Ok(followed)
}

fn update(
    own: Option<&Core>,
    before: &[Core],
    nodes: &[CoreNode],
    identity: Option<&Arc<Identity>>,
    configured: bool,
) -> anyhow::Result<Vec<Core>> {
    let mut cores: Vec<Core> = own.cloned().into_iter().collect();
    for node in nodes {
        if own.is_some_and(|own| own.name == node.name) {
            continue;
        }
        // Services that a newer node has and this one does not know are nobody's concern here.
        let services = node.services.iter().filter_map(|name| Service::named(name)).collect();
        let known = before.iter().find(|core| (&core.name, &core.address) == (&node.name, &node.address));
        let link = match known {
            Some(core) => core.link.clone(),
            None => {
                let identity = identity.context("cluster.certificate: a core in another process needs one")?;
                match node::connect(node, identity) {
                    Ok(channel) => CoreLink::new(channel),
                    Err(error) if configured => return Err(error),
                    Err(error) => {
                        let (core, error) = (&node.name, format!("{error:#}"));
                        tracing::warn!(core, error, "a core that cannot be dialled is passed over");
                        continue;
                    }
                }
            }
        };
        let (name, address) = (node.name.clone(), node.address.clone());
        cores.push(Core { name, address, services, lives: node.lives, link });
    }
    Ok(cores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Cluster,
        issue::{self, Order},
    };

    fn node(name: &str, address: &str) -> CoreNode {
        let services = vec!["chat".into()];
        CoreNode {
            name: name.into(),
            address: address.into(),
            services,
            bus: String::new(),
            partitions: Vec::new(),
            lives: true,
        }
    }

    #[tokio::test]
    async fn a_core_that_cannot_be_dialled_keeps_no_other_out() {
        let dir = tempfile::tempdir().unwrap();
        issue::cluster(&Order { out: dir.path().into(), nodes: vec!["edge-1".into()], ..Order::default() }).unwrap();
        let file = |name: &str| dir.path().join(name);
        let (ca, certificate, key) = (file("ca.pem"), file("edge-1.pem"), file("edge-1.key"));
        let identity = Identity::open("edge-1", &Cluster { ca, certificate, key, ..Cluster::default() }).unwrap();
        let good = node("core-1", "127.0.0.1:1");
        for broken in [node("core-2", ""), node("core-2", "not an address"), node("no name of one", "127.0.0.1:2")] {
            let nodes = [broken, good.clone()];
            let found = update(None, &[], &nodes, Some(&identity), false).unwrap();
            assert_eq!(found.iter().map(|core| core.name.as_str()).collect::<Vec<_>>(), ["core-1"], "{nodes:?}");
            assert!(update(None, &[], &nodes, Some(&identity), true).is_err(), "the operator is told");
        }
    }
}
