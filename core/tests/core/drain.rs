//! A core that goes away: an edge's stream ends in good order only after that edge was told everything.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use gogochat_proto::{
    ids::LogId,
    node::{core_item::Item, node_service_client::NodeServiceClient},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::{
    faulty::Faults,
    support::{Edge, Node, User, code, command, config, eventually, message, next_call, text},
};

const LONG: Duration = Duration::from_secs(20);

async fn two(faults: &Arc<Faults>) -> (Node, User, User, LogId) {
    let node = Node::with(config(), |storage| faults.before(storage)).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    (node, alice, bob, log)
}

async fn drained(edge: &mut Edge) {
    edge.next("drained", |item| matches!(item, Item::Drained(_)).then_some(())).await;
}

#[tokio::test]
async fn the_stream_ends_in_order_after_all_that_was_committed_and_asked_for() {
    let faults = Faults::new();
    let (node, alice, bob, log) = two(&faults).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    edge.settle().await;
    let begun = faults.begun.load(Ordering::SeqCst);
    faults.hold();
    let call = next_call();
    edge.send(command(session, call, "ChatService/SendMessage", &log.to_string(), &message(log, "last"))).await;
    eventually("the commit begins", async || (faults.begun.load(Ordering::SeqCst) > begun).then_some(())).await;
    let told = async {
        edge.next("drain", |item| matches!(item, Item::DrainMs(_)).then_some(())).await;
        faults.release();
        drained(&mut edge).await;
        assert!(edge.result(session, call).await.is_ok());
        assert_eq!(text(&edge.event(log).await.1).unwrap(), "last");
        // What the edge asks for meanwhile is on its way when it hears of that: it comes, however long it takes.
        faults.hold_reads();
        edge.interest(bob.own(), 0).await;
        edge.end_its_side();
        eventually("a look", async || (faults.looks.load(Ordering::SeqCst) > 0).then_some(())).await;
        faults.release_reads();
        for seq in 1..=3 {
            assert_eq!(edge.event(bob.own()).await.0.seq, seq);
        }
        assert_eq!(edge.end().await.code(), Code::Ok);
    };
    tokio::join!(node.core.drain(LONG), told);
    // Who came now would wait for what is never told.
    let (up, batches) = tokio::sync::mpsc::channel(1);
    let refused = NodeServiceClient::new(node.channel.clone()).attach(ReceiverStream::new(batches)).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    drop(up);
}

#[tokio::test]
async fn it_does_not_where_the_edge_may_have_asked_for_more() {
    let faults = Faults::new();
    let (node, alice, _, _) = two(&faults).await;
    let mut edge = Edge::attach(&node).await;
    edge.enter(&alice).await;
    let began = std::time::Instant::now();
    tokio::join!(node.core.drain(LONG), drained(&mut edge));
    assert!(began.elapsed() < LONG / 2, "one that does not answer is not waited for so long");
    let (_, end) = tokio::join!(node.core.stop(), edge.end());
    assert_eq!(end.code(), Code::Unavailable);
}

#[tokio::test]
async fn it_does_not_where_what_was_asked_for_is_not_told_by_the_deadline() {
    let faults = Faults::new();
    let (node, alice, bob, _) = two(&faults).await;
    let mut edge = Edge::attach(&node).await;
    edge.enter(&alice).await;
    edge.settle().await;
    faults.hold_reads();
    let asked = async {
        drained(&mut edge).await;
        edge.interest(bob.own(), 0).await;
        edge.end_its_side();
    };
    tokio::join!(node.core.drain(Duration::from_millis(500)), asked);
    let (_, end) = tokio::join!(node.core.stop(), edge.end());
    assert_eq!(end.code(), Code::Unavailable);
}

#[tokio::test]
async fn it_does_not_where_a_commit_has_got_no_answer_a_moment_ago() {
    let faults = Faults::new();
    let (node, alice, _, log) = two(&faults).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    faults.lose_an_answer();
    assert_eq!(code(edge.say(session, log, "may be there").await), "unavailable");
    node.core.drain(LONG).await;
    let last = edge.settle().await;
    assert!(!last.iter().any(|item| matches!(item, Item::Drained(_))), "{last:?}");
    let (_, end) = tokio::join!(node.core.stop(), edge.end());
    assert_eq!(end.code(), Code::Unavailable);
}
