//! What an edge may lack is looked for in the store, many logs at once, while all that is published goes on to it.

use std::sync::{Arc, atomic::Ordering};

use gogochat_proto::{
    ids::{ClientMsgId, LogId},
    v1::{self, event::Body},
};
use gogochat_storage::store::{Command, Origin, Store};
use parking_lot::Mutex;
use prost::Message as _;

use crate::{
    faulty::Faults,
    support::{Edge, Node, User, config, eventually, interest, text},
};

/// Two contacts at a core whose store has faults on demand, and the store as another core would have it.
struct World {
    node: Node,
    faults: Arc<Faults>,
    store: Arc<dyn Store>,
    alice: User,
    bob: User,
    log: LogId,
}

impl World {
    async fn new() -> Self {
        let (faults, store) = (Faults::new(), Mutex::new(None));
        let node = Node::with(config(), |storage| {
            *store.lock() = Some(storage.store.clone());
            faults.before(storage)
        })
        .await;
        let store = store.into_inner().unwrap();
        let (alice, bob) = (node.register("alice").await, node.register("bob").await);
        let log = node.befriend(&alice, &bob).await;
        Self { node, faults, store, alice, bob, log }
    }

    fn origin(&self) -> Origin {
        let client_msg_id = ClientMsgId::new_v7();
        Origin { sender: self.alice.id, device: self.alice.device, client_msg_id, request_hash: [0; 32], now: 0 }
    }

    /// Groups, whose logs have one event each.
    async fn groups(&self, count: usize) -> Vec<LogId> {
        let logs: Vec<_> = (0..count).map(|_| LogId::new_v7()).collect();
        let create = |log: &LogId| {
            let members = vec![self.bob.id];
            Command::CreateGroup { log: *log, origin: self.origin(), title: "Group".into(), members }
        };
        self.store.commit(logs.iter().map(create).collect()).await.unwrap();
        logs
    }

    /// As another core that is lost before it tells anybody.
    async fn commit_silently(&self, log: LogId, text: &str) {
        let body = Some(Body::Message(v1::Message { text: text.into() }));
        let payload = v1::Event { body, ..Default::default() }.encode_to_vec().into();
        let append = Command::Append { log, origin: self.origin(), payload };
        self.store.commit(vec![append]).await.unwrap().remove(0).unwrap();
    }
}

#[tokio::test]
async fn what_is_published_is_told_while_the_store_is_looked_into() {
    let World { node, faults, alice, log, .. } = World::new().await;
    let mut edge = Edge::attach(&node).await;
    faults.hold_reads();
    edge.interest(log, 1).await;
    eventually("a look begins", async || (faults.looks.load(Ordering::SeqCst) > 0).then_some(())).await;
    node.send(&alice, log, "at once").await.unwrap();
    assert_eq!(text(&edge.event(log).await.1).unwrap(), "at once");
    // Another core was lost: the same again.
    edge.send(interest(log, 2, true)).await;
    edge.settle().await;
    node.send(&alice, log, "at once again").await.unwrap();
    assert_eq!(text(&edge.event(log).await.1).unwrap(), "at once again");
    faults.release_reads();
    eventually("both looks", async || (faults.looks.load(Ordering::SeqCst) == 2).then_some(())).await;
    assert_eq!(edge.settle().await, []);
    assert_eq!(faults.reads.load(Ordering::SeqCst), 0, "there was nothing to read");
}

#[tokio::test]
async fn many_logs_are_looked_at_together_and_those_with_more_are_read() {
    let world = World::new().await;
    let World { node, faults, log, .. } = &world;
    let groups = world.groups(600).await;
    let mut edge = Edge::attach(node).await;
    faults.hold_reads();
    edge.interest(*log, 1).await;
    eventually("a look begins", async || (faults.looks.load(Ordering::SeqCst) == 1).then_some(())).await;
    edge.send_all(groups.iter().map(|log| interest(*log, 1, false))).await;
    edge.settle().await;
    world.commit_silently(groups[300], "unsent").await;
    world.commit_silently(groups[599], "unsent").await;
    faults.release_reads();
    for log in [groups[300], groups[599]] {
        assert_eq!(text(&edge.event(log).await.1).unwrap(), "unsent");
    }
    eventually("the looks", async || (faults.looks.load(Ordering::SeqCst) == 4).then_some(())).await;
    assert_eq!(faults.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_a_lost_core_did_not_tell_comes_when_it_is_asked_for() {
    let world = World::new().await;
    let World { node, faults, log, alice, .. } = &world;
    let mut edge = Edge::attach(node).await;
    edge.interest(*log, 1).await;
    eventually("a look", async || (faults.looks.load(Ordering::SeqCst) == 1).then_some(())).await;
    edge.settle().await;
    world.commit_silently(*log, "unsent").await;
    assert_eq!(edge.settle().await, [], "nobody knows of it");
    faults.fail_ends(2);
    edge.send(interest(*log, 1, true)).await;
    assert_eq!(text(&edge.event(*log).await.1).unwrap(), "unsent");
    node.send(alice, *log, "and on").await.unwrap();
    assert_eq!(text(&edge.event(*log).await.1).unwrap(), "and on");
}

/// What is later goes on at once; the edge sees the gap, and what it asks for goes before all looks.
#[tokio::test]
async fn what_is_missing_before_an_event_is_read_before_other_logs_are_looked_at() {
    let world = World::new().await;
    let World { node, faults, log, alice, .. } = &world;
    world.commit_silently(*log, "unsent").await;
    let mut edge = Edge::attach(node).await;
    faults.hold_reads();
    edge.interest(LogId::new_v7(), 0).await;
    eventually("a look begins", async || (faults.looks.load(Ordering::SeqCst) == 1).then_some(())).await;
    edge.interest(*log, 1).await;
    edge.settle().await;
    node.send(alice, *log, "later").await.unwrap();
    let (later, event) = edge.event(*log).await;
    assert_eq!((later.seq, text(&event).unwrap().as_str()), (3, "later"));
    edge.interest(*log, 1).await;
    eventually("it is read", async || (faults.reads.load(Ordering::SeqCst) == 1).then_some(())).await;
    assert_eq!(faults.looks.load(Ordering::SeqCst), 1, "the first look is under way still");
    faults.release_reads();
    assert_eq!(text(&edge.event_after(*log, 1).await).unwrap(), "unsent");
    assert_eq!(text(&edge.event_after(*log, 2).await).unwrap(), "later");
}
