//! When the store or the core is in trouble: what is refused, in which order it comes again, and that nothing acknowledged is lost.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use gogochat_core::CoreConfig;
use gogochat_proto::{
    ids::LogId,
    node::{self, core_item::Item, edge_item::Item as Up},
    v1,
};
use gogochat_storage::{bus::channel::ChannelBus, open::Storage, store::StoreError};

use crate::{
    faulty::Faults,
    support::{Edge, Node, User, code, command, config, eventually, message, new_id, next_call, text},
    watched::Watched,
};

async fn two(faults: &Arc<Faults>) -> (Node, User, User, LogId) {
    with_batches_of(1_000, faults).await
}

async fn with_batches_of(batch_max: usize, faults: &Arc<Faults>) -> (Node, User, User, LogId) {
    let node = Node::with(CoreConfig { batch_max, ..config() }, |storage| faults.before(storage)).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    (node, alice, bob, log)
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("a test".into())
}

#[tokio::test]
async fn after_a_retryable_refusal_later_sends_wait_for_the_repeat() {
    let faults = Faults::new();
    let (node, alice, bob, log) = two(&faults).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let bobs = edge.enter(&bob).await;
    let [first, second, third] = [message(log, "1"), message(log, "2"), message(log, "3")];
    let mut send = async |request: &v1::SendMessageRequest| {
        edge.call::<v1::SendMessageResponse>(session, "ChatService/SendMessage", log, request).await
    };
    faults.fail(1, unavailable());
    let refused = send(&first).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable()), ("unavailable", true));
    let early = send(&second).await.unwrap_err();
    assert_eq!((early.code.as_str(), early.retryable()), ("out_of_order", true));
    assert_eq!(code(send(&third).await), "out_of_order");
    assert_eq!(send(&first).await.unwrap().seq, 2);
    assert_eq!(send(&second).await.unwrap().seq, 3);
    assert_eq!(send(&third).await.unwrap().seq, 4);
    assert_eq!(edge.say(bobs, log, "4").await.unwrap().seq, 5);
    let texts: Vec<String> = node.texts(&bob, log).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn sends_under_way_when_the_store_fails_keep_their_order() {
    let faults = Faults::new();
    let (node, alice, bob, log) = with_batches_of(4, &faults).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let requests: Vec<_> = (0..50).map(|n| message(log, &n.to_string())).collect();
    let mut done = 0;
    let mut rounds = 0;
    faults.fail_one_of(3, unavailable());
    while done < requests.len() {
        // The client has all that is not answered under way, as one with an outbox does.
        rounds += 1;
        assert!(rounds < 1_000, "no progress");
        let calls: Vec<u32> = requests[done..].iter().map(|_| next_call()).collect();
        for (request, call) in requests[done..].iter().zip(&calls) {
            edge.send(command(session, *call, "ChatService/SendMessage", &log.to_string(), request)).await;
        }
        let mut answers = Vec::new();
        for call in calls {
            answers.push(edge.result(session, call).await);
        }
        let acknowledged = answers.iter().take_while(|answer| answer.is_ok()).count();
        assert!(answers[acknowledged..].iter().all(|answer| answer.is_err()), "one overtook another");
        done += acknowledged;
    }
    assert!(rounds > 1, "nothing failed");
    faults.fail_one_of(0, unavailable());
    let texts: Vec<String> = node.texts(&bob, log).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_bus_refuses_and_later_sends_wait_for_the_repeat() {
    let faults = Faults::new();
    let node =
        Node::with(config(), |storage| faults.before(Storage { bus: Arc::new(ChannelBus::new(2)), ..storage })).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    faults.hold();
    let begun = faults.begun.load(Ordering::SeqCst);
    let requests: Vec<_> = (0..6).map(|n| message(log, &n.to_string())).collect();
    let calls: Vec<u32> = requests.iter().map(|_| next_call()).collect();
    for (n, (request, call)) in requests.iter().zip(&calls).enumerate() {
        edge.send(command(session, *call, "ChatService/SendMessage", &log.to_string(), request)).await;
        if n == 0 {
            eventually("the commit begins", async || (faults.begun.load(Ordering::SeqCst) > begun).then_some(())).await;
        }
    }
    // One is being committed, two wait; the next is one too many, and those after it are out of their order.
    let refused = edge.result(session, calls[3]).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable()), ("overloaded", true));
    faults.release();
    for call in &calls[..3] {
        assert!(edge.result(session, *call).await.is_ok());
    }
    assert_eq!(code(edge.result(session, calls[4]).await), "out_of_order");
    assert_eq!(code(edge.result(session, calls[5]).await), "out_of_order");
    for request in &requests[3..] {
        edge.call::<v1::SendMessageResponse>(session, "ChatService/SendMessage", log, request).await.unwrap();
    }
    let texts: Vec<String> = node.texts(&bob, log).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_full_disk_refuses_sends_and_reads_go_on() {
    let faults = Faults::new();
    let (node, alice, bob, log) = two(&faults).await;
    node.send(&alice, log, "before").await.unwrap();
    faults.fail(i64::MAX / 2, StoreError::Full);
    let refused = node.send(&alice, log, "full").await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable()), ("storage_full", true));
    assert_eq!(node.texts(&bob, log).await.len(), 1);
    faults.fail(0, StoreError::Full);
    node.send(&alice, log, "after").await.unwrap();
}

#[tokio::test]
async fn one_command_that_cannot_be_committed_does_not_take_others_with_it() {
    let faults = Faults::new();
    let (node, alice, bob, log) = two(&faults).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    faults.poison("poison");
    faults.hold();
    let texts = ["0", "1", "poison", "3"];
    let calls: Vec<u32> = texts.iter().map(|_| next_call()).collect();
    for (text, call) in texts.iter().zip(&calls) {
        edge.send(command(session, *call, "ChatService/SendMessage", &log.to_string(), &message(log, text))).await;
    }
    faults.release();
    let mut codes = Vec::new();
    for call in calls {
        codes.push(edge.result(session, call).await.map_or_else(|error| error.code, |_| String::new()));
    }
    assert_eq!(codes, ["", "", "internal", ""]);
    assert_eq!(node.texts(&bob, log).await.len(), 3);
}

#[tokio::test]
async fn one_by_one_none_overtakes_another_that_will_come_again() {
    let faults = Faults::new();
    let (node, alice, bob, log) = two(&faults).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    faults.poison("poison");
    faults.fail_after_poison(unavailable());
    faults.hold();
    let texts = ["0", "1", "poison", "3"];
    let begun = faults.begun.load(Ordering::SeqCst);
    let calls: Vec<u32> = texts.iter().map(|_| next_call()).collect();
    for (n, (text, call)) in texts.iter().zip(&calls).enumerate() {
        edge.send(command(session, *call, "ChatService/SendMessage", &log.to_string(), &message(log, text))).await;
        if n == 0 {
            eventually("the commit begins", async || (faults.begun.load(Ordering::SeqCst) > begun).then_some(())).await;
        }
    }
    faults.release();
    let mut codes = Vec::new();
    for call in calls {
        codes.push(edge.result(session, call).await.map_or_else(|error| error.code, |_| String::new()));
    }
    assert_eq!(codes, ["", "unavailable", "unavailable", "unavailable"]);
    assert_eq!(node.texts(&bob, log).await.len(), 1);
}

#[tokio::test]
async fn what_the_edge_waited_for_passes_whatever_was_refused_behind_it() {
    let faults = Faults::new();
    let node =
        Node::with(config(), |storage| faults.before(Storage { bus: Arc::new(ChannelBus::new(1)), ..storage })).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    faults.hold();
    let begun = faults.begun.load(Ordering::SeqCst);
    let requests: Vec<_> = (0..3).map(|n| message(log, &n.to_string())).collect();
    let calls: Vec<u32> = requests.iter().map(|_| next_call()).collect();
    for (n, (request, call)) in requests.iter().zip(&calls).enumerate() {
        edge.send(command(session, *call, "ChatService/SendMessage", &log.to_string(), request)).await;
        if n == 0 {
            eventually("the commit begins", async || (faults.begun.load(Ordering::SeqCst) > begun).then_some(())).await;
        }
    }
    // The bus is full for the third; then the first is not committed.
    assert_eq!(code(edge.result(session, calls[2]).await), "overloaded");
    faults.fail(1, unavailable());
    faults.release();
    assert_eq!(code(edge.result(session, calls[0]).await), "unavailable");
    assert_eq!(code(edge.result(session, calls[1]).await), "out_of_order");
    for (n, request) in requests.iter().enumerate() {
        let call = next_call();
        let Up::Command(again) = command(session, call, "ChatService/SendMessage", &log.to_string(), request) else {
            unreachable!()
        };
        edge.send(Up::Command(node::Command { awaited: n == 0, ..again })).await;
        assert!(edge.result(session, call).await.is_ok(), "{n}");
    }
    let texts: Vec<String> = node.texts(&bob, log).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["0", "1", "2"]);
}

#[tokio::test]
async fn nothing_is_acknowledged_or_told_before_it_is_committed() {
    let faults = Faults::new();
    let (node, alice, bob, log) = two(&faults).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    edge.enter(&bob).await;
    let begun = faults.begun.load(Ordering::SeqCst);
    faults.hold();
    let call = next_call();
    edge.send(command(session, call, "ChatService/SendMessage", &log.to_string(), &message(log, "held"))).await;
    eventually("the commit begins", async || (faults.begun.load(Ordering::SeqCst) > begun).then_some(())).await;
    // Whatever was to be said by now would have come before this answer.
    for item in edge.settle().await {
        assert!(!matches!(item, Item::Result(_) | Item::Fanout(_)), "{item:?}");
    }
    faults.release();
    assert!(edge.result(session, call).await.is_ok());
    assert_eq!(text(&edge.event(log).await.1).unwrap(), "held");
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_told_so_and_may_be_repeated() {
    let faults = Faults::new();
    let mut config = config();
    // Long enough for the calls before on a busy machine.
    config.call_deadline = Duration::from_secs(3);
    let node = Node::with(config, |storage| faults.before(storage)).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    faults.hold();
    let request = message(log, "slow");
    let late: Result<v1::SendMessageResponse, _> =
        node.call("ChatService/SendMessage", Some(&alice.token), &request).await;
    let late = late.unwrap_err();
    assert_eq!((late.code.as_str(), late.retryable()), ("deadline_exceeded", true));
    faults.release();
    // So is one that reads and finds all connections taken.
    faults.hold_reads();
    let page = v1::ListEventsRequest { conversation_id: log.to_string(), ..Default::default() };
    let late: Result<v1::ListEventsResponse, _> = node.call("ChatService/ListEvents", Some(&alice.token), &page).await;
    assert_eq!(late.unwrap_err().code, "deadline_exceeded");
    faults.release_reads();
    let again = eventually("the repeat", async || {
        node.call::<v1::SendMessageResponse>("ChatService/SendMessage", Some(&alice.token), &request).await.ok()
    })
    .await;
    assert_eq!((again.seq, again.duplicate), (2, true));
}

#[tokio::test]
async fn draining_tells_the_edges_finishes_what_was_taken_and_takes_no_more() {
    let faults = Faults::new();
    let (node, alice, bob, log) = two(&faults).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    assert_eq!(node.core.ready(), Ok(()));
    let begun = faults.begun.load(Ordering::SeqCst);
    faults.hold();
    let calls: Vec<u32> = (0..20).map(|_| next_call()).collect();
    for call in &calls {
        edge.send(command(session, *call, "ChatService/SendMessage", &log.to_string(), &message(log, "taken"))).await;
    }
    eventually("the commit begins", async || (faults.begun.load(Ordering::SeqCst) > begun).then_some(())).await;
    edge.settle().await;
    let drain = node.core.drain(Duration::from_secs(10));
    let client = async {
        let told = edge
            .next("drain", |item| match item {
                Item::DrainMs(ms) => Some(*ms),
                _ => None,
            })
            .await;
        assert_eq!(told, 10_000);
        assert!(node.core.ready().is_err());
        let refused = edge.say(session, log, "late").await.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.retryable()), ("unavailable", true));
        assert_eq!(code(node.send(&alice, log, "late").await), "unavailable");
        faults.release();
        for call in calls {
            assert!(edge.result(session, call).await.is_ok());
        }
    };
    tokio::join!(drain, client);
    assert_eq!(node.texts(&bob, log).await.len(), 20);
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline() {
    let faults = Faults::new();
    let (node, alice, _bob, log) = two(&faults).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    faults.hold();
    edge.send(command(session, next_call(), "ChatService/SendMessage", &log.to_string(), &message(log, "x"))).await;
    edge.settle().await;
    let began = std::time::Instant::now();
    node.core.drain(Duration::from_millis(100)).await;
    assert!(began.elapsed() < Duration::from_secs(5));
    faults.release();
}

#[tokio::test]
async fn what_was_committed_without_an_answer_is_told_to_those_it_concerns() {
    let faults = Faults::new();
    let (node, alice, bob, log) = two(&faults).await;
    let eve = node.register("eve").await;
    node.befriend(&alice, &eve).await;
    let ask = v1::RequestContactRequest { user_id: eve.id.to_string(), note: String::new() };
    let _: v1::RequestContactResponse =
        node.call("SocialService/RequestContact", Some(&bob.token), &ask).await.unwrap();
    let mut edge = Edge::attach(&node).await;
    let alices = edge.enter(&alice).await;
    let eves = edge.enter(&eve).await;
    edge.enter(&bob).await;
    let begins = async |edge: &mut Edge, user: &User| loop {
        if let Some(begins) = edge.event(user.own()).await.0.subscribe {
            return LogId::from_slice(&begins.log_id).unwrap();
        }
    };

    let create = v1::CreateGroupRequest {
        client_msg_id: new_id(),
        title: "Friends".into(),
        member_ids: vec![bob.id.to_string()],
    };
    faults.lose_an_answer();
    let lost = edge.call::<v1::CreateGroupResponse>(alices, "ChatService/CreateGroup", "", &create).await;
    assert_eq!(code(lost), "unavailable");
    let group = begins(&mut edge, &bob).await;
    assert_eq!(begins(&mut edge, &alice).await, group);
    let again: v1::CreateGroupResponse = edge.call(alices, "ChatService/CreateGroup", "", &create).await.unwrap();
    assert_eq!(again.conversation_id, group.to_string());

    let add = v1::AddMembersRequest {
        conversation_id: group.to_string(),
        client_msg_id: new_id(),
        user_ids: vec![eve.id.to_string()],
    };
    edge.interest(group, 0).await;
    assert!(matches!(edge.event(group).await.1.body, Some(v1::event::Body::ConversationCreated(_))));
    faults.lose_an_answer();
    assert_eq!(
        code(edge.call::<v1::AddMembersResponse>(alices, "ChatService/AddMembers", group, &add).await),
        "unavailable"
    );
    assert_eq!(begins(&mut edge, &eve).await, group);
    assert!(matches!(edge.event(group).await.1.body, Some(v1::event::Body::MembersAdded(_))));

    let accept = v1::AcceptContactRequest { user_id: bob.id.to_string() };
    faults.lose_an_answer();
    let lost = edge.call::<v1::AcceptContactResponse>(eves, "SocialService/AcceptContact", "", &accept).await;
    assert_eq!(code(lost), "unavailable");
    let direct = begins(&mut edge, &bob).await;
    assert_eq!(begins(&mut edge, &eve).await, direct);

    // A message, too, and nobody has to repeat it for that.
    faults.lose_an_answer();
    assert_eq!(code(edge.say(alices, log, "heard").await), "unavailable");
    assert_eq!(text(&edge.event(log).await.1).unwrap(), "heard");
}

#[tokio::test]
async fn a_partition_is_kept_until_what_was_refused_has_come_again() {
    let (faults, bus) = (Faults::new(), Watched::new());
    let kept = &bus.kept;
    let node = Node::with(config(), |storage| faults.before(Storage { bus: bus.clone(), ..storage })).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let partition = gogochat_proto::partition::partition(log.to_string().as_bytes());
    let [first, second] = [message(log, "1"), message(log, "2")];
    let mut send = async |request: &v1::SendMessageRequest| {
        edge.call::<v1::SendMessageResponse>(session, "ChatService/SendMessage", log, request).await
    };
    faults.fail(1, unavailable());
    assert_eq!(code(send(&first).await), "unavailable");
    assert_eq!(*kept.lock(), [partition]);
    assert_eq!(code(send(&second).await), "out_of_order");
    assert_eq!(*kept.lock(), [partition]);
    send(&first).await.unwrap();
    assert!(kept.lock().is_empty());
    send(&second).await.unwrap();
}
