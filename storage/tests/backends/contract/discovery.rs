//! What every discovery does. `here` and `there` are two nodes' views of one cluster.

use std::{sync::Arc, time::Duration};

use gogochat_storage::discovery::{CoreNode, Discovery, DiscoveryError, EdgeNode, Node};
use tokio::{sync::watch, time::timeout};

pub(crate) fn core(name: &str, port: u16) -> CoreNode {
    CoreNode {
        name: name.into(),
        address: format!("10.0.0.1:{port}"),
        services: vec!["account".into(), "chat".into()],
        bus: "kafka".into(),
        partitions: Vec::new(),
        lives: true,
    }
}

/// Waits until the watch says so.
pub(crate) async fn see<T: Clone + std::fmt::Debug>(
    watch: &mut watch::Receiver<Vec<T>>,
    wanted: impl Fn(&[T]) -> bool,
) -> Vec<T> {
    let seen = timeout(DEADLINE, watch.wait_for(|nodes| wanted(nodes))).await.map(|seen| seen.unwrap().clone());
    seen.unwrap_or_else(|_| panic!("it stays at {:?}", watch.borrow()))
}

pub(crate) async fn nodes_come_change_and_go(here: Arc<dyn Discovery>, there: Arc<dyn Discovery>) {
    let (mut cores, mut edges) = (there.cores(), there.edges());
    assert!(cores.borrow().is_empty() && edges.borrow().is_empty());

    let one = here.register(Node::Core(core("core-1", 1))).await.unwrap();
    assert_eq!(see(&mut cores, |cores| !cores.is_empty()).await, [core("core-1", 1)]);
    let two = there.register(Node::Core(core("core-2", 2))).await.unwrap();
    see(&mut cores, |cores| cores == [core("core-1", 1), core("core-2", 2)]).await;

    one.update(|node| {
        if let Node::Core(core) = node {
            core.partitions = vec![0, 7, 15];
        }
    });
    let changed = see(&mut cores, |cores| cores.iter().any(|core| !core.partitions.is_empty())).await;
    assert_eq!(changed[0], CoreNode { partitions: vec![0, 7, 15], ..core("core-1", 1) });

    // An edge may have the name of a core: it is another kind of node.
    let mut edge = EdgeNode { name: "core-1".into(), url: "https://edge-1.example:443".into(), cores: Vec::new() };
    let registered = here.register(Node::Edge(edge.clone())).await.unwrap();
    see(&mut edges, |edges| edges == [edge.clone()]).await;
    edge.cores = vec!["core-1".into(), "core-2".into()];
    registered.update(|node| *node = Node::Edge(edge.clone()));
    see(&mut edges, |edges| edges == [edge.clone()]).await;

    two.close().await;
    see(&mut cores, |cores| cores.len() == 1).await;
    drop(one);
    see(&mut cores, <[CoreNode]>::is_empty).await;
    drop(registered);
    see(&mut edges, <[EdgeNode]>::is_empty).await;
}

pub(crate) async fn two_live_nodes_do_not_share_a_name(here: Arc<dyn Discovery>, there: Arc<dyn Discovery>) {
    let first = here.register(Node::Core(core("core-1", 1))).await.unwrap();
    let error = there.register(Node::Core(core("core-1", 2))).await.unwrap_err();
    assert_eq!(error, DiscoveryError::NameTaken { name: "core-1".into(), address: "10.0.0.1:1".into() });
    assert!(error.to_string().contains("(node)"), "{error}");
    assert_eq!(see(&mut there.cores(), |cores| !cores.is_empty()).await, [core("core-1", 1)]);
    // The name is free as soon as the first has gone.
    first.close().await;
    there.register(Node::Core(core("core-1", 2))).await.unwrap();
}

pub(crate) async fn one_alone_has_a_claim(here: Arc<dyn Discovery>, there: Arc<dyn Discovery>) {
    let first = here.claim("chat", "core-1").await.unwrap();
    assert!(*first.held().borrow());
    let error = there.claim("chat", "core-2").await.unwrap_err();
    assert_eq!(error, DiscoveryError::Claimed { name: "chat".into(), holder: "core-1".into() });
    let apart = there.claim("another", "core-2").await.unwrap();
    let mut held = first.held();
    first.close().await;
    assert!(!*held.borrow_and_update());
    let second = there.claim("chat", "core-2").await.unwrap();
    assert!(*second.held().borrow() && *apart.held().borrow());
    assert!(here.cores().borrow().is_empty(), "a claim is no node");
}

pub(crate) async fn all_say_the_same_for_ever(here: Arc<dyn Discovery>, there: Arc<dyn Discovery>) {
    here.agree("store", "one").await.unwrap();
    there.agree("store", "one").await.unwrap();
    there.agree("another", "two").await.unwrap();
    drop(here);
    let error = there.agree("store", "two").await.unwrap_err();
    assert!(
        matches!(&error, DiscoveryError::Differs { cluster, here, .. } if cluster == "one" && here == "two"),
        "{error:?}"
    );
    there.agree("store", "one").await.unwrap();
    assert!(there.cores().borrow().is_empty(), "it is no node");
}

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
