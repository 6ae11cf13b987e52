//! Followers of the feed: owners of shards, positions, and what is kept for them.

use std::sync::Arc;

use gogochat_proto::ids::LogId;
use gogochat_storage::store::{Begun, Command, Counters, Millis, Place, Store};
use uuid::Uuid;

use super::World;

pub(crate) async fn a_shard_has_one_owner(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    let log = world.befriend(one, two).await;
    let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
    let begun = world.store.follow("test", 3, a).await.unwrap();
    assert_eq!((begun.begun, begun.place.walked), (Begun::First, Some(LogId::from(Uuid::nil()))));
    world.say(one, log, "x").await;
    let last = world.store.last_position().await.unwrap().unwrap();
    let walks = Place { position: begun.place.position, walked: Some(log) };
    assert_eq!(world.store.note("test", a, &[(3, walks)]).await.unwrap(), [true]);
    assert_eq!(world.store.note("test", a, &[(3, walks)]).await.unwrap(), [true], "what changes nothing is noted too");
    let taken = world.store.follow("test", 3, b).await.unwrap();
    assert_eq!((taken.begun, taken.place), (Begun::GoesOn, walks));
    let read = Place { position: last, walked: None };
    assert_eq!(world.store.note("test", a, &[(3, read), (4, read)]).await.unwrap(), [false, false]);
    assert_eq!(world.store.note("test", b, &[(3, read)]).await.unwrap(), [true]);
    assert_eq!(world.store.follow("test", 3, a).await.unwrap().place, read);
    // Another shard, and another name, have places of their own.
    assert_eq!(world.store.follow("test", 4, a).await.unwrap().begun, Begun::First);
    assert_eq!(world.store.follow("other", 3, a).await.unwrap().begun, Begun::First);
}

pub(crate) async fn what_a_follower_has_not_read_is_kept_and_not_for_ever(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    let log = world.befriend(one, two).await;
    let owner = Uuid::new_v4();
    world.say(one, log, "first").await;
    let floor = world.store.raise_floor(1, Millis::MAX).await.unwrap();
    let begun = world.store.follow("slow", 0, owner).await.unwrap();
    assert_eq!(begun.place.position, floor);
    let read = Place { position: floor, walked: None };
    assert_eq!(world.store.note("slow", owner, &[(0, read)]).await.unwrap(), [true]);
    for n in 0..6 {
        world.say(one, log, &n.to_string()).await;
    }
    let last = world.store.raise_floor(2, Millis::MAX).await.unwrap();
    world.store.trim_feed(last, 1_000).await.unwrap();
    assert_eq!(world.store.commits(floor, 100).await.unwrap().len(), 6);
    assert_eq!(world.store.follow("slow", 0, owner).await.unwrap().begun, Begun::GoesOn);
    world.store.trim_feed(last, 2).await.unwrap();
    let kept = world.store.commits(0, 100).await.unwrap();
    assert!(kept.len() <= 2 && kept.last().unwrap().position == last, "{kept:?}");
    let anew = world.store.follow("slow", 0, owner).await.unwrap();
    assert_eq!(anew.begun, Begun::Anew);
    assert_eq!(anew.place, Place { position: last, walked: Some(LogId::from(Uuid::nil())) });
}

pub(crate) async fn all_logs_are_walked_through(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    let mut expected = vec![(one.into(), None), (two.into(), None), (world.befriend(one, two).await, Some(2))];
    world.say(one, expected[2].0, "x").await;
    expected.push((world.group(one, &[two]).await, Some(1)));
    expected.sort();
    let (mut found, mut after) = (Vec::new(), LogId::from(Uuid::nil()));
    loop {
        let page = world.store.logs(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.0;
        found.extend(page);
    }
    assert_eq!(found, expected);
}

pub(crate) async fn counters_that_are_right_are_found_right(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two, three] = world.users().await;
    world.befriend(one, two).await;
    world.befriend(one, three).await;
    let log = world.group(one, &[two]).await;
    for n in 0..5 {
        world.say(one, log, "x").await;
        let add = Command::AddMembers { log, origin: world.origin(one), users: vec![three] };
        world.one(add).await.unwrap();
        if n % 2 == 0 {
            world.one(Command::LeaveGroup { log, origin: world.origin(three) }).await.unwrap();
        }
    }
    let last = world.store.last_seq(log).await.unwrap().unwrap();
    for from in 1..=last {
        for to in from..=last {
            assert_eq!(world.store.check_counters(log, from, to).await.unwrap(), Counters::Right, "{from} {to}");
        }
    }
    assert_eq!(world.store.check_counters(one.into(), 1, 9).await.unwrap(), Counters::Right);
    assert_eq!(world.store.check_counters(LogId::new_v7(), 1, 9).await.unwrap(), Counters::Right);
}
