//! Presence in Redis.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fred::{
    interfaces::{ClientLike as _, KeysInterface as _},
    types::CustomCommand,
};
use gogochat_proto::ids::UserId;
use gogochat_storage::{
    clock,
    presence::{
        Presence, RedisConfig,
        redis::{RedisError, RedisPresence},
    },
};

use crate::{
    contract::presence,
    gate::Gate,
    services::{Private, address, unique},
};

async fn open(test: &str) -> Arc<RedisPresence> {
    let config = RedisConfig { url: format!("redis://{}", address("redis")), ca: None, prefix: unique(test) };
    Arc::new(RedisPresence::open(&config).await.unwrap())
}

#[tokio::test]
async fn the_first_session_brings_online_the_last_takes_away() {
    presence::the_first_session_brings_online_the_last_takes_away(open("first").await).await;
}

#[tokio::test]
async fn a_session_counts_for_its_time() {
    presence::a_session_counts_for_its_time(open("time").await).await;
}

#[tokio::test]
async fn nodes_share_it_and_keys_lapse() {
    let config = RedisConfig { url: format!("redis://{}/1", address("redis")), ca: None, prefix: unique("share") };
    let one = RedisPresence::open(&config).await.unwrap();
    let other = RedisPresence::open(&config).await.unwrap();
    let user = UserId::new_v7();
    assert!(one.online(user, (u64::MAX, 1), 1_000, 45_000).await.unwrap());
    assert!(!other.online(user, (7, u64::MAX), 1_000, 45_000).await.unwrap());
    assert!(!one.offline(user, (u64::MAX, 1), 1_001).await.unwrap());
    assert!(one.get(&[user], 1_002).await.unwrap()[0].online);
    assert!(other.offline(user, (7, u64::MAX), 1_002).await.unwrap());
    assert!(other.get(&[], 0).await.unwrap().is_empty());

    // Another prefix is another cluster.
    let apart = RedisPresence::open(&RedisConfig { prefix: unique("apart"), ..config.clone() }).await.unwrap();
    assert_eq!(apart.get(&[user], 1_000).await.unwrap()[0], Default::default());

    one.online(user, (1, 1), 2_000, 45_000).await.unwrap();
    let client =
        fred::types::Builder::from_config(fred::types::config::Config::from_url(&config.url).unwrap()).build().unwrap();
    client.init().await.unwrap();
    for (key, most) in [("sessions", 45_000 + 60_000), ("seen", 30 * 24 * 3_600 * 1_000)] {
        let key = format!("{}:presence:{{{user}}}:{key}", config.prefix);
        let left: i64 = client.pttl(&key).await.unwrap();
        assert!((1..=most).contains(&left), "{key} lives for {left} ms");
    }
}

/// A node whose clock is wrong by ten minutes takes nobody's sessions for over, nor for everlasting.
#[tokio::test]
async fn nodes_whose_clocks_differ_agree_on_who_is_there() {
    const TTL: i64 = 45_000;
    let config = RedisConfig { url: format!("redis://{}", address("redis")), ca: None, prefix: unique("clocks") };
    let clocks: [fn() -> i64; 3] = [clock::now_ms, || clock::now_ms() + 600_000, || clock::now_ms() - 600_000];
    for (here, there) in [(0, 1), (1, 0), (1, 2), (2, 1)] {
        let (here, there) = (clocks[here], clocks[there]);
        let one = RedisPresence::open_with_clock(&config, here).await.unwrap();
        let other = RedisPresence::open_with_clock(&config, there).await.unwrap();
        let user = UserId::new_v7();
        assert!(one.online(user, (1, 1), here(), TTL).await.unwrap());
        assert!(other.get(&[user], there()).await.unwrap()[0].online);
        assert!(!other.online(user, (2, 1), there(), TTL).await.unwrap(), "the first one's session still counts");
        assert!(!other.offline(user, (2, 1), there()).await.unwrap());
        assert!(one.get(&[user], here()).await.unwrap()[0].online);
        // One that goes without a word is over in its time, for both; what a second is worth is left out.
        for (node, now) in [(&one, here()), (&other, there())] {
            assert!(node.get(&[user], now + TTL - 2_000).await.unwrap()[0].online);
            assert!(!node.get(&[user], now + TTL + 2_000).await.unwrap()[0].online);
        }
    }
}

#[tokio::test]
async fn says_which_key_is_wrong() {
    let redis = Private::start("redis", &["--requirepass", "se cret/1"]);
    let open = |url: String| async move {
        RedisPresence::open(&RedisConfig { url, ca: None, prefix: "test".into() }).await.map(drop)
    };

    for url in ["", "localhost", "http://localhost", "redis://"] {
        let error = open(url.into()).await.unwrap_err();
        assert!(error.to_string().starts_with("core.redis"), "{url:?}: {error}");
    }
    for url in [format!("redis://{}", redis.address()), format!("redis://:wrong@{}", redis.address())] {
        let error = open(url).await.unwrap_err();
        assert!(matches!(error, RedisError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("core.redis") && !error.to_string().contains("wrong@"), "{error}");
    }
    open(format!("redis://:se%20cret%2F1@{}", redis.address())).await.unwrap();

    let gone = redis.address();
    drop(redis);
    let error = open(format!("redis://user:word@{gone}")).await.unwrap_err();
    assert!(matches!(error, RedisError::Unreachable { .. }) && !error.to_string().contains("word"), "{error}");
}

/// A replica answers, and keeps nothing new.
#[tokio::test]
async fn one_that_takes_no_writes_is_noticed() {
    let redis = Private::start("redis", &["--replicaof", "127.0.0.1 9"]);
    let config = RedisConfig { url: format!("redis://{}", redis.address()), ca: None, prefix: "test".into() };
    let presence = RedisPresence::open(&config).await.unwrap();
    assert!(presence.online(UserId::new_v7(), (1, 1), 0, 45_000).await.is_err());
    presence.check().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_survived() {
    let redis = Private::start("redis", &[]);
    let config = RedisConfig { url: format!("redis://{}", redis.address()), ca: None, prefix: "test".into() };
    let presence = RedisPresence::open(&config).await.unwrap();
    let user = UserId::new_v7();
    assert!(presence.online(user, (1, 1), 0, 45_000).await.unwrap());

    redis.kill();
    for _ in 0..3 {
        let asked = Instant::now();
        presence.get(&[user], 1).await.unwrap_err();
        presence.online(user, (1, 1), 1, 45_000).await.unwrap_err();
        assert!(asked.elapsed() < Duration::from_secs(6), "it takes {:?} to say that it is gone", asked.elapsed());
    }

    redis.up(&[]);
    let until = Instant::now() + Duration::from_secs(20);
    // It has forgotten all; a heartbeat brings it back.
    loop {
        match presence.online(user, (1, 1), 2, 45_000).await {
            Ok(was_offline) => break assert!(was_offline),
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::task::yield_now().await;
    }
    assert!(presence.get(&[user], 3).await.unwrap()[0].online);
}

/// Another server becomes the primary. The address leads there, and the connection to the old one stays open.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_becomes_a_replica_is_left_for_the_new_one() {
    let (old, new) = (Private::start("redis", &[]), Private::start("redis", &[]));
    let gate = Gate::open(old.address()).await;
    let config = RedisConfig { url: format!("redis://{}", gate.address()), ca: None, prefix: "test".into() };
    let presence = RedisPresence::open(&config).await.unwrap();
    let mut emptied = presence.emptied();
    let user = UserId::new_v7();
    assert!(presence.online(user, (1, 1), 0, 45_000).await.unwrap());
    presence.check().await.unwrap();

    let admin = connect(&old.address()).await;
    let (host, port) = ("127.0.0.1".to_owned(), new.address().rsplit_once(':').unwrap().1.to_owned());
    let _: () = admin.custom(CustomCommand::new_static("REPLICAOF", None, false), vec![host, port]).await.unwrap();
    presence.check().await.unwrap_err();
    presence.online(user, (1, 1), 1, 45_000).await.unwrap_err();

    gate.lead(new.address());
    let led = Instant::now();
    while presence.check().await.is_err() || presence.online(user, (1, 1), 2, 45_000).await.is_err() {
        assert!(led.elapsed() < HEALS, "it is still the old one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The new one knows nothing of it: who told the old one hears that.
    assert!(emptied.has_changed().unwrap());
    emptied.mark_unchanged();
    presence.check().await.unwrap();
    assert!(!emptied.has_changed().unwrap(), "it is told once");
}

/// Emptied, and full: both are noticed on a connection that stays.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_emptied_or_full_is_noticed() {
    let redis = Private::start("redis", &[]);
    let config = RedisConfig { url: format!("redis://{}", redis.address()), ca: None, prefix: "test".into() };
    let presence = RedisPresence::open(&config).await.unwrap();
    let (user, admin) = (UserId::new_v7(), connect(&redis.address()).await);
    let mut emptied = presence.emptied();
    assert!(presence.online(user, (1, 1), 0, 45_000).await.unwrap());
    for _ in 0..2 {
        presence.check().await.unwrap();
        assert!(!emptied.has_changed().unwrap());
    }
    let nothing: Vec<String> = Vec::new();
    let _: () = admin.custom(CustomCommand::new_static("FLUSHALL", None, false), nothing).await.unwrap();
    presence.check().await.unwrap();
    assert!(emptied.has_changed().unwrap());
    emptied.mark_unchanged();
    assert!(presence.online(user, (1, 1), 1, 45_000).await.unwrap(), "it was offline, to Redis");

    // Scripts that it has forgotten are brought again, and each of many sessions has its own answer.
    let _: () = admin.custom(CustomCommand::new_static("SCRIPT", None, false), vec!["FLUSH"]).await.unwrap();
    let others: Vec<_> = (0..1_000).map(|n| (if n == 500 { user } else { UserId::new_v7() }, (2, n))).collect();
    let arrived = presence.arrive(&others, 2, 45_000).await.unwrap();
    assert_eq!(arrived.iter().position(|was_offline| !was_offline), Some(500));
    assert_eq!(arrived.iter().filter(|was_offline| **was_offline).count(), 999);
    let left = presence.leave(&others, 3).await.unwrap();
    assert_eq!(left.iter().position(|was_last| !was_last), Some(500));

    let memory = |bytes: &str| vec!["SET".to_owned(), "maxmemory".into(), bytes.into()];
    let set = CustomCommand::new_static("CONFIG", None, false);
    let _: () = admin.custom(set.clone(), memory("1")).await.unwrap();
    let full = presence.check().await.unwrap_err();
    assert!(full.to_string().contains("OOM"), "{full}");
    let _: () = admin.custom(set, memory("0")).await.unwrap();
    presence.check().await.unwrap();
    assert!(!presence.online(user, (1, 1), 4, 45_000).await.unwrap());
}

async fn connect(address: &str) -> fred::clients::Client {
    let config = fred::types::config::Config::from_url(&format!("redis://{address}")).unwrap();
    let client = fred::types::Builder::from_config(config).build().unwrap();
    client.init().await.unwrap();
    client
}

const HEALS: Duration = Duration::from_secs(10);
