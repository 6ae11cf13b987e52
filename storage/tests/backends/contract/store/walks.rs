//! Walks through a user's conversations, whole or from a position, while they move.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_MEMBERS_WITH_MARKS,
};
use gogochat_storage::store::{ALL, Command, Conversation, Millis, Store};

use super::{NOW, World, list, unnamed};

/// What a device that walks knows, and up to where.
#[derive(Default)]
pub(crate) struct Device {
    known: BTreeMap<LogId, Conversation>,
    position: i64,
    /// Conversations that the last walk brought.
    pub(crate) brought: usize,
}

impl Device {
    /// Walks from its position in pages of this size.
    pub(crate) async fn walk(&mut self, store: &dyn Store, user: UserId, limit: u32) {
        let since = if self.position == 0 { ALL } else { self.position };
        let (mut walk, mut position) = (None, None);
        self.brought = 0;
        loop {
            let part = store.walk(user, since, walk, limit).await.unwrap();
            assert!(part.conversations.len() <= limit as usize);
            assert_eq!(*position.get_or_insert(part.walk.position), part.walk.position);
            self.brought += part.conversations.len();
            walk = part.conversations.last().map(|(_, walk)| *walk).or(walk);
            self.known.extend(part.conversations.into_iter().map(|(found, _)| (found.log, found)));
            if part.is_last {
                break;
            }
        }
        self.position = position.unwrap();
        // Which it is in no more its user's own log says.
        let mine: BTreeSet<_> = store.memberships(user).await.unwrap().into_iter().map(|one| one.log).collect();
        self.known.retain(|log, _| mine.contains(log));
    }

    /// It knows all that one sees who lists everything.
    pub(crate) async fn agrees(&self, store: &dyn Store, user: UserId) {
        let all: BTreeMap<_, _> = list(store, user).await.into_iter().map(|found| (found.log, found)).collect();
        assert_eq!(self.known, all);
    }
}

pub(crate) async fn a_walk_goes_from_the_one_that_moved_last(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let one = world.user().await;
    let mut expected = Vec::new();
    for _ in 0..7 {
        let peer = world.user().await;
        let log = world.befriend(one, peer).await;
        raise(&world).await;
        world.say(peer, log, "hi").await;
        expected.insert(0, log);
    }
    raise(&world).await;
    for limit in 1..=8 {
        let mut walk = None;
        let mut found = Vec::new();
        loop {
            let part = world.store.walk(one, ALL, walk, limit).await.unwrap();
            assert!(part.conversations.len() <= limit as usize);
            walk = part.conversations.last().map(|(_, walk)| *walk).or(walk);
            found.extend(part.conversations.iter().map(|(found, _)| found.log));
            if part.is_last {
                break;
            }
        }
        assert_eq!(found, expected, "parts of {limit}");
    }
    let orders: Vec<_> = list(&*world.store, one).await.iter().map(|found| found.order).collect();
    assert!(orders.is_sorted_by(|one, next| one > next), "{orders:?}");
    assert!(orders.iter().all(|order| *order < 1 << 53), "no number of JavaScript: {orders:?}");
}

pub(crate) async fn what_moves_during_a_walk_is_not_missed(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let one = world.user().await;
    let mut logs = Vec::new();
    for _ in 0..9 {
        let peer = world.user().await;
        logs.push((world.befriend(one, peer).await, peer));
    }
    raise(&world).await;
    let mut device = BTreeMap::new();
    let mut walk = None;
    // The one that is the farthest away moves before each page, and never waits below.
    for n in 0.. {
        let part = world.store.walk(one, ALL, walk, 2).await.unwrap();
        walk = part.conversations.last().map(|(_, walk)| *walk).or(walk);
        device.extend(part.conversations.iter().map(|(found, _)| (found.log, found.last_seq)));
        if part.is_last {
            break;
        }
        if n < 9 {
            let (log, peer) = logs[n % 4];
            world.say(peer, log, "moves").await;
            raise(&world).await;
        }
        assert!(n < 20, "it has no end");
    }
    let all: BTreeMap<_, _> = list(&*world.store, one).await.iter().map(|found| (found.log, found.last_seq)).collect();
    assert_eq!(device, all);
}

pub(crate) async fn a_position_brings_what_moved_since(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two, three] = world.users().await;
    let direct = world.befriend(one, two).await;
    world.befriend(one, three).await;
    let group = world.group(one, &[two, three]).await;
    world.say(two, direct, "1").await;
    let mut device = Device::default();
    // The floor is raised or not: it only says how much comes again.
    for raised in [true, false] {
        let mut synced = async |world: &World, brought: usize| {
            if raised {
                raise(world).await;
            }
            device.walk(&*world.store, one, 2).await;
            device.agrees(&*world.store, one).await;
            if raised {
                assert_eq!(device.brought, brought);
                device.walk(&*world.store, one, 2).await;
                assert_eq!(device.brought, 0, "what was seen comes again");
            }
        };
        if raised {
            raise(&world).await;
            synced(&world, 3).await;
        }
        let seq = world.say(two, direct, "2").await;
        synced(&world, 1).await;
        // Another device of one's own, and the other's marks.
        world.one(Command::Mark { log: direct, user: one, delivered: seq, read: seq }).await.unwrap();
        synced(&world, 1).await;
        let seq = world.say(one, direct, "3").await;
        synced(&world, 1).await;
        world.one(Command::Mark { log: direct, user: two, delivered: seq, read: seq }).await.unwrap();
        synced(&world, 1).await;
        world.one(Command::LeaveGroup { log: group, origin: world.origin(three) }).await.unwrap();
        synced(&world, 1).await;
        world.one(Command::AddMembers { log: group, origin: world.origin(one), users: vec![three] }).await.unwrap();
        synced(&world, 1).await;
        world.one(Command::RemoveContact { origin: unnamed(two, NOW), peer: one }).await.unwrap();
        synced(&world, 1).await;
        assert_eq!(world.befriend(one, two).await, direct);
        synced(&world, 1).await;
    }
}

/// Past the limit no row of a member is written, and what moves is seen all the same.
pub(crate) async fn large_groups_move_by_their_logs_alone(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    let direct = world.befriend(one, two).await;
    let crowd = world.crowd(MAX_MEMBERS_WITH_MARKS).await;
    for member in &crowd {
        world.befriend(one, *member).await;
    }
    let grown = world.group(one, &crowd[1..]).await;
    let large = world.group(one, &crowd).await;
    let mut device = Device::default();
    let mut other = Device::default();
    let member = crowd[1];
    for n in 0..3 {
        raise(&world).await;
        device.walk(&*world.store, one, 50).await;
        other.walk(&*world.store, member, 1).await;
        world.say(one, large, "to many").await;
        world.say(one, grown, "to nearly as many").await;
        match n {
            0 => drop(world.one(Command::AddMembers { log: grown, origin: world.origin(one), users: vec![two] }).await),
            // It has been large, and stays so.
            1 => drop(world.one(Command::LeaveGroup { log: grown, origin: world.origin(two) }).await),
            _ => {}
        }
        let seq = world.say(one, large, "again").await;
        raise(&world).await;
        device.walk(&*world.store, one, 50).await;
        assert_eq!(device.brought, 2);
        device.agrees(&*world.store, one).await;
        other.walk(&*world.store, member, 1).await;
        other.agrees(&*world.store, member).await;
        // Another device of the member's own.
        world.one(Command::Mark { log: large, user: member, delivered: 0, read: seq }).await.unwrap();
        raise(&world).await;
        other.walk(&*world.store, member, 1).await;
        assert_eq!(other.brought, 1);
        other.agrees(&*world.store, member).await;
        device.walk(&*world.store, one, 50).await;
        assert_eq!(device.brought, 0);
    }
    assert!(list(&*world.store, one).await.iter().any(|found| found.log == direct));

    // One that has shrunk tells everybody's marks again, and stays without a row a member.
    let seq = world.say(one, grown, "to few enough").await;
    for user in &crowd[2..] {
        world.one(Command::Mark { log: grown, user: *user, delivered: seq, read: seq }).await.unwrap();
    }
    for _ in 0..2 {
        raise(&world).await;
        device.walk(&*world.store, one, 50).await;
        other.walk(&*world.store, member, 1).await;
        let seq = world.say(one, grown, "read this").await;
        raise(&world).await;
        device.walk(&*world.store, one, 50).await;
        other.walk(&*world.store, member, 1).await;
        world.one(Command::Mark { log: grown, user: member, delivered: seq, read: seq }).await.unwrap();
        raise(&world).await;
        for (device, user) in [(&mut device, one), (&mut other, member)] {
            device.walk(&*world.store, user, 50).await;
            assert_eq!(device.brought, 1);
            device.agrees(&*world.store, user).await;
        }
    }
}

pub(crate) async fn a_history_is_begun_anew_by_command_alone(store: Arc<dyn Store>) {
    let epoch = store.epoch().await.unwrap();
    let user = UserId::new_v7();
    assert_eq!(store.walk(user, ALL, None, 1).await.unwrap().epoch, epoch);
    assert_eq!(store.epoch().await.unwrap(), epoch);
    let renewed = store.renew_epoch().await.unwrap();
    assert_ne!(renewed, epoch);
    assert_eq!(store.walk(user, ALL, None, 1).await.unwrap().epoch, renewed);
}

/// Every event is in the feed, in its log's order, and of what was dropped nothing is given again.
pub(crate) async fn the_feed_has_every_event_once(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    let direct = world.befriend(one, two).await;
    let group = world.group(one, &[two]).await;
    for n in 0..5 {
        let batch = vec![world.append(one, direct, "a"), world.append(two, group, "b"), world.append(two, direct, "c")];
        world.store.commit(batch).await.unwrap();
        if n == 2 {
            raise(&world).await;
        }
    }
    world.one(Command::Mark { log: direct, user: one, delivered: 11, read: 11 }).await.unwrap();
    let mut ends: BTreeMap<LogId, i64> = BTreeMap::new();
    let mut after = 0;
    loop {
        let commits = world.store.commits(after, 2).await.unwrap();
        let Some(last) = commits.last() else { break };
        assert!(commits.is_sorted_by(|one, next| one.position < next.position) && commits[0].position > after);
        after = last.position;
        for entry in commits.iter().flat_map(|commit| &commit.entries) {
            assert_eq!(ends.insert(entry.log, entry.to_seq).unwrap_or(0) + 1, entry.from_seq, "{entry:?}");
        }
    }
    for log in [direct, group, one.into(), two.into()] {
        assert_eq!(ends.get(&log), world.store.last_seq(log).await.unwrap().as_ref());
    }
    let floor = world.store.raise_floor(1, Millis::MAX).await.unwrap();
    world.store.trim_feed(floor, 0).await.unwrap();
    assert_eq!(world.store.commits(0, 10).await.unwrap().len(), 1, "the newest stays");
    world.say(one, direct, "next").await;
    let next = world.store.commits(floor, 10).await.unwrap();
    assert_eq!((next.len(), next[0].entries.len()), (1, 1));
}

async fn raise(world: &World) {
    world.store.raise_floor(1, Millis::MAX).await.unwrap();
}
