//! A primary that becomes a replica.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_storage::store::{
    Hold, StoreError,
    mysql::{self, Alone},
};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tokio::time::{sleep, timeout};

use super::database::connect;
use crate::{contract::store::World, gate::Gate, services::Private};

/// Another server becomes the primary and has all that was acknowledged. The address leads there,
/// and connections to the old one stay open: nothing is asked there any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_primary_is_found_while_the_old_one_still_answers() {
    let (old, new) = tokio::join!(start("1"), start("2"));
    let [there, here] = [server(&old).await, server(&new).await];
    run(&there, "CREATE DATABASE chat").await;
    let (host, port) = old.address().split_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    run(&here, &format!("CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{host}', SOURCE_PORT = {port}, SOURCE_USER = 'root', GET_SOURCE_PUBLIC_KEY = 1")).await;
    run(&here, "START REPLICA").await;

    let gate = Gate::open(old.address()).await;
    let url = format!("mysql://root@{}/chat", gate.address());
    let store = Arc::new(mysql::open(&url).await.unwrap());
    let mut world = World::new(store.clone());
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    world.say(one, log, "kept").await;
    let alone = Alone::take(&url, "chat").await.unwrap();
    let mut hold = alone.state();

    run(&there, "SET GLOBAL super_read_only = ON").await;
    catch_up(&there, &here).await;
    run(&here, "STOP REPLICA").await;
    let refused = world.store.commit(vec![world.append(one, log, "lost")]).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(reason)) if reason.contains("read-only")), "{refused:?}");
    // Who reads has a connection of every kind by now.
    reads(&world, log, 2).await;

    gate.lead(new.address());
    let led = Instant::now();
    let append = vec![world.append(one, log, "new")];
    while let Err(error) = world.store.commit(append.clone()).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(led.elapsed() < HEALS, "it is still the old one: {error}");
        sleep(Duration::from_millis(50)).await;
    }
    reads(&world, log, 3).await;
    // The lock is one of the new server's.
    let own = "SELECT CAST(IS_USED_LOCK(SHA2(CONCAT('gogochat.chat.', 'chat'), 224)) AS SIGNED)";
    while number(&here, own).await.is_none() {
        assert!(led.elapsed() < HEALS, "the lock is still the old one's");
        sleep(Duration::from_millis(50)).await;
    }
    timeout(HEALS, hold.wait_for(|hold| *hold == Hold::Held)).await.expect("the lock is not told of").unwrap();
}

/// More readers than there may be connections, all at once: each sees so many events.
async fn reads(world: &World, log: gogochat_proto::ids::LogId, events: usize) {
    let reading: Vec<_> = (0..16)
        .map(|_| {
            let store = world.store.clone();
            tokio::spawn(
                async move { store.events(log, gogochat_storage::store::Range::After(0), 10, usize::MAX).await },
            )
        })
        .collect();
    for one in reading {
        assert_eq!(one.await.unwrap().unwrap().len(), events);
    }
}

async fn start(id: &'static str) -> Private {
    let id = format!("--server-id={id}");
    let starting = move || Private::start("mysql", &[&id, "--performance-schema=OFF"]);
    tokio::task::spawn_blocking(starting).await.unwrap()
}

async fn server(private: &Private) -> DatabaseConnection {
    connect(format!("mysql://root@{}", private.address())).await
}

async fn catch_up(source: &DatabaseConnection, replica: &DatabaseConnection) {
    let status = Statement::from_string(source.get_database_backend(), "SHOW BINARY LOG STATUS");
    let at = source.query_one_raw(status).await.unwrap().unwrap();
    let (file, position): (String, u64) = (at.try_get_by_index(0).unwrap(), at.try_get_by_index(1).unwrap());
    let waited = number(replica, &format!("SELECT SOURCE_POS_WAIT('{file}', {position}, 10)")).await;
    assert!(waited.is_some_and(|events| events >= 0), "the replica does not follow");
}

async fn number(server: &DatabaseConnection, sql: &str) -> Option<i64> {
    let row = server.query_one_raw(Statement::from_string(server.get_database_backend(), sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

async fn run(server: &DatabaseConnection, sql: &str) {
    server.execute_unprepared(sql).await.unwrap();
}

const HEALS: Duration = Duration::from_secs(10);
