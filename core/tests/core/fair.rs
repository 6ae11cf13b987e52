//! What one user may take of what all share: batches, queues, looks, budgets.

use std::sync::{Arc, atomic::Ordering};

use gogochat_core::{CoreConfig, Rate};
use gogochat_proto::{
    ids::{ClientMsgId, CommandId, DeviceId, LogId, UserId},
    limits::MAX_MEMBERS_PER_CALL,
    partition::partition,
    v1,
};
use gogochat_storage::{
    bus::{Bus, BusCommand, ReplyTo, channel::ChannelBus},
    open::Storage,
    store::{Command, Event, NewDevice, NewUser, Origin, Range, Store, StoreError, Tokens},
};
use prost::Message as _;

use crate::{
    faulty::Faults,
    support::{Answer, Edge, Node, User, code, command, config, eventually, message, new_id, next_call},
};

const ADD: &str = "ChatService/AddMembers";
const SEND: &str = "ChatService/SendMessage";

/// A request that brings a thousand strangers in.
fn strangers(log: LogId) -> v1::AddMembersRequest {
    let user_ids = (0..MAX_MEMBERS_PER_CALL).map(|_| new_id()).collect();
    v1::AddMembersRequest { conversation_id: log.to_string(), client_msg_id: new_id(), user_ids }
}

fn create(members: &[&User]) -> v1::CreateGroupRequest {
    let member_ids = members.iter().map(|user| user.id.to_string()).collect();
    v1::CreateGroupRequest { client_msg_id: new_id(), title: "Tea".into(), member_ids }
}

async fn group(node: &Node, owner: &User, members: &[&User]) -> LogId {
    let created: v1::CreateGroupResponse =
        node.call("ChatService/CreateGroup", Some(&owner.token), &create(members)).await.unwrap();
    created.conversation_id.parse().unwrap()
}

fn rows(batch: &[Command]) -> usize {
    batch.iter().map(Command::rows).sum()
}

fn floods(batch: &[Command]) -> usize {
    batch.iter().filter(|command| matches!(command, Command::AddMembers { users, .. } if users.len() > 100)).count()
}

/// What is plainly refused is refused by a reader: no batch has any of it, and nobody else is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_strangers_is_refused_before_the_queue() {
    const SESSIONS: usize = 16;
    const CALLS: usize = 16;
    let faults = Faults::new();
    let node = Node::with(config(), |storage| faults.before(storage)).await;
    let (alice, bob, eve) = (node.register("alice").await, node.register("bob").await, node.register("eve").await);
    let log = node.befriend(&alice, &bob).await;
    let own = group(&node, &eve, &[]).await;
    let mut edge = Edge::attach(&node).await;
    let alices = edge.enter(&alice).await;
    let mut flood = Vec::new();
    for n in 0..SESSIONS {
        let session = edge.open(&eve).await.0;
        for _ in 0..CALLS {
            // In a group of her own, and in a conversation of others'.
            let to = if n % 2 == 0 { own } else { log };
            let call = next_call();
            edge.send(command(session, call, ADD, &to.to_string(), &strangers(to))).await;
            flood.push((session, call, if n % 2 == 0 { "not_a_contact" } else { "not_a_member" }));
        }
    }
    for n in 0..20 {
        edge.say(alices, log, &n.to_string()).await.unwrap();
    }
    let mut refused = 0;
    for (session, call, expected) in flood {
        match edge.result(session, call).await.unwrap_err().code.as_str() {
            // Calls of a session wait behind the one that is looked at, and those that wait have a bound.
            "overloaded" | "out_of_order" => {}
            found => {
                assert_eq!(found, expected);
                refused += 1;
            }
        }
    }
    assert!(refused >= SESSIONS, "only {refused} were looked at");
    assert_eq!(node.texts(&bob, log).await.len(), 20);
    assert_eq!(faults.batches.lock().iter().map(|batch| floods(batch)).sum::<usize>(), 0, "one reached a batch");
}

/// What is in the queue all the same, as a core without looks would put it there, has its share of each batch
/// and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_in_the_queue_delays_another_by_a_bounded_batch() {
    const FLOOD: usize = 60;
    let faults = Faults::new();
    let bus = Arc::new(ChannelBus::new(4_096));
    let storage_bus: Arc<dyn Bus> = bus.clone();
    let node = Node::with(config(), |storage| faults.before(Storage { bus: storage_bus, ..storage })).await;
    let (alice, eve) = (node.register("alice").await, node.register("eve").await);
    node.befriend(&alice, &eve).await;
    // In the same conversation, and so in the same partition.
    let log = group(&node, &eve, &[&alice]).await;
    let mut edge = Edge::attach(&node).await;
    let alices = edge.enter(&alice).await;
    faults.hold();
    for _ in 0..FLOOD {
        let request = strangers(log);
        let command = BusCommand {
            id: CommandId::new_v7(),
            published_ms: 0,
            partition: partition(log.to_string().as_bytes()),
            reply_to: ReplyTo { attachment: u64::MAX, session: 0, call_id: 0 },
            user: eve.id,
            device: eve.device,
            method: format!("gogochat.v1.{ADD}"),
            rows: Command::rows_of(request.user_ids.len()) as u32,
            body: request.encode_to_vec().into(),
        };
        bus.publish(command).await.unwrap();
    }
    faults.batches.lock().clear();
    faults.release();
    for n in 0..10 {
        edge.say(alices, log, &n.to_string()).await.unwrap();
        // One that was under way as it came, and its own.
        let batches = std::mem::take(&mut *faults.batches.lock());
        assert!(batches.len() <= 3, "{} batches until its answer", batches.len());
        for batch in &batches {
            assert!(rows(batch) <= 8_192 && floods(batch) <= 1, "{} rows", rows(batch));
        }
    }
    assert_eq!(node.texts(&alice, log).await.len(), 10);
}

/// Who has used up a budget is told when to try again, keeps their order, and takes nothing of another's.
#[tokio::test]
async fn a_user_has_a_budget() {
    let mut config = config();
    // Six messages beside what it takes to become contacts.
    config.rates.rows = Rate { burst: 72, per_minute: 60 };
    let node = Node::with(config, |storage| storage).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let (alices, bobs) = (edge.enter(&alice).await, edge.enter(&bob).await);
    for n in 0..6 {
        edge.say(alices, log, &n.to_string()).await.unwrap();
    }
    let refused = edge.say(alices, log, "7").await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable()), ("rate_limited", true));
    assert!((1..=8_000).contains(&refused.retry_after_ms), "{}", refused.retry_after_ms);
    assert_eq!(code(edge.say(alices, log, "8").await), "out_of_order");
    let by_rest = node.send(&alice, log, "9").await.unwrap_err();
    assert_eq!(by_rest.code, "rate_limited");
    edge.say(bobs, log, "hello").await.unwrap();
}

/// What a session calls keeps its order, whether it is looked at or not, and what waits may make right what
/// would be refused now.
#[tokio::test]
async fn a_look_changes_no_order_and_takes_what_waits_into_account() {
    let faults = Faults::new();
    let node = Node::with(config(), |storage| faults.before(storage)).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let ask = v1::RequestContactRequest { user_id: bob.id.to_string(), note: String::new() };
    let _: v1::RequestContactResponse =
        node.call("SocialService/RequestContact", Some(&alice.token), &ask).await.unwrap();
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&bob).await;
    let accept = v1::AcceptContactRequest { user_id: alice.id.to_string() };
    let (accepting, creating) = (next_call(), next_call());
    let own = bob.id.to_string();
    edge.send_all([
        command(session, accepting, "SocialService/AcceptContact", &own, &accept),
        command(session, creating, "ChatService/CreateGroup", &own, &create(&[&alice])),
    ])
    .await;
    edge.result(session, accepting).await.unwrap();
    let created = edge.result(session, creating).await.unwrap();
    let log: LogId = v1::CreateGroupResponse::decode(created).unwrap().conversation_id.parse().unwrap();

    // Of another session, which has nothing that waits: the look comes first, and what follows behind it.
    let session = edge.open(&bob).await.0;
    let looks = faults.foreseen.load(Ordering::SeqCst);
    let calls: Vec<u32> = (0..4).map(|_| next_call()).collect();
    edge.send_all([
        command(session, calls[0], ADD, &log.to_string(), &strangers(log)),
        command(session, calls[1], SEND, &log.to_string(), &message(log, "1")),
        command(session, calls[2], SEND, &log.to_string(), &message(log, "2")),
        command(session, calls[3], SEND, &log.to_string(), &message(log, "3")),
    ])
    .await;
    assert_eq!(code(edge.result(session, calls[0]).await), "not_a_contact");
    for call in &calls[1..] {
        edge.result(session, *call).await.unwrap();
    }
    assert_eq!(faults.foreseen.load(Ordering::SeqCst), looks + 1);
    let texts: Vec<String> = node.texts(&alice, log).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["1", "2", "3"]);
}

/// A repeat is answered as it was the first time, also where it would be refused by now.
#[tokio::test]
async fn a_repeat_is_never_refused_by_a_look() {
    let node = Node::start().await;
    let (alice, bob, carol) = (node.register("alice").await, node.register("bob").await, node.register("carol").await);
    node.befriend(&alice, &bob).await;
    node.befriend(&alice, &carol).await;
    let log = group(&node, &alice, &[&bob]).await;
    let mut add = strangers(log);
    add.user_ids = vec![carol.id.to_string()];
    let added: v1::AddMembersResponse = node.call(ADD, Some(&alice.token), &add).await.unwrap();
    assert_eq!((added.added, added.member_count), (1, 3));
    let leave = v1::LeaveGroupRequest { conversation_id: log.to_string(), client_msg_id: new_id() };
    let _: v1::LeaveGroupResponse = node.call("ChatService/LeaveGroup", Some(&alice.token), &leave).await.unwrap();
    let mut edge = Edge::attach(&node).await;
    let session = edge.open(&alice).await.0;
    let again: Answer<v1::AddMembersResponse> = edge.call(session, ADD, log, &add).await;
    assert_eq!(again.unwrap().added, 1);
    let session = edge.open(&alice).await.0;
    let other = v1::AddMembersRequest { client_msg_id: new_id(), ..add };
    let refused: Answer<v1::AddMembersResponse> = edge.call(session, ADD, log, &other).await;
    assert_eq!(code(refused), "not_a_member");
}

/// Contacts of a user, made past the core.
async fn contacts(store: &dyn Store, user: &User, count: usize) -> Vec<UserId> {
    let (mut ids, mut batch) = (Vec::new(), Vec::new());
    for n in 0..count {
        let id = UserId::new_v7();
        let name = format!("contact{n}");
        let new = NewUser::new(id, name, "C".into(), "x".into(), 0);
        let hash: [u8; 32] = std::array::from_fn(|at| id.as_bytes()[at % 16]);
        let tokens = Tokens { access: hash, access_expires_ms: 0, refresh: hash, refresh_expires_ms: 0 };
        let (id_of_device, address) = (DeviceId::new_v7(), String::new());
        let device = NewDevice { id: id_of_device, user: id, name: "d".into(), tokens, created_ms: 0, address };
        assert!(store.create_user(new, device).await.unwrap());
        let origin = |sender| Origin {
            sender,
            device: DeviceId::new_v7(),
            client_msg_id: ClientMsgId::new_v7(),
            request_hash: [0; 32],
            now: 0,
        };
        let conversation = LogId::new_v7();
        batch.push(Command::RequestContact { origin: origin(user.id), to: id, note: String::new(), conversation });
        batch.push(Command::AcceptContact { origin: origin(id), from: user.id, conversation });
        ids.push(id);
    }
    assert!(store.commit(batch).await.unwrap().iter().all(Result::is_ok));
    ids
}

/// Very many members are added in slices, each in a transaction of its own; cut off between two, the repeat
/// finishes it, once.
#[tokio::test]
async fn very_many_members_are_added_in_slices_and_finished_once() {
    const COUNT: usize = 205;
    let faults = Faults::new();
    let mut store = None;
    let node = Node::with(config(), |storage| {
        store = Some(storage.store.clone());
        faults.before(storage)
    })
    .await;
    let store = store.unwrap();
    let alice = node.register("alice").await;
    let users = contacts(&*store, &alice, COUNT).await;
    let log = group(&node, &alice, &[]).await;
    let request = v1::AddMembersRequest {
        conversation_id: log.to_string(),
        client_msg_id: new_id(),
        user_ids: users.iter().map(ToString::to_string).collect(),
    };
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    edge.interest(log, 1).await;

    // Refused where it is committed, because what waits keeps a reader from looking: nobody is added.
    let (said, refused) = (next_call(), next_call());
    let mut with_stranger = v1::AddMembersRequest { client_msg_id: new_id(), ..request.clone() };
    with_stranger.user_ids.push(new_id());
    edge.send_all([
        command(session, said, SEND, &log.to_string(), &message(log, "hello")),
        command(session, refused, ADD, &log.to_string(), &with_stranger),
    ])
    .await;
    edge.result(session, said).await.unwrap();
    assert_eq!(code(edge.result(session, refused).await), "not_a_contact");
    assert_eq!(store.members(log, None, 1_000).await.unwrap().len(), 1);

    faults.batches.lock().clear();
    // The second of the commits that follow.
    faults.fail_one_of(faults.begun.load(Ordering::SeqCst) + 1, StoreError::Unavailable("a test".into()));
    let mut add = async || edge.call::<v1::AddMembersResponse>(session, ADD, log, &request).await;
    let cut_off = add().await.unwrap_err();
    assert!(cut_off.retryable(), "{cut_off:?}");
    assert_eq!(store.members(log, None, 1_000).await.unwrap().len(), 101);
    faults.fail_one_of(0, StoreError::Full);
    for _ in 0..2 {
        let added = add().await.unwrap();
        assert_eq!((added.added, added.member_count), (COUNT as i32, COUNT as i32 + 1));
    }
    for batch in faults.batches.lock().iter() {
        assert!(batch.len() == 1 && rows(batch) <= Command::rows_of(100), "{} rows", rows(batch));
    }
    // Everybody is told once, and the group in its order.
    let mut told = Vec::new();
    for seq in 2..=5 {
        if let Some(v1::event::Body::MembersAdded(added)) = edge.event_after(log, seq - 1).await.body {
            told.push(added.count);
        }
    }
    assert_eq!(told, [100, 100, 5]);
    for user in users {
        let own = store.events(user.into(), Range::After(0), 100, usize::MAX).await.unwrap();
        let joins = |event: &Event| {
            let body = v1::Event::decode(event.payload.clone()).unwrap().body.unwrap();
            matches!(body, v1::event::Body::ConversationJoined(joined) if joined.conversation_id == log.to_string())
        };
        assert_eq!(own.iter().filter(|event| joins(event)).count(), 1);
    }
}

/// What others send is committed between two slices, and each slice is told of as it is committed. What its
/// sender sends behind it keeps its place.
#[tokio::test]
async fn others_have_their_turn_between_two_slices() {
    const COUNT: usize = 305;
    let faults = Faults::new();
    let mut store = None;
    let node = Node::with(config(), |storage| {
        store = Some(storage.store.clone());
        faults.before(storage)
    })
    .await;
    let store = store.unwrap();
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    node.befriend(&alice, &bob).await;
    let users = contacts(&*store, &alice, COUNT).await;
    let log = group(&node, &alice, &[&bob]).await;
    let mut edge = Edge::attach(&node).await;
    let (alices, bobs) = (edge.enter(&alice).await, edge.enter(&bob).await);
    edge.interest(log, 1).await;
    let request = v1::AddMembersRequest {
        conversation_id: log.to_string(),
        client_msg_id: new_id(),
        user_ids: users.iter().map(ToString::to_string).collect(),
    };
    let (adding, behind, others) = (next_call(), next_call(), next_call());
    faults.hold();
    let begun = faults.begun.load(Ordering::SeqCst);
    edge.send(command(alices, adding, ADD, &log.to_string(), &request)).await;
    eventually("the first slice begins", async || (faults.begun.load(Ordering::SeqCst) > begun).then_some(())).await;
    edge.send(command(alices, behind, SEND, &log.to_string(), &message(log, "welcome"))).await;
    edge.send(command(bobs, others, SEND, &log.to_string(), &message(log, "hello"))).await;
    edge.settle().await;

    // The first slice, and what came while it was committed.
    faults.let_through(2);
    edge.result(bobs, others).await.unwrap();
    let first = edge.event_after(log, 1).await.body;
    assert!(matches!(first, Some(v1::event::Body::MembersAdded(added)) if added.count == 100));
    assert_eq!(store.members(log, None, 1_000).await.unwrap().len(), 102, "one slice and no more");
    assert_eq!(node.texts(&bob, log).await.len(), 1);

    faults.release();
    let added = v1::AddMembersResponse::decode(edge.result(alices, adding).await.unwrap()).unwrap();
    assert_eq!((added.added, added.member_count), (COUNT as i32, COUNT as i32 + 2));
    let sent = v1::SendMessageResponse::decode(edge.result(alices, behind).await.unwrap()).unwrap();
    assert_eq!(sent.seq, 1 + 4 + 1 + 1, "it stands behind all of the slices");
}

/// What the store leaves of a batch, because it would move too many rows, goes with the next transaction.
#[tokio::test]
async fn what_a_transaction_leaves_is_committed_by_the_next() {
    let faults = Faults::new();
    let node = Node::with(config(), |storage| faults.before(storage)).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    faults.first_alone.store(2, Ordering::SeqCst);
    let calls: Vec<u32> = (0..7).map(|_| next_call()).collect();
    let says = calls.iter().map(|call| command(session, *call, SEND, &log.to_string(), &message(log, "x")));
    edge.send_all(says).await;
    let mut seqs = Vec::new();
    for call in calls {
        seqs.push(v1::SendMessageResponse::decode(edge.result(session, call).await.unwrap()).unwrap().seq);
    }
    assert!(seqs.windows(2).all(|two| two[1] == two[0] + 1), "{seqs:?}");
}

/// A look that fails because readers are busy refuses nobody: the slices decide.
#[tokio::test]
async fn a_look_that_fails_before_the_slices_refuses_nothing() {
    let faults = Faults::new();
    let mut store = None;
    let node = Node::with(config(), |storage| {
        store = Some(storage.store.clone());
        faults.before(storage)
    })
    .await;
    let alice = node.register("alice").await;
    let users = contacts(&*store.unwrap(), &alice, 101).await;
    let log = group(&node, &alice, &[]).await;
    let mut request = v1::AddMembersRequest {
        conversation_id: log.to_string(),
        client_msg_id: new_id(),
        user_ids: users.iter().map(ToString::to_string).collect(),
    };
    faults.failing_looks_here.store(1, Ordering::SeqCst);
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let (said, adding) = (next_call(), next_call());
    edge.send_all([
        command(session, said, SEND, &log.to_string(), &message(log, "1")),
        command(session, adding, ADD, &log.to_string(), &request),
    ])
    .await;
    edge.result(session, said).await.unwrap();
    let added = v1::AddMembersResponse::decode(edge.result(session, adding).await.unwrap()).unwrap();
    assert_eq!((added.added, added.member_count), (101, 102));
    // The slice that has somebody who is no contact is refused by itself.
    request.client_msg_id = new_id();
    request.user_ids.push(new_id());
    let (said, adding) = (next_call(), next_call());
    edge.send_all([
        command(session, said, SEND, &log.to_string(), &message(log, "2")),
        command(session, adding, ADD, &log.to_string(), &request),
    ])
    .await;
    edge.result(session, said).await.unwrap();
    assert_eq!(code(edge.result(session, adding).await), "not_a_contact");
    edge.say(session, log, "3").await.unwrap();
}

/// A row that somebody holds is in the way of what needs it alone; and what follows that waits for it.
#[tokio::test]
async fn a_conflict_refuses_one_conversation_and_not_the_batch() {
    let faults = Faults::new();
    let node = Node::with(CoreConfig { batch_max: 100, ..config() }, |storage| faults.before(storage)).await;
    let (alice, bob, carol) = (node.register("alice").await, node.register("bob").await, node.register("carol").await);
    let (held, free) = (node.befriend(&alice, &bob).await, node.befriend(&alice, &carol).await);
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let first = message(held, "1");
    let requests =
        [(held, first.clone()), (free, message(free, "1")), (held, message(held, "2")), (free, message(free, "2"))];
    let calls: Vec<u32> = requests.iter().map(|_| next_call()).collect();
    faults.hold();
    let begun = faults.begun.load(Ordering::SeqCst);
    // One that keeps the worker busy while the others gather.
    let busy = next_call();
    edge.send(command(session, busy, SEND, &free.to_string(), &message(free, "0"))).await;
    eventually("the commit begins", async || (faults.begun.load(Ordering::SeqCst) > begun).then_some(())).await;
    for ((log, request), call) in requests.iter().zip(&calls) {
        edge.send(command(session, *call, SEND, &log.to_string(), request)).await;
    }
    edge.settle().await;
    *faults.held_log.lock() = Some(held);
    faults.release();
    edge.result(session, busy).await.unwrap();
    let refused = edge.result(session, calls[0]).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable()), ("unavailable", true));
    edge.result(session, calls[1]).await.unwrap();
    assert!(edge.result(session, calls[2]).await.unwrap_err().retryable());
    edge.result(session, calls[3]).await.unwrap();

    // While it is known, no batch is tried with it; once it is free, all is well.
    faults.batches.lock().clear();
    assert!(edge.say(session, free, "3").await.is_ok());
    *faults.held_log.lock() = None;
    edge.call::<v1::SendMessageResponse>(session, SEND, held, &first).await.unwrap();
    edge.say(session, held, "2").await.unwrap();
    let texts =
        async |user: &User, log| node.texts(user, log).await.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    assert_eq!(texts(&bob, held).await, ["1", "2"]);
    assert_eq!(texts(&carol, free).await, ["0", "1", "2", "3"]);
}
