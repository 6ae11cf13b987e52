//! Groups.

use std::sync::Arc;

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_MEMBERS,
    v1::event::Body,
};
use gogochat_storage::store::{Command, Done, Origin, Refusal, Slice, Store, SubscriptionChange};

use super::{NOW, World, body, unnamed};

fn create(log: LogId, origin: Origin, members: &[UserId]) -> Command {
    Command::CreateGroup { log, origin, title: "Tea".into(), members: members.to_vec() }
}

fn add(log: LogId, origin: Origin, users: &[UserId]) -> Command {
    Command::AddMembers { log, origin, users: users.to_vec() }
}

pub(crate) async fn founders_see_all(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two, three] = world.users().await;
    world.befriend(one, two).await;
    world.befriend(one, three).await;
    let log = LogId::new_v7();
    let origin = world.origin(one);
    // Oneself and repeats are passed over.
    let committed = world.one(create(log, origin, &[two, one, three, two])).await.unwrap();
    assert_eq!(committed.done, Done::Created { conversation: log });

    let first = &committed.events[0];
    assert_eq!((first.log, first.seq, first.sender, first.time_ms), (log, 1, one, NOW));
    assert_eq!((first.device, first.client_msg_id), (Some(origin.device), Some(origin.client_msg_id)));
    let Body::ConversationCreated(created) = body(first) else { panic!("{first:?}") };
    assert_eq!((created.kind, created.title.as_str(), created.member_count), (2, "Tea", 3));
    assert_eq!(created.member_ids, [one, two, three].map(|user| user.to_string()));

    let owners: Vec<_> = committed.events[1..].iter().map(|event| event.log).collect();
    assert_eq!(owners, [one, two, three].map(LogId::from));
    for event in &committed.events[1..] {
        let Body::ConversationJoined(joined) = body(event) else { panic!("{event:?}") };
        assert_eq!((joined.conversation_id, joined.from_seq), (log.to_string(), 1));
        assert_eq!(event.subscription, Some(SubscriptionChange::Subscribe { log, from_seq: 0 }));
        assert_eq!((event.sender, event.device, event.client_msg_id), (one, None, None));
    }
    for user in [one, two, three] {
        let seen = &world.store.conversations(user, &[log]).await.unwrap()[0];
        assert_eq!((seen.title.as_deref(), seen.member_count, seen.from_seq), (Some("Tea"), 3, 1));
        assert!(seen.writable && seen.peer.is_none());
    }
}

pub(crate) async fn creating_again_answers_with_the_first(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    world.befriend(one, two).await;
    let origin = world.origin(one);
    let [first, second] = [LogId::new_v7(), LogId::new_v7()];
    let outcomes =
        world.store.commit(vec![create(first, origin, &[two]), create(second, origin, &[two])]).await.unwrap();
    assert_eq!(outcomes[1].as_ref().unwrap().done, Done::Created { conversation: first });
    assert!(outcomes[1].as_ref().unwrap().events.is_empty());
    let again = world.one(create(LogId::new_v7(), origin, &[two])).await.unwrap();
    assert_eq!((again.done, again.events), (Done::Created { conversation: first }, vec![]));
    assert_eq!(world.store.last_seq(second).await.unwrap(), None);

    let changed = Origin { request_hash: [9; 32], ..origin };
    assert_eq!(world.one(create(second, changed, &[])).await, Err(Refusal::ClientMsgIdReused));
    // An id that some conversation has already is nobody's to take.
    assert_eq!(world.one(create(first, world.origin(two), &[])).await, Err(Refusal::ClientMsgIdReused));
    assert_eq!(world.store.memberships(two).await.unwrap().len(), 2);
}

pub(crate) async fn only_contacts_are_brought_in(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two, three] = world.users().await;
    world.befriend(one, two).await;
    world.befriend(two, three).await;
    let nobody = UserId::new_v7();
    let log = LogId::new_v7();
    assert_eq!(world.one(create(log, world.origin(one), &[two, three])).await, Err(Refusal::NotAContact(three)));
    assert_eq!(world.one(create(log, world.origin(one), &[nobody])).await, Err(Refusal::NotAContact(nobody)));
    assert_eq!(world.store.last_seq(log).await.unwrap(), None);

    world.one(create(log, world.origin(one), &[two])).await.unwrap();
    assert_eq!(world.one(add(log, world.origin(one), &[three])).await, Err(Refusal::NotAContact(three)));
    assert_eq!(world.one(add(log, world.origin(three), &[two])).await, Err(Refusal::NotAMember));
    // Any member may bring in contacts of theirs; who is a member already need not be one.
    let committed = world.one(add(log, world.origin(two), &[three, one])).await.unwrap();
    assert_eq!(committed.done, Done::Added { added: 1, member_count: 3 });
    assert_eq!(world.log(log).await.len(), 2);
}

pub(crate) async fn later_members_see_what_comes_later(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two, three] = world.users().await;
    world.befriend(one, two).await;
    world.befriend(one, three).await;
    let log = world.group(one, &[two]).await;
    world.say(one, log, "early").await;
    let origin = world.origin(one);
    let committed = world.one(add(log, origin, &[three, two, three])).await.unwrap();
    assert_eq!(committed.done, Done::Added { added: 1, member_count: 3 });

    let [added, told] = &committed.events[..] else { panic!("{:?}", committed.events) };
    assert_eq!((added.log, added.seq), (log, 3));
    let Body::MembersAdded(members) = body(added) else { panic!("{added:?}") };
    assert_eq!((members.member_ids, members.count), (vec![three.to_string()], 1));
    assert_eq!(told.log, three.into());
    let Body::ConversationJoined(joined) = body(told) else { panic!("{told:?}") };
    assert_eq!(joined.from_seq, 3);
    assert_eq!(told.subscription, Some(SubscriptionChange::Subscribe { log, from_seq: 2 }));

    let member = world.store.member(log, three).await.unwrap().unwrap();
    assert_eq!((member.from_seq, member.delivered, member.read, member.joined_ms), (3, 2, 2, NOW));
    let seen = &world.store.conversations(three, &[log]).await.unwrap()[0];
    assert_eq!((seen.from_seq, seen.unread, seen.last_seq), (3, 0, 3));

    let again = world.one(add(log, origin, &[three])).await.unwrap();
    assert_eq!((again.done, again.events), (Done::Added { added: 1, member_count: 3 }, vec![]));
    let nothing = world.one(add(log, world.origin(one), &[two, three])).await.unwrap();
    assert_eq!((nothing.done, nothing.events), (Done::Added { added: 0, member_count: 3 }, vec![]));
}

pub(crate) async fn who_added_nobody_adds_nobody_later(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    world.befriend(one, two).await;
    let log = world.group(one, &[two]).await;
    let repeated = add(log, world.origin(one), &[two]);
    world.one(repeated.clone()).await.unwrap();
    world.one(Command::LeaveGroup { log, origin: world.origin(two) }).await.unwrap();
    let again = world.one(repeated).await.unwrap();
    assert_eq!((again.done, again.events), (Done::Added { added: 0, member_count: 1 }, vec![]));
    assert_eq!(world.store.member(log, two).await.unwrap(), None);
}

pub(crate) async fn leaving_ends_it(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    let direct = world.befriend(one, two).await;
    let log = world.group(one, &[two]).await;
    let origin = world.origin(two);
    let leave = Command::LeaveGroup { log, origin };
    let committed = world.one(leave.clone()).await.unwrap();
    let [left, told] = &committed.events[..] else { panic!("{:?}", committed.events) };
    assert_eq!((left.log, left.seq, left.client_msg_id), (log, 2, Some(origin.client_msg_id)));
    assert!(matches!(body(left), Body::MemberLeft(left) if left.user_id == two.to_string()));
    assert_eq!(told.log, two.into());
    assert!(matches!(body(told), Body::ConversationLeft(left) if left.conversation_id == log.to_string()));
    assert_eq!(told.subscription, Some(SubscriptionChange::Unsubscribe { log }));

    assert_eq!(world.one(world.append(two, log, "x")).await, Err(Refusal::NotAMember));
    assert_eq!(world.one(Command::Mark { log, user: two, delivered: 1, read: 1 }).await, Err(Refusal::NotAMember));
    let elsewhere = Command::LeaveGroup { log, origin: world.origin(two) };
    assert_eq!(world.one(elsewhere).await, Err(Refusal::NotAMember));
    let again = world.one(leave).await.unwrap();
    assert_eq!((again.done, again.events), (Done::Nothing, vec![]));
    assert_eq!(world.store.member(log, two).await.unwrap(), None);
    assert_eq!(world.store.members(log, None, 10).await.unwrap().len(), 1);
    assert!(world.store.conversations(two, &[log]).await.unwrap().is_empty());

    // The last one out.
    world.one(Command::LeaveGroup { log, origin: world.origin(one) }).await.unwrap();
    assert!(world.store.members(log, None, 10).await.unwrap().is_empty());
    assert_eq!(world.one(add(log, world.origin(one), &[two])).await, Err(Refusal::NotAMember));

    let origin = world.origin(one);
    assert_eq!(world.one(Command::LeaveGroup { log: direct, origin }).await, Err(Refusal::NotAGroup));
    assert_eq!(world.one(add(direct, origin, &[two])).await, Err(Refusal::NotAGroup));
}

pub(crate) async fn coming_back_begins_anew(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    world.befriend(one, two).await;
    let log = world.group(one, &[two]).await;
    world.say(one, log, "x").await;
    world.one(Command::Mark { log, user: two, delivered: 2, read: 1 }).await.unwrap();
    // Out and in again, in one batch and over two.
    let leave = |world: &World| Command::LeaveGroup { log, origin: world.origin(two) };
    let batch = vec![leave(&world), world.append(one, log, "missed"), add(log, world.origin(one), &[two])];
    let outcomes = world.store.commit(batch).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let member = world.store.member(log, two).await.unwrap().unwrap();
    assert_eq!((member.from_seq, member.delivered, member.read), (5, 4, 4));

    world.one(leave(&world)).await.unwrap();
    world.one(add(log, world.origin(one), &[two])).await.unwrap();
    let member = world.store.member(log, two).await.unwrap().unwrap();
    assert_eq!((member.from_seq, member.delivered, member.read), (7, 6, 6));
    assert_eq!(world.store.members(log, None, 10).await.unwrap().len(), 2);
    assert_eq!(world.store.memberships(two).await.unwrap().len(), 2);
    // In and out again in one batch leaves nothing.
    let batch = vec![leave(&world), add(log, world.origin(one), &[two]), leave(&world)];
    assert!(world.store.commit(batch).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(world.store.member(log, two).await.unwrap(), None);
}

/// At the limit of members, and past it.
pub(crate) async fn a_group_has_its_limit(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let one = world.user().await;
    let mut others = world.crowd(MAX_MEMBERS).await;
    for chunk in others.chunks(500) {
        let ask = |to: &UserId| {
            let conversation = LogId::new_v7();
            let ask = Command::RequestContact { origin: unnamed(one, NOW), to: *to, note: String::new(), conversation };
            [ask, Command::AcceptContact { origin: unnamed(*to, NOW), from: one, conversation }]
        };
        world.store.commit(chunk.iter().flat_map(ask).collect()).await.unwrap();
    }
    let log = LogId::new_v7();
    assert_eq!(world.one(create(log, world.origin(one), &others)).await, Err(Refusal::TooManyMembers));
    assert_eq!(world.store.last_seq(log).await.unwrap(), None);
    let last = others.pop().unwrap();
    let more = others.split_off(5_000);
    let committed = world.one(create(log, world.origin(one), &others)).await.unwrap();
    assert_eq!(committed.events.len(), 5_002);
    let Body::ConversationCreated(created) = body(&committed.events[0]) else { panic!("not created") };
    assert_eq!((created.member_ids.len(), created.member_count), (100, 5_001));

    let committed = world.one(add(log, world.origin(one), &more)).await.unwrap();
    assert_eq!(committed.done, Done::Added { added: 4_999, member_count: MAX_MEMBERS });
    let Body::MembersAdded(added) = body(&committed.events[0]) else { panic!("not added") };
    assert_eq!((added.member_ids.len(), added.count), (100, 4_999));
    assert_eq!(world.one(add(log, world.origin(one), &[last])).await, Err(Refusal::TooManyMembers));
    let none = world.one(add(log, world.origin(one), &more[..1])).await.unwrap();
    assert_eq!(none.done, Done::Added { added: 0, member_count: MAX_MEMBERS });
}

/// What is foreseen is what a commit at that moment decides; a repeat is foreseen as what it was, and nothing
/// changes.
pub(crate) async fn what_is_foreseen_is_what_is_decided(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two, three, stranger] = world.users().await;
    let direct = world.befriend(one, two).await;
    world.befriend(one, three).await;
    let group = world.group(one, &[two]).await;
    let (added, conversation) = (world.origin(one), LogId::new_v7());
    world.one(add(group, added, &[three])).await.unwrap();
    let ask = |from, to| Command::RequestContact { origin: unnamed(from, NOW), to, note: String::new(), conversation };
    let accept = |user, from| Command::AcceptContact { origin: unnamed(user, NOW), from, conversation };
    let remove = |user, peer| Command::RemoveContact { origin: unnamed(user, NOW), peer };
    for (command, expected) in [
        (add(group, world.origin(stranger), &[one]), Some(Refusal::NotAMember)),
        (add(LogId::new_v7(), world.origin(one), &[two]), Some(Refusal::NotAMember)),
        (add(direct, world.origin(one), &[three]), Some(Refusal::NotAGroup)),
        (add(group, world.origin(one), &[two, stranger]), Some(Refusal::NotAContact(stranger))),
        (add(group, world.origin(one), &[two, three]), None),
        (add(group, added, &[three]), None),
        (add(group, Origin { request_hash: [9; 32], ..added }, &[stranger]), Some(Refusal::ClientMsgIdReused)),
        (create(LogId::new_v7(), world.origin(one), &[stranger]), Some(Refusal::NotAContact(stranger))),
        (create(LogId::new_v7(), world.origin(one), &[two]), None),
        (ask(one, two), Some(Refusal::AlreadyContact)),
        (ask(one, UserId::new_v7()), Some(Refusal::NotFound)),
        (ask(stranger, one), None),
        (accept(one, stranger), Some(Refusal::NotFound)),
        (accept(one, two), None),
        (remove(one, stranger), Some(Refusal::NotFound)),
        (remove(one, two), None),
        (Command::LeaveGroup { log: group, origin: world.origin(stranger) }, Some(Refusal::NotAMember)),
    ] {
        let before = world.log(group).await.len();
        assert_eq!(world.store.foresee(&command).await.unwrap(), expected, "{command:?}");
        assert_eq!(world.log(group).await.len(), before);
        if let Some(expected) = expected {
            assert_eq!(world.one(command).await.unwrap_err(), expected);
        }
    }
    assert_eq!(world.store.contended(&[ask(stranger, one)]).await.unwrap(), [false]);
}

/// A command that was cut up is carried out once, whether it was cut off between two slices or had been
/// carried out as a whole.
pub(crate) async fn slices_are_finished_once(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two, three, four] = world.users().await;
    for other in [two, three, four] {
        world.befriend(one, other).await;
    }
    let group = world.group(one, &[]).await;
    let whole = world.origin(one);
    let part = Origin { client_msg_id: world.origin(one).client_msg_id, ..whole };
    let first = Command::AddSlice {
        log: group,
        origin: part,
        users: vec![two, three],
        slice: Slice::Part { of: whole.client_msg_id },
    };
    let last = Command::AddSlice { log: group, origin: whole, users: vec![four], slice: Slice::Last { done: 2 } };
    let done = world.one(first.clone()).await.unwrap();
    assert_eq!((done.done, done.events.len()), (Done::Added { added: 2, member_count: 3 }, 3));
    // It comes again after it was cut off.
    let done = world.one(first.clone()).await.unwrap();
    assert_eq!((done.done, done.events.len()), (Done::Added { added: 2, member_count: 3 }, 0));
    let done = world.one(last.clone()).await.unwrap();
    assert_eq!((done.done, done.events.len()), (Done::Added { added: 3, member_count: 4 }, 2));
    // And once more after one has left, who stays out.
    world.one(Command::LeaveGroup { log: group, origin: world.origin(two) }).await.unwrap();
    for again in [first, last] {
        let done = world.one(again).await.unwrap();
        assert!(done.events.is_empty() && matches!(done.done, Done::Added { member_count: 3, .. }), "{done:?}");
    }
    // A whole that was carried out as one leaves nothing to its slices.
    let origin = world.origin(one);
    world.one(add(group, origin, &[two])).await.unwrap();
    world.one(Command::LeaveGroup { log: group, origin: world.origin(two) }).await.unwrap();
    let slice = Slice::Part { of: origin.client_msg_id };
    let name = world.origin(one).client_msg_id;
    let late =
        Command::AddSlice { log: group, origin: Origin { client_msg_id: name, ..origin }, users: vec![two], slice };
    let done = world.one(late.clone()).await.unwrap();
    assert_eq!((done.done, done.events.len()), (Done::Added { added: 1, member_count: 3 }, 0));
    // Another request of the same name is refused.
    let Command::AddSlice { log, origin, users, slice } = late else { panic!() };
    let other = Command::AddSlice { log, origin: Origin { request_hash: [9; 32], ..origin }, users, slice };
    assert_eq!(world.one(other).await.unwrap_err(), Refusal::ClientMsgIdReused);
}
