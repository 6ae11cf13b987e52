//! Followers on a real store, which are killed, share their shards, and are away for too long.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_proto::{
    ids::{ClientMsgId, DeviceId, LogId, UserId},
    v1::{self, event::Body},
};
use gogochat_storage::store::{
    Command, Feed as _, FeedEntry, Logs as _, NewDevice, Origin, SqlStore, StoreError, Tokens, User, Users as _, sqlite,
};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use tonic::async_trait;

use super::{Follower, Following};
use crate::{command::partition_of, log, metrics::Metrics};

/// What followers were given, in their order, and by which.
#[derive(Debug, Clone, Default)]
struct Handled(Arc<Mutex<Vec<(u8, FeedEntry)>>>);

struct Recorder {
    number: u8,
    handled: Handled,
}

#[async_trait]
impl Follower for Recorder {
    const NAME: &'static str = "recorder";

    async fn handle(&self, entry: FeedEntry) -> Result<(), StoreError> {
        self.handled.0.lock().push((self.number, entry));
        tokio::task::yield_now().await;
        Ok(())
    }
}

struct World {
    store: Arc<SqlStore>,
    user: UserId,
    device: DeviceId,
    logs: BTreeMap<LogId, i64>,
    handled: Handled,
    _folder: TempDir,
}

impl World {
    async fn new(logs: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(sqlite::open(&folder.path().join("test.db")).await.unwrap());
        let (user, device) = (UserId::new_v7(), DeviceId::new_v7());
        let tokens = Tokens { access: [1; 32], access_expires_ms: 1, refresh: [2; 32], refresh_expires_ms: 2 };
        let device_row =
            NewDevice { id: device, user, name: "Test".into(), tokens, created_ms: 0, address: String::new() };
        let user_row = User::new(user, "ann".into(), "Ann".into(), "hash".into(), 0);
        assert!(store.create_user(user_row, device_row).await.unwrap());
        let handled = Handled::default();
        let mut world = Self { store, user, device, logs: BTreeMap::new(), handled, _folder: folder };
        for _ in 0..logs {
            let log = LogId::new_v7();
            let origin = world.origin();
            world.commit(Command::CreateGroup { log, origin, title: "t".into(), members: Vec::new() }).await;
            world.logs.insert(log, 1);
        }
        world
    }

    fn origin(&self) -> Origin {
        let client_msg_id = ClientMsgId::new_v7();
        Origin { sender: self.user, device: self.device, client_msg_id, request_hash: [7; 32], now: 1 }
    }

    async fn commit(&self, command: Command) {
        self.store.commit(vec![command]).await.unwrap().remove(0).unwrap();
    }

    /// A message in each log.
    async fn say(&mut self) {
        let logs: Vec<_> = self.logs.keys().copied().collect();
        for log in logs {
            let payload = log::payload(Body::Message(v1::Message { text: "x".into() }));
            self.commit(Command::Append { log, origin: self.origin(), payload }).await;
            *self.logs.entry(log).or_default() += 1;
        }
    }

    fn following(&self, number: u8, assigned: &watch::Sender<Vec<u32>>) -> Following<Recorder> {
        let recorder = Recorder { number, handled: self.handled.clone() };
        let (store, metrics) = (self.store.clone(), Arc::new(Metrics::default()));
        Following::new(recorder, store, metrics, assigned.subscribe())
    }

    fn follow(&self, number: u8, assigned: &watch::Sender<Vec<u32>>) -> JoinHandle<()> {
        tokio::spawn(self.following(number, assigned).run())
    }

    /// Follows until there is nothing more, and notes how far it has got.
    async fn follow_to_the_end(&self, number: u8, assigned: &watch::Sender<Vec<u32>>) {
        let mut following = self.following(number, assigned);
        while following.round().await.unwrap() {}
        following.note().await.unwrap();
    }

    /// How far each log was handled, if without a gap: each part begins at most behind what was handled.
    fn handled(&self) -> BTreeMap<LogId, i64> {
        let mut ends = BTreeMap::new();
        for (_, entry) in self.handled.0.lock().iter().filter(|(_, entry)| self.logs.contains_key(&entry.log)) {
            let end = ends.entry(entry.log).or_insert(0);
            assert!(entry.from_seq <= *end + 1, "a part is missing before {entry:?}, behind {end}");
            *end = entry.to_seq.max(*end);
        }
        ends
    }

    async fn until_all_is_handled(&self) {
        let begun = Instant::now();
        while self.handled() != self.logs {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?} of {:?}", self.handled(), self.logs);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn all() -> Vec<u32> {
    (0..16).collect()
}

#[tokio::test]
async fn each_part_comes_at_least_once_and_in_order_though_the_follower_is_killed() {
    let mut world = World::new(8).await;
    world.say().await;
    let assigned = watch::Sender::new(all());
    let mut following = world.follow(0, &assigned);
    for kill in 1..6 {
        for _ in 0..3 {
            world.say().await;
        }
        // In the middle of whatever it does.
        following.abort();
        following = world.follow(kill, &assigned);
    }
    world.until_all_is_handled().await;
    following.abort();
}

#[tokio::test]
async fn two_cores_share_the_shards_and_one_takes_over() {
    let mut world = World::new(24).await;
    let [one, two] = [(0..8).collect::<Vec<u32>>(), (8..16).collect()].map(watch::Sender::new);
    let first = world.follow(1, &one);
    let second = world.follow(2, &two);
    world.say().await;
    world.until_all_is_handled().await;
    for (number, entry) in world.handled.0.lock().iter() {
        assert_eq!(*number, if partition_of(entry.log) < 8 { 1 } else { 2 }, "{entry:?}");
    }
    // The first is lost; what it had is given to the second.
    first.abort();
    two.send_replace(all());
    let before = world.handled.0.lock().len();
    world.say().await;
    world.until_all_is_handled().await;
    assert!(world.handled.0.lock()[before..].iter().all(|(number, _)| *number == 2));
    second.abort();
}

#[tokio::test]
async fn who_was_away_for_too_long_walks_through_all_logs() {
    let mut world = World::new(4).await;
    let assigned = watch::Sender::new(all());
    world.follow_to_the_end(1, &assigned).await;
    for round in 0..3 {
        world.say().await;
        let floor = world.store.raise_floor(round, i64::MAX).await.unwrap();
        // What it has not read is kept at first.
        world.store.trim_feed(floor, if round == 0 { 1_000 } else { 0 }).await.unwrap();
    }
    world.handled.0.lock().clear();
    let following = world.follow(2, &assigned);
    world.until_all_is_handled().await;
    assert!(world.handled.0.lock().iter().any(|(_, entry)| entry.from_seq == 1), "it walks through all logs");
    following.abort();
}

#[tokio::test]
async fn who_was_away_goes_on_where_it_was_left() {
    let mut world = World::new(4).await;
    let assigned = watch::Sender::new(all());
    world.follow_to_the_end(1, &assigned).await;
    world.say().await;
    let floor = world.store.raise_floor(1, i64::MAX).await.unwrap();
    world.store.trim_feed(floor, 1_000).await.unwrap();
    let before = world.handled.0.lock().len();
    let following = world.follow(2, &assigned);
    world.until_all_is_handled().await;
    let again = world.handled.0.lock()[before..].iter().filter(|(_, entry)| entry.from_seq == 1).count();
    assert_eq!(again, 0, "what was handled and noted does not come again");
    following.abort();
}
