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
///
/// # Errors
/// One of those that are there now cannot be dialled as the configuration says.
pub(crate) fn follow(
    own: Option<Core>,
    mut nodes: watch::Receiver<Vec<CoreNode>>,
    identity: Option<Arc<Identity>>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<Cores> {
    let first = nodes.borrow_and_update().clone();
    let cores = watch::Sender::new(update(own.as_ref(), &[], &first, identity.as_ref())?);
    let followed = cores.subscribe();
    let following = async move {
        while nodes.changed().await.is_ok() {
            let now = nodes.borrow_and_update().clone();
            let before = cores.borrow().clone();
            match update(own.as_ref(), &before, &now, identity.as_ref()) {
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
                CoreLink::new(node::connect(node, identity)?)
            }
        };
        cores.push(Core { name: node.name.clone(), address: node.address.clone(), services, link });
    }
    Ok(cores)
}
