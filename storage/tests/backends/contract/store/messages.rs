//! Appending and marks.

use std::sync::Arc;

use gogochat_proto::{
    ids::{LogId, UserId},
    v1::event::Body,
};
use gogochat_storage::store::{Command, Done, MovedMark, Refusal, Store};

use super::{NOW, World, appended, body, message};

pub(crate) async fn takes_its_place_in_the_log(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;

    let origin = world.origin(one);
    let committed = world.one(Command::Append { log, origin, payload: message("hello") }).await.unwrap();
    assert_eq!(committed.done, Done::Appended { seq: 2, time_ms: NOW, duplicate: false });
    let [event] = &committed.events[..] else { panic!("{:?}", committed.events) };
    assert_eq!((event.log, event.seq, event.sender), (log, 2, one));
    assert_eq!((event.device, event.client_msg_id), (Some(origin.device), Some(origin.client_msg_id)));
    assert_eq!(event.subscription, None);
    assert!(matches!(body(event), Body::Message(message) if message.text == "hello"));

    assert_eq!(world.say(other, log, "hi").await, 3);
    assert_eq!(world.store.last_seq(log).await.unwrap(), Some(3));
    let events = world.log(log).await;
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(events[1], *event);
}

pub(crate) async fn a_batch_sees_its_own_commands(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let group = world.group(one, &[other]).await;

    let twice = world.append(one, log, "once");
    let leave = Command::LeaveGroup { log: group, origin: world.origin(other) };
    let batch = vec![
        twice.clone(),
        world.append(other, log, "then"),
        twice,
        world.append(other, group, "still in"),
        leave,
        world.append(other, group, "gone"),
        world.append(one, group, "alone"),
    ];
    let outcomes = world.store.commit(batch).await.unwrap();
    let done: Vec<_> =
        outcomes.iter().map(|outcome| outcome.as_ref().map(|committed| committed.done.clone())).collect();
    let appended = |seq, duplicate| Done::Appended { seq, time_ms: NOW, duplicate };
    assert_eq!(
        done,
        [
            Ok(appended(2, false)),
            Ok(appended(3, false)),
            Ok(appended(2, true)),
            Ok(appended(2, false)),
            Ok(Done::Nothing),
            Err(&Refusal::NotAMember),
            Ok(appended(4, false)),
        ]
    );
    assert!(outcomes[2].as_ref().unwrap().events.is_empty());
    assert_eq!(world.log(log).await.len(), 3);
    assert_eq!(world.log(group).await.len(), 4);
}

pub(crate) async fn a_repeat_is_answered_with_the_first(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let mut origin = world.origin(one);
    let first = Command::Append { log, origin, payload: message("first") };
    assert_eq!(appended(&world.one(first.clone()).await.unwrap()), 2);
    world.say(other, log, "between").await;

    origin.now += 5;
    let again = Command::Append { log, origin, payload: message("first") };
    let committed = world.one(again).await.unwrap();
    assert_eq!(committed.done, Done::Appended { seq: 2, time_ms: NOW, duplicate: true });
    assert!(committed.events.is_empty());

    let mut changed = origin;
    changed.request_hash = [8; 32];
    let changed = Command::Append { log, origin: changed, payload: message("another") };
    assert_eq!(world.one(changed).await, Err(Refusal::ClientMsgIdReused));

    // The same name from another sender, device or log is another command.
    let mut theirs = world.origin(other);
    theirs.client_msg_id = origin.client_msg_id;
    let committed = world.one(Command::Append { log, origin: theirs, payload: message("theirs") }).await.unwrap();
    assert_eq!(appended(&committed), 4);
    let mut device = origin;
    device.device = world.device(other);
    let committed = world.one(Command::Append { log, origin: device, payload: message("device") }).await.unwrap();
    assert_eq!(appended(&committed), 5);
    let group = world.group(one, &[other]).await;
    let committed = world.one(Command::Append { log: group, origin, payload: message("log") }).await.unwrap();
    assert_eq!(appended(&committed), 2);

    // Even when the sender may send no more.
    world.one(Command::RemoveContact { origin: world.origin(other), peer: one }).await.unwrap();
    let committed = world.one(first).await.unwrap();
    assert_eq!(committed.done, Done::Appended { seq: 2, time_ms: NOW, duplicate: true });
    assert_eq!(world.log(log).await.len(), 5);
}

pub(crate) async fn only_members_append(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other, stranger] = world.users().await;
    let log = world.befriend(one, other).await;
    let nowhere = LogId::new_v7();
    let refused = [
        world.append(stranger, log, "let me in"),
        world.append(one, nowhere, "anybody?"),
        world.append(one, one.into(), "dear diary"),
        world.append(one, other.into(), "psst"),
    ];
    for command in refused {
        assert_eq!(world.one(command).await, Err(Refusal::NotAMember));
    }
    assert_eq!(world.store.last_seq(log).await.unwrap(), Some(1));
    assert_eq!(world.store.last_seq(nowhere).await.unwrap(), None);
    assert_eq!(world.store.last_seq(one.into()).await.unwrap(), Some(3));
}

pub(crate) async fn marks_move_up_alone(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other, stranger] = world.users().await;
    let log = world.befriend(one, other).await;
    for _ in 0..4 {
        world.say(one, log, "x").await;
    }
    let mark = |user, delivered, read| Command::Mark { log, user, delivered, read };
    let moved =
        |delivered, read, partly_read| Some(MovedMark { log, user: other, delivered, read, shared: true, partly_read });

    let steps = [
        // (asked for), (where they are then), whether they moved, whether more is to be read
        ((3, 0), (3, 0), true, false),
        ((2, 0), (3, 0), false, false),
        ((0, 2), (3, 2), true, true),
        ((0, 4), (4, 4), true, true),
        ((5, 0), (5, 4), true, false),
        ((-9, i64::MIN), (5, 4), false, false),
        ((5, 5), (5, 5), true, false),
        ((5, 5), (5, 5), false, false),
    ];
    for ((delivered, read), (now_delivered, now_read), moves, partly_read) in steps {
        let committed = world.one(mark(other, delivered, read)).await.unwrap();
        assert_eq!(committed.done, Done::Marked { delivered: now_delivered, read: now_read });
        assert_eq!(committed.mark, moved(now_delivered, now_read, partly_read).filter(|_| moves), "{delivered} {read}");
        assert!(committed.events.is_empty());
    }
    assert_eq!(world.one(mark(other, 6, 0)).await, Err(Refusal::SeqFromFuture));
    assert_eq!(world.one(mark(other, 0, 6)).await, Err(Refusal::SeqFromFuture));
    assert_eq!(world.one(mark(stranger, 1, 1)).await, Err(Refusal::NotAMember));
    let own = Command::Mark { log: one.into(), user: one, delivered: 1, read: 1 };
    assert_eq!(world.one(own).await, Err(Refusal::NotAMember));

    let member = world.store.member(log, other).await.unwrap().unwrap();
    assert_eq!((member.delivered, member.read), (5, 5));
    // Whoever sends has read what stands before, and needs no mark for that.
    let member = world.store.member(log, one).await.unwrap().unwrap();
    assert_eq!((member.delivered, member.read), (5, 5));
    let committed = world.one(mark(one, 4, 4)).await.unwrap();
    assert_eq!((committed.done, committed.mark), (Done::Marked { delivered: 5, read: 5 }, None));
    let again = world.append(other, log, "y");
    world.store.commit(vec![again.clone(), world.append(one, log, "z"), again]).await.unwrap();
    for (user, sent) in [(other, 6), (one, 7)] {
        let member = world.store.member(log, user).await.unwrap().unwrap();
        assert_eq!((member.delivered, member.read), (sent, sent));
    }
}

pub(crate) async fn a_mark_may_follow_its_message_in_a_batch(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let mark = Command::Mark { log, user: other, delivered: 2, read: 0 };
    let batch = vec![mark.clone(), world.append(one, log, "x"), mark.clone(), mark];
    let outcomes = world.store.commit(batch).await.unwrap();
    assert_eq!(outcomes[0], Err(Refusal::SeqFromFuture));
    assert!(outcomes[2].as_ref().unwrap().mark.is_some());
    assert!(outcomes[3].as_ref().unwrap().mark.is_none());
}

/// Rows are read and written many a statement: at the edges of that, and with the conversations in any order.
pub(crate) async fn batches_have_any_size(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let one = world.user().await;
    let mut logs = Vec::new();
    for _ in 0..300 {
        let other = world.user().await;
        logs.push((world.befriend(one, other).await, other));
    }
    let mut said = vec![1; logs.len()];
    for size in (1..20).chain([31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300, 1_000]) {
        let place = |n: usize| (n * 7 + size) % logs.len();
        let batch = (0..size).map(|n| world.append(one, logs[place(n)].0, &n.to_string())).collect();
        let outcomes = world.store.commit(batch).await.unwrap();
        for (n, outcome) in outcomes.iter().enumerate() {
            said[place(n)] += 1;
            assert_eq!(appended(outcome.as_ref().unwrap()), said[place(n)]);
        }
        let marks = (0..size).map(|n| {
            let (log, user) = logs[place(n)];
            Command::Mark { log, user, delivered: said[place(n)], read: said[place(n)] }
        });
        let outcomes = world.store.commit(marks.collect()).await.unwrap();
        let moved = outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().mark.is_some()).count();
        assert_eq!(moved, size.min(logs.len()));
    }
    for ((log, other), said) in logs.into_iter().zip(said) {
        assert_eq!(world.store.last_seq(log).await.unwrap(), Some(said));
        let member = world.store.member(log, other).await.unwrap().unwrap();
        assert_eq!((member.delivered, member.read), (said, said));
    }
}

/// The marks of a member as the list of members has them.
async fn listed(world: &World, log: LogId, user: UserId) -> (i64, i64) {
    let members = world.store.members(log, None, 1_000).await.unwrap();
    let member = members.into_iter().find(|member| member.user.id == user).unwrap();
    (member.delivered, member.read)
}

/// At the limit of members with marks, and past it.
pub(crate) async fn large_groups_keep_read_marks_alone(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let owner = world.user().await;
    let mut others: Vec<UserId> = Vec::new();
    for _ in 0..200 {
        let user = world.user().await;
        world.befriend(owner, user).await;
        others.push(user);
    }
    let last = others.pop().unwrap();
    let first = others[0];
    let log = world.group(owner, &others).await;
    for _ in 0..3 {
        world.say(owner, log, "x").await;
    }
    let mark = |delivered, read| Command::Mark { log, user: first, delivered, read };

    let committed = world.one(mark(2, 1)).await.unwrap();
    assert!(committed.mark.unwrap().shared);
    assert_eq!(committed.done, Done::Marked { delivered: 2, read: 1 });
    assert_eq!(listed(&world, log, first).await, (2, 1));

    world.one(Command::AddMembers { log, origin: world.origin(owner), users: vec![last] }).await.unwrap();
    let committed = world.one(mark(3, 1)).await.unwrap();
    assert_eq!((committed.done, committed.mark), (Done::Marked { delivered: 2, read: 1 }, None));
    let committed = world.one(mark(4, 3)).await.unwrap();
    assert_eq!(committed.done, Done::Marked { delivered: 3, read: 3 });
    assert_eq!(
        committed.mark,
        Some(MovedMark { log, user: first, delivered: 3, read: 3, shared: false, partly_read: true })
    );
    let member = world.store.member(log, first).await.unwrap().unwrap();
    assert_eq!((member.delivered, member.read), (0, 3));
    // A list shows neither, for anybody: what was read was delivered too.
    for user in [owner, first] {
        assert_eq!(listed(&world, log, user).await, (0, 0));
    }
    let seen = world.store.conversations(owner, &[log]).await.unwrap();
    assert_eq!((seen[0].member_count, seen[0].others_delivered, seen[0].others_read), (201, 0, 0));
}
