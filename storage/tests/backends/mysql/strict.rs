//! A server that its operators have made strict: it wants a key of every table, and takes little in
//! a statement.

use std::sync::Arc;

use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use gogochat_storage::store::{
    Command, Logs as _, Origin, Range, Store,
    mysql::{self, OpenError},
    sqlite,
    transfer::{self, Becomes},
};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use super::database::connect;
use crate::{
    contract::store::{NOW, World, appended},
    services::Private,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_small_packets() {
    let flags = ["--sql-require-primary-key=ON", "--max-allowed-packet=1M"];
    let starting = tokio::task::spawn_blocking(move || Private::start("mysql", &flags));
    let server = starting.await.unwrap();
    let raw = connect(format!("mysql://root@{}", server.address())).await;
    let url = |database: &str| format!("mysql://root@{}/{database}", server.address());
    for database in ["full", "moved"] {
        raw.execute_unprepared(&format!("CREATE DATABASE {database}")).await.unwrap();
    }

    // A batch of 16 MiB, as the largest that a worker takes of the longest texts, and one that is
    // as large as a body may be.
    let store = Arc::new(mysql::open(&url("full")).await.unwrap());
    let mut world = World::new(store.clone());
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    send(&*store, one, log, &[16 << 10; 1_000]).await;
    send(&*store, one, log, &[64 << 10]).await;
    assert_eq!(store.last_seq(log).await.unwrap(), Some(1 + 1_001));
    for after in [1, 1_001] {
        let events = store.events(log, Range::After(after), 10, usize::MAX).await.unwrap();
        assert!(events.iter().all(|event| event.payload.len() >= 16 << 10));
    }
    assert_eq!(tables_without_key(&raw, "full").await, 0);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gogochat.db");
    let mut moving = World::new(Arc::new(sqlite::open(&file).await.unwrap()));
    let [ada, bob] = moving.users().await;
    let chat = moving.befriend(ada, bob).await;
    send(&*moving.store, ada, chat, &[16 << 10; 300]).await;
    moving.store.close().await;
    let (source, target) =
        (sqlite::open_alone(&file).await.unwrap(), mysql::open_for_transfer(&url("moved")).await.unwrap());
    transfer::transfer(&source, &target, "sqlite", Becomes::Successor, &mut |_| {}).await.unwrap();
    target.close().await;
    let moved = mysql::open(&url("moved")).await.unwrap();
    assert_eq!(moved.last_seq(chat).await.unwrap(), Some(1 + 300));
    assert_eq!(tables_without_key(&raw, "moved").await, 0);

    // Where the largest message would not fit, it is said at once, and what to do.
    let least = 256 << 10;
    for (packet, opens) in [(least, true), (least - 1_024, false)] {
        raw.execute_unprepared(&format!("SET GLOBAL max_allowed_packet = {packet}")).await.unwrap();
        let opened = mysql::open(&url("full")).await;
        match opened {
            Ok(store) => {
                assert!(opens);
                send(&store, one, log, &[64 << 10; 8]).await;
            }
            Err(error) => {
                assert!(!opens && matches!(error, OpenError::Packet { .. }), "{error:?}");
                assert!(error.to_string().contains("max_allowed_packet to 262144"), "{error}");
            }
        }
    }
}

/// Texts of these sizes in one batch.
async fn send(store: &dyn Store, from: UserId, log: LogId, sizes: &[usize]) {
    let device = DeviceId::new_v7();
    let append = |size: &usize| {
        let origin =
            Origin { sender: from, device, client_msg_id: ClientMsgId::new_v7(), request_hash: [1; 32], now: NOW };
        Command::Append { log, origin, payload: vec![0x52; *size].into() }
    };
    let batch: Vec<_> = sizes.iter().map(append).collect();
    for outcome in store.commit(batch).await.unwrap() {
        appended(&outcome.unwrap());
    }
}

async fn tables_without_key(raw: &DatabaseConnection, database: &str) -> i64 {
    let sql = format!(
        "SELECT CAST(COUNT(*) AS SIGNED) FROM information_schema.tables t WHERE t.table_schema = '{database}' AND NOT EXISTS (
             SELECT 1 FROM information_schema.table_constraints c WHERE c.table_schema = t.table_schema AND c.table_name = t.table_name
                 AND c.constraint_type = 'PRIMARY KEY')"
    );
    let row = raw.query_one_raw(Statement::from_string(raw.get_database_backend(), sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}
