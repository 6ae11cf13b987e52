//! Lists and pages.

use std::sync::Arc;

use gogochat_proto::ids::{LogId, UserId};
use gogochat_storage::store::{Command, Origin, Range, Store};

use super::{NOW, World, message};

async fn seqs(world: &World, log: LogId, range: Range, limit: u32, max_bytes: usize) -> Vec<i64> {
    let events = world.store.events(log, range, limit, max_bytes).await.unwrap();
    events.iter().map(|event| event.seq).collect()
}

pub(crate) async fn events_come_in_pages(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let batch: Vec<_> = (2..=350).map(|n| world.append(one, log, &n.to_string())).collect();
    world.store.commit(batch).await.unwrap();
    let before = |before, at_least| Range::Before { before, at_least };
    let all = usize::MAX;

    assert_eq!(seqs(&world, log, Range::After(0), 3, all).await, [1, 2, 3]);
    assert_eq!(seqs(&world, log, Range::After(348), 10, all).await, [349, 350]);
    assert!(seqs(&world, log, Range::After(350), 10, all).await.is_empty());
    assert!(seqs(&world, log, Range::After(0), 0, all).await.is_empty());
    assert_eq!(seqs(&world, log, before(i64::MAX, 1), 3, all).await, [348, 349, 350]);
    assert_eq!(seqs(&world, log, before(5, 1), 10, all).await, [1, 2, 3, 4]);
    assert_eq!(seqs(&world, log, before(5, 3), 10, all).await, [3, 4]);
    assert_eq!(seqs(&world, log, before(5, 3), 1, all).await, [4]);
    assert!(seqs(&world, log, before(1, 1), 10, all).await.is_empty());
    // More than are read at once, at the edges of that too.
    for limit in [99, 100, 101, 250, 349, 350, 351] {
        let there = limit.min(350);
        let expected: Vec<_> = (1..=i64::from(there)).collect();
        assert_eq!(seqs(&world, log, Range::After(0), limit, all).await, expected);
        let expected: Vec<_> = (351 - i64::from(there)..=350).collect();
        assert_eq!(seqs(&world, log, before(i64::MAX, 1), limit, all).await, expected);
    }
    assert!(seqs(&world, LogId::new_v7(), Range::After(0), 10, all).await.is_empty());
}

pub(crate) async fn pages_are_bounded_in_bytes(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let first = world.log(log).await[0].payload.len();
    let text = "x".repeat(10_000);
    let size = message(&text).len();
    for _ in 0..4 {
        world.say(one, log, &text).await;
    }
    let newest = Range::Before { before: i64::MAX, at_least: 1 };
    assert_eq!(seqs(&world, log, Range::After(0), 10, first + 2 * size).await, [1, 2, 3]);
    assert_eq!(seqs(&world, log, Range::After(0), 10, first + 2 * size - 1).await, [1, 2]);
    assert_eq!(seqs(&world, log, newest, 10, 2 * size).await, [4, 5]);
    assert_eq!(seqs(&world, log, newest, 10, 2 * size - 1).await, [5]);
    // One event at least, or nobody would get past a large one.
    assert_eq!(seqs(&world, log, Range::After(1), 10, 1).await, [2]);
    assert_eq!(seqs(&world, log, newest, 10, 0).await, [5]);
}

pub(crate) async fn payloads_come_back_as_they_were(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let longest = "𝄞".repeat(4_096);
    for text in ["", "x\0y", "'; DROP TABLE event; --", " trailing ", &longest] {
        let seq = world.say(one, log, text).await;
        let events = world.store.events(log, Range::After(seq - 1), 1, usize::MAX).await.unwrap();
        assert_eq!(events[0].payload, message(text));
    }
}

pub(crate) async fn conversations_are_seen_by_their_ids(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let one = world.user().await;
    let mut logs = Vec::new();
    for n in 0..5 {
        let peer = world.user().await;
        let log = world.befriend(one, peer).await;
        // The clock goes back: arrival alone orders.
        let origin = Origin { now: NOW - 10 * n, ..world.origin(peer) };
        world.one(Command::Append { log, origin, payload: message("hi") }).await.unwrap();
        logs.insert(0, log);
    }
    let only = [logs[4], LogId::new_v7(), logs[1], one.into(), logs[4]];
    let page = world.store.conversations(one, &only).await.unwrap();
    assert_eq!(page.iter().map(|one| one.log).collect::<Vec<_>>(), [logs[1], logs[4]]);
    assert!(page[0].order > page[1].order);
    assert!(world.store.conversations(one, &[]).await.unwrap().is_empty());
    let mut many: Vec<_> = (0..2_500).map(|_| LogId::new_v7()).collect();
    many.splice(999..1_001, [logs[2], logs[0]]);
    many.push(logs[3]);
    let page = world.store.conversations(one, &many).await.unwrap();
    assert_eq!(page.iter().map(|one| one.log).collect::<Vec<_>>(), [logs[0], logs[2], logs[3]]);
}

pub(crate) async fn a_conversation_is_seen_by_its_member(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two, three] = world.users().await;
    world.befriend(one, three).await;
    let log = world.befriend(one, two).await;
    for n in 0..3 {
        world.say(one, log, &n.to_string()).await;
        world.say(two, log, &n.to_string()).await;
    }
    let group = world.group(one, &[two, three]).await;
    world.say(two, group, "all").await;
    let mark = |log, user, delivered, read| Command::Mark { log, user, delivered, read };
    let marks = vec![
        mark(log, one, 7, 4),
        mark(log, two, 7, 3),
        mark(group, one, 2, 2),
        mark(group, two, 1, 1),
        mark(group, three, 2, 0),
    ];
    assert!(world.store.commit(marks).await.unwrap().iter().all(Result::is_ok));

    let seen = world.store.conversations(one, &[log]).await.unwrap().remove(0);
    assert_eq!((seen.title, seen.member_count, seen.last_seq, seen.from_seq), (None, 2, 7, 1));
    let peer = seen.peer.unwrap();
    assert_eq!((peer.id, peer.name.as_str(), peer.display_name.as_str()), (two, "user1", "The user1"));
    // Both have read up to their last.
    assert_eq!((seen.delivered, seen.read, seen.others_delivered, seen.others_read), (7, 6, 7, 7));
    assert_eq!(seen.unread, 1);
    let last = seen.last_event.unwrap();
    assert_eq!((last.seq, last.sender, last.payload), (7, two, message("2")));

    let seen = world.store.conversations(two, &[group]).await.unwrap().remove(0);
    assert_eq!((seen.delivered, seen.read, seen.others_delivered, seen.others_read), (2, 2, 2, 0));
    assert_eq!(seen.unread, 0);
    assert!(seen.peer.is_none());
    let mine: Vec<_> = world.store.memberships(three).await.unwrap();
    assert_eq!(mine.iter().filter(|one| one.peer.is_none()).map(|one| one.log).collect::<Vec<_>>(), [group]);
}

/// Other events do not count, nor one's own; up to 1,000, and past it.
pub(crate) async fn unread_messages_are_counted(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two, three] = world.users().await;
    world.befriend(one, two).await;
    world.befriend(one, three).await;
    let log = world.group(one, &[two]).await;
    let unread = async |world: &World, user: UserId| world.store.conversations(user, &[log]).await.unwrap()[0].unread;
    assert_eq!(unread(&world, two).await, 0);
    world.one(Command::AddMembers { log, origin: world.origin(one), users: vec![three] }).await.unwrap();
    assert_eq!(unread(&world, two).await, 0);
    world.say(one, log, "1").await;
    world.say(two, log, "own").await;
    // Whoever sends has read what stands before.
    assert_eq!((unread(&world, one).await, unread(&world, two).await, unread(&world, three).await), (1, 0, 2));

    for (many, then) in [(999, 999), (1, 1_000), (1, 1_000)] {
        let batch = (0..many).map(|n| world.append(one, log, &n.to_string())).collect();
        world.store.commit(batch).await.unwrap();
        assert_eq!((unread(&world, one).await, unread(&world, two).await), (0, then));
    }
    world.one(Command::LeaveGroup { log, origin: world.origin(three) }).await.unwrap();
    assert_eq!(unread(&world, two).await, 1_000);
    world.one(Command::Mark { log, user: two, delivered: 5, read: 5 }).await.unwrap();
    assert_eq!(unread(&world, two).await, 1_000);
    world.one(Command::Mark { log, user: two, delivered: 6, read: 6 }).await.unwrap();
    assert_eq!(unread(&world, two).await, 999);
    let last = world.store.last_seq(log).await.unwrap().unwrap();
    world.one(Command::Mark { log, user: two, delivered: last, read: last }).await.unwrap();
    assert_eq!(unread(&world, two).await, 0);
}

pub(crate) async fn members_come_by_when_they_joined(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let one = world.user().await;
    let mut peers = Vec::new();
    for _ in 0..6 {
        let peer = world.user().await;
        world.befriend(one, peer).await;
        peers.push(peer);
    }
    let log = world.group(one, &peers[..2]).await;
    // Joined in another order than that of their ids.
    for (n, peer) in [(1, 5), (1, 2), (2, 4), (3, 3)] {
        let origin = Origin { now: NOW + n, ..world.origin(one) };
        world.one(Command::AddMembers { log, origin, users: vec![peers[peer]] }).await.unwrap();
    }
    let expected = [one, peers[0], peers[1], peers[2], peers[5], peers[4], peers[3]];
    for limit in 1..=8 {
        let mut after = None;
        let mut found = Vec::new();
        loop {
            let page = world.store.members(log, after, limit).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit as usize);
            after = Some((last.joined_ms, last.user.id));
            found.extend(page.iter().map(|member| member.user.id));
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
    let direct = world.store.memberships(peers[0]).await.unwrap();
    let direct = direct.iter().find(|one| one.peer.is_some()).unwrap().log;
    assert_eq!(world.store.members(direct, None, 10).await.unwrap().len(), 2);
    assert_eq!(world.store.member(log, UserId::new_v7()).await.unwrap(), None);
    assert!(world.store.members(LogId::new_v7(), None, 10).await.unwrap().is_empty());
}

/// None, one, as many as one statement takes and one more.
pub(crate) async fn the_ends_of_many_logs_are_seen_at_once(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    world.say(one, log, "hello").await;
    let seen = async |logs: &[LogId]| {
        let mut seen = world.store.last_seqs(logs).await.unwrap();
        seen.sort_unstable();
        seen
    };
    assert_eq!(seen(&[]).await, []);
    assert_eq!(seen(&[log]).await, [(log, 2)]);
    let own = LogId::from(one);
    assert_eq!(seen(&[own, LogId::new_v7(), log, own]).await, [(own, 3), (log, 2)]);

    let mut groups = Vec::new();
    let mut batch = Vec::new();
    for _ in 0..257 {
        let log = LogId::new_v7();
        groups.push(log);
        batch.push(Command::CreateGroup {
            log,
            origin: world.origin(one),
            title: "Group".into(),
            members: vec![other],
        });
    }
    world.store.commit(batch).await.unwrap();
    let said = world.append(other, groups[256], "last");
    world.store.commit(vec![said]).await.unwrap();
    for many in [255, 256, 257] {
        let ends: Vec<_> = groups[..many].iter().map(|log| (*log, 1 + i64::from(*log == groups[256]))).collect();
        assert_eq!(seen(&groups[..many]).await, ends, "{many}");
    }
}
