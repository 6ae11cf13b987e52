//! Marks: committed together beside their logs' order, and told as aggregates.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_core::CoreConfig;
use gogochat_proto::{
    ids::LogId,
    node::{self, core_item::Item, edge_item::Item as Up},
    v1,
};

use crate::{
    faulty::Faults,
    support::{Edge, Node, User, code, command, config, eventually, next_call},
};

const MARK: &str = "ChatService/Mark";

fn request(log: LogId, delivered_seq: i64, read_seq: i64) -> v1::MarkRequest {
    v1::MarkRequest { conversation_id: log.to_string(), delivered_seq, read_seq }
}

fn frame(session: u64, log: LogId, delivered_seq: i64, read_seq: i64) -> Up {
    let mark = node::MarkUp { log_id: log.to_bytes(), delivered_seq, read_seq };
    Up::Marks(node::MarksUp { session, marks: vec![mark] })
}

/// The next marks of a log.
async fn marks(edge: &mut Edge, log: LogId) -> node::MarksDown {
    edge.next("marks", |item| match item {
        Item::Marks(marks) if marks.log_id == log.to_bytes() => Some(marks.clone()),
        _ => None,
    })
    .await
}

async fn group(node: &Node, owner: &User, others: &[User]) -> LogId {
    for other in others {
        node.befriend(other, owner).await;
    }
    let member_ids = others.iter().map(|user| user.id.to_string()).collect();
    let create = v1::CreateGroupRequest { client_msg_id: crate::support::new_id(), title: "Tea".into(), member_ids };
    let created: v1::CreateGroupResponse =
        node.call("ChatService/CreateGroup", Some(&owner.token), &create).await.unwrap();
    created.conversation_id.parse().unwrap()
}

async fn users(node: &Node, count: usize) -> Vec<User> {
    let mut users = Vec::new();
    for n in 0..count {
        users.push(node.register(&format!("user{n}")).await);
    }
    users
}

#[tokio::test]
async fn nobody_is_answered_or_told_before_the_commit_and_messages_do_not_wait_for_it() {
    let faults = Faults::new();
    let node = Node::with(config(), |storage| faults.before(storage)).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    node.send(&alice, log, "1").await.unwrap();
    let mut edge = Edge::attach(&node).await;
    let (alices, bobs) = (edge.enter(&alice).await, edge.enter(&bob).await);
    faults.hold_marks(true);
    let call = next_call();
    edge.send(command(bobs, call, MARK, &log.to_string(), &request(log, 2, 2))).await;
    eventually("the commit begins", async || (!faults.marks.lock().is_empty()).then_some(())).await;
    // A message passes it, in the same log and of the same member too.
    assert_eq!(edge.say(alices, log, "2").await.unwrap().seq, 3);
    assert_eq!(edge.say(bobs, log, "3").await.unwrap().seq, 4);
    for item in edge.settle().await {
        let of_mark = matches!(&item, Item::Result(result) if result.call_id == call);
        assert!(!of_mark && !matches!(item, Item::Marks(_)), "{item:?}");
    }
    faults.hold_marks(false);
    let reply: v1::MarkResponse = prost::Message::decode(edge.result(bobs, call).await.unwrap()).unwrap();
    // What bob has said meanwhile has moved it further.
    assert_eq!(reply, v1::MarkResponse { delivered_seq: 4, read_seq: 4 });
}

#[tokio::test]
async fn many_members_marks_are_committed_together_and_told_as_two_aggregates_at_most() {
    let faults = Faults::new();
    let node = Node::with(config(), |storage| faults.before(storage)).await;
    let everybody = users(&node, 20).await;
    let (owner, others) = everybody.split_first().unwrap();
    let log = group(&node, owner, others).await;
    let mut edge = Edge::attach(&node).await;
    let mut sessions = Vec::new();
    for user in &everybody {
        sessions.push(edge.enter(user).await);
    }
    let seq = edge.say(sessions[0], log, "to all").await.unwrap().seq;
    for session in &sessions[1..] {
        edge.send(frame(*session, log, seq, 0)).await;
    }
    for session in &sessions[1..] {
        edge.send(frame(*session, log, seq, seq)).await;
    }
    let (mut told, mut aggregates) = (0, 0);
    let mut last = None;
    while last != Some((seq, seq)) {
        let down = marks(&mut edge, log).await;
        told += 1;
        let (now, owner) = (down.now.clone().unwrap(), owner.id.to_bytes());
        let of_others = |marks: &node::LowestMarks| {
            let of = |lowest: &node::Lowest| if lowest.holder == owner { lowest.next } else { lowest.seq };
            (of(marks.delivered.as_ref().unwrap()), of(marks.read.as_ref().unwrap()))
        };
        aggregates += i32::from(down.before.as_ref().map(of_others) != Some(of_others(&now)));
        last = Some(of_others(&now));
        // Whose session said it need not be told.
        assert!(down.moved.iter().all(|mark| sessions.contains(&mark.session)), "{down:?}");
    }
    assert!(told <= 3 && aggregates <= 2, "{told} items, {aggregates} aggregates");
    assert!(faults.marks.lock().len() <= 3, "{} commits", faults.marks.lock().len());
    let get = v1::GetConversationRequest { conversation_id: log.to_string() };
    let seen: v1::Conversation = node.call("ChatService/GetConversation", Some(&owner.token), &get).await.unwrap();
    let head = seen.head.unwrap();
    assert_eq!((head.others_delivered_seq, head.others_read_seq), (seq, seq));
    // Nothing that has not changed is told again.
    edge.send(frame(sessions[1], log, seq, seq)).await;
    let again: v1::MarkResponse = edge.call(sessions[2], MARK, log, &request(log, 1, 1)).await.unwrap();
    assert_eq!((again.delivered_seq, again.read_seq), (seq, seq));
    assert!(!edge.settle().await.iter().any(|item| matches!(item, Item::Marks(_))));
}

/// Within a second, but for what the machine is late with.
#[tokio::test]
async fn the_first_goes_at_once_and_those_behind_it_within_a_second() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    for n in 0..3 {
        node.send(&alice, log, &n.to_string()).await.unwrap();
    }
    let begun = Instant::now();
    for seq in 2..=4 {
        let moved: v1::MarkResponse = node.call(MARK, Some(&bob.token), &request(log, seq, seq)).await.unwrap();
        assert_eq!((moved.delivered_seq, moved.read_seq), (seq, seq));
    }
    // The first waits for nothing, each of the others for the interval's end.
    assert!(begun.elapsed() >= Duration::from_millis(1_700), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_the_store_does_not_take_comes_again_and_calls_are_told() {
    let faults = Faults::new();
    let node = Node::with(config(), |storage| faults.before(storage)).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    node.send(&alice, log, "1").await.unwrap();
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&bob).await;
    faults.fail_marks(2);
    edge.send(frame(session, log, 2, 2)).await;
    let moved = marks(&mut edge, log).await;
    assert_eq!((moved.moved[0].delivered_seq, moved.moved[0].read_seq), (2, 2));
    assert_eq!(faults.marks.lock().len(), 3);
    node.send(&alice, log, "2").await.unwrap();
    faults.fail_marks(1);
    let refused = edge.call::<v1::MarkResponse>(session, MARK, log, &request(log, 3, 3)).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable()), ("unavailable", true));
    // What was committed without an answer is committed once more, and changes nothing.
    node.send(&alice, log, "3").await.unwrap();
    faults.lose_marks();
    let lost = edge.call::<v1::MarkResponse>(session, MARK, log, &request(log, 4, 4)).await;
    assert_eq!(code(lost), "unavailable");
    let again = edge.call::<v1::MarkResponse>(session, MARK, log, &request(log, 4, 3)).await.unwrap();
    assert_eq!(again, v1::MarkResponse { delivered_seq: 4, read_seq: 4 });
}

#[tokio::test]
async fn so_many_wait_and_no_more() {
    let faults = Faults::new();
    let config = CoreConfig { marks_waiting: 4, ..config() };
    let node = Node::with(config, |storage| faults.before(storage)).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    node.send(&alice, log, "1").await.unwrap();
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&bob).await;
    faults.hold_marks(true);
    let begin = next_call();
    edge.send(command(session, begin, MARK, &log.to_string(), &request(log, 1, 1))).await;
    eventually("the commit begins", async || (!faults.marks.lock().is_empty()).then_some(())).await;
    // One member and three calls of theirs.
    let calls: Vec<_> = (0..4).map(|_| next_call()).collect();
    for call in &calls {
        edge.send(command(session, *call, MARK, &log.to_string(), &request(log, 2, 2))).await;
    }
    let refused = edge.result(session, calls[3]).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable()), ("overloaded", true));
    faults.hold_marks(false);
    for call in calls[..3].iter().chain([&begin]) {
        assert!(edge.result(session, *call).await.is_ok());
    }
}

#[tokio::test]
async fn one_of_the_future_takes_no_other_with_it() {
    let faults = Faults::new();
    let node = Node::with(config(), |storage| faults.before(storage)).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    node.send(&alice, log, "1").await.unwrap();
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&bob).await;
    faults.hold_marks(true);
    let calls: Vec<_> = (0..3).map(|_| next_call()).collect();
    for (call, seq) in calls.iter().zip([1, 9, 2]) {
        edge.send(command(session, *call, MARK, &log.to_string(), &request(log, seq, seq))).await;
        eventually("a commit begins", async || (!faults.marks.lock().is_empty()).then_some(())).await;
    }
    faults.hold_marks(false);
    assert!(edge.result(session, calls[0]).await.is_ok());
    assert_eq!(code(edge.result(session, calls[1]).await), "seq_from_future");
    assert!(edge.result(session, calls[2]).await.is_ok());
}

/// An edge of the release before knows of no aggregates.
#[tokio::test]
async fn an_earlier_edge_is_told_of_each_member() {
    let node = Node::start().await;
    let everybody = users(&node, 3).await;
    let log = group(&node, &everybody[0], &everybody[1..]).await;
    let mut new = Edge::attach(&node).await;
    let mut old = Edge::of_the_release_before(&node).await;
    new.enter(&everybody[0]).await;
    old.enter(&everybody[0]).await;
    let one = old.enter(&everybody[1]).await;
    let seq = node.send(&everybody[0], log, "1").await.unwrap().seq;
    old.send(frame(one, log, seq, seq)).await;
    let down = marks(&mut new, log).await;
    assert_eq!((down.moved.len(), down.moved[0].session), (1, 0));
    let (down, told) = old.ephemeral(log, node::EphemeralKind::Watermark).await;
    assert_eq!((down.subject, down.skip_subject), (everybody[1].id.to_bytes(), false));
    let v1::server_frame::Frame::Watermark(told) = told else { panic!("{told:?}") };
    assert_eq!((told.user_id, told.delivered_seq, told.read_seq), (everybody[1].id.to_string(), seq, seq));
}

/// What was taken is committed before the core goes.
#[tokio::test]
async fn a_core_that_goes_away_commits_what_waits() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    node.send(&alice, log, "1").await.unwrap();
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&bob).await;
    for seq in 1..=2 {
        edge.send(frame(session, log, seq, seq)).await;
        edge.settle().await;
    }
    let store = node.store.clone();
    let drain = node.core.drain(Duration::from_secs(10));
    let leaves = async {
        edge.next("drain", |item| matches!(item, Item::DrainMs(_)).then_some(())).await;
        edge.send(Up::Close(node::SessionClose { session })).await;
        edge.next("the end", |item| matches!(item, Item::Drained(_)).then_some(())).await;
        edge.end_its_side();
    };
    tokio::join!(drain, leaves);
    let member = store.member(log, bob.id).await.unwrap().unwrap();
    assert_eq!((member.delivered, member.read), (2, 2));
}

/// Two cores on one store: each commits what its own sessions say, and what both say stands.
#[tokio::test]
async fn two_cores_move_the_marks_of_one_log() {
    let node = Node::start().await;
    let everybody = users(&node, 6).await;
    let log = group(&node, &everybody[0], &everybody[1..]).await;
    let other = node.beside().await;
    let (mut one, mut two) = (Edge::attach(&node).await, Edge::over(other.channel.clone()).await);
    let mut sessions = Vec::new();
    for user in &everybody {
        sessions.push([one.enter(user).await, two.enter(user).await]);
    }
    let mut last = 1;
    for round in 0..3 {
        last = node.send(&everybody[0], log, &round.to_string()).await.unwrap().seq;
        for (n, [a, b]) in sessions.iter().enumerate().skip(1) {
            // By both, and the lower by either.
            one.send(frame(*a, log, last - (n as i64 % 2), 1)).await;
            two.send(frame(*b, log, last - ((n as i64 + 1) % 2), 1)).await;
        }
    }
    let store: Arc<_> = node.store.clone();
    eventually("all have got there", async || {
        let lowest = store.lowest_marks(&[log]).await.unwrap().remove(0);
        (lowest.delivered.seq == last && lowest.read.of_others(everybody[0].id) == 1).then_some(())
    })
    .await;
}
