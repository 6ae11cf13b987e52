//! What stands between a URL and a store.

use std::time::{Duration, Instant};

use gogochat_storage::{
    open::open_store,
    store::{
        Store, Users as _,
        mysql::{self, OpenError},
        sqlite::MigrateError,
    },
};
use sea_orm::{ConnectionTrait, Statement, TransactionTrait as _};
use uuid::Uuid;

use super::database::{Database, address, run_on_server};
use crate::contract::store::{NOW, World};

/// What an operator reads when a URL does not open.
async fn message(url: &str) -> String {
    let error = open_store(url).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("core.store: "), "{text}");
    assert!(!format!("{text} {error:?}").contains("secret"), "{error:?}");
    text
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let database = Database::create().await;
    let user = format!("u{}", &Uuid::new_v4().simple().to_string()[..20]);
    run_on_server(&format!("CREATE USER {user} IDENTIFIED BY 'the secret, of 1'")).await;
    run_on_server(&format!("GRANT ALL ON {}.* TO {user}", database.name())).await;
    let (server, name) = (address(), database.name());

    let refused = message(&format!("mysql://{user}:another%20secret@{server}/{name}")).await;
    assert!(refused.contains("check the user and the password") && refused.contains(&user), "{refused}");
    let refused = message(&format!("mysql://nobody:secret@{server}/{name}")).await;
    assert!(refused.contains("\"nobody\""), "{refused}");
    let unknown = message(&format!("mysql://root@{server}/no_such_database")).await;
    assert!(unknown.contains("no database \"no_such_database\" at"), "{unknown}");
    let foreign = message(&format!("mysql://{user}:the%20secret%2C%20of%201@{server}/mysql")).await;
    assert!(foreign.contains("granted"), "{foreign}");
    let nameless = message(&format!("mysql://root:secret@{server}")).await;
    assert!(nameless.contains("it names no database"), "{nameless}");
    let nobody = message("mysql://root:secret@127.0.0.1:9/chat").await;
    assert!(nobody.contains("cannot be reached") && nobody.contains("127.0.0.1:9"), "{nobody}");
    let unresolved = message("mysql://root:secret@no-such-host.invalid/chat").await;
    assert!(unresolved.contains("cannot be reached"), "{unresolved}");

    // With the right one: by RSA where there is no TLS and the server does not know the user yet, then by what it remembers, then with TLS.
    for mode in ["DISABLED", "DISABLED", "REQUIRED"] {
        let url = format!("mysql://{user}:the%20secret%2C%20of%201@{server}/{name}?ssl-mode={mode}");
        let store = mysql::open(&url).await.unwrap();
        store.check().await.unwrap();
        store.close().await;
    }
    let unsigned = message(&format!("mysql://root@{server}/{name}?ssl-mode=VERIFY_IDENTITY")).await;
    assert!(unsigned.contains("no TLS to MySQL") && unsigned.contains("ssl-ca"), "{unsigned}");
    run_on_server(&format!("DROP USER {user}")).await;
}

/// A restore that is cut off while it empties the store leaves nothing that a server takes for one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_store_that_was_being_emptied_is_not_opened() {
    let (database, elsewhere) = (Database::create().await, Database::create().await);
    let mut world = World::new(database.open().await);
    let [one, other] = world.users().await;
    world.befriend(one, other).await;
    world.store.close().await;
    // Somebody reads the last of its tables, which cannot be dropped meanwhile.
    let (name, reader) = (database.name(), elsewhere.raw().await);
    let reading = reader.begin().await.unwrap();
    reading.execute_unprepared(&format!("SELECT 1 FROM {name}.account LIMIT 1")).await.unwrap();
    let url = database.url();
    let restoring = tokio::spawn(async move { mysql::open_for_restore(&url, "a backup", true).await.map(drop) });
    let sql = format!(
        "SELECT CAST(id AS SIGNED) FROM performance_schema.processlist \
         WHERE db = '{name}' AND state LIKE 'Waiting for table metadata%'"
    );
    let begin = Instant::now();
    let waiting = loop {
        let statement = Statement::from_string(reader.get_database_backend(), sql.as_str());
        if let Some(row) = elsewhere.raw().await.query_one_raw(statement).await.unwrap() {
            break row.try_get_by_index::<i64>(0).unwrap();
        }
        assert!(begin.elapsed() < Duration::from_secs(60) && !restoring.is_finished(), "no table is dropped");
    };
    restoring.abort();
    assert!(restoring.await.unwrap_err().is_cancelled());
    run_on_server(&format!("KILL {waiting}")).await;
    reading.rollback().await.unwrap();

    let error = mysql::open(&database.url()).await.unwrap_err();
    assert!(matches!(error, OpenError::Unfinished { .. }), "{error:?}");
    // It is emptied once more, whichever backup comes into it.
    let target = mysql::open_for_restore(&database.url(), "another backup", true).await.unwrap();
    assert!(target.users(&[one, other]).await.unwrap().is_empty());
    target.close().await;
    assert!(matches!(mysql::open(&database.url()).await.unwrap_err(), OpenError::Unfinished { .. }));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let database = Database::create().await;
    database.open().await.close().await;
    database.raw().await.execute_unprepared("UPDATE schema_version SET version = 99").await.unwrap();
    let error = mysql::open(&database.url()).await.unwrap_err();
    assert!(matches!(error, OpenError::Migrate(MigrateError::Newer { found: 99, .. })), "{error:?}");
    assert!(message(&database.url()).await.contains("version 99, newer than version"));
}

/// What an earlier program has written is there still, and what is new works; also where the last attempt to bring it up to date was cut off.
#[tokio::test]
async fn an_older_schema_is_brought_up_to_date() {
    let database = Database::create().await;
    let mut world = World::new(database.open().await);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    world.say(one, log, "kept").await;
    let kept = world.log(log).await;
    for cut_off in [false, true] {
        world.store.close().await;
        let raw = database.raw().await;
        if !cut_off {
            raw.execute_unprepared("DROP TABLE signed_out").await.unwrap();
            raw.execute_unprepared("ALTER TABLE sent DROP COLUMN refused").await.unwrap();
            raw.execute_unprepared("ALTER TABLE log DROP COLUMN counted_seq").await.unwrap();
        }
        raw.execute_unprepared("DROP TABLE schema_step").await.unwrap();
        raw.execute_unprepared("UPDATE schema_version SET version = 1").await.unwrap();
        world.store = database.open().await;
    }
    assert_eq!(world.log(log).await, kept);
    assert_eq!(world.say(other, log, "new").await, 3);
    assert!(world.store.revoke_device(one, world.device(one), NOW).await.unwrap());
    assert_eq!(world.store.last_sign_out().await.unwrap(), 1);
    assert_eq!(versions(&database).await, 1);
}

/// Nodes that start together on an empty database.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_together_make_one_schema() {
    let database = Database::create().await;
    let nodes: Vec<_> = (0..4)
        .map(|_| {
            let url = database.url();
            tokio::spawn(async move { mysql::open(&url).await })
        })
        .collect();
    for node in nodes {
        node.await.unwrap().unwrap().check().await.unwrap();
    }
    assert_eq!(versions(&database).await, 1);
}

/// A node that was killed while it made the schema leaves some tables, with or without their indexes, and no version.
#[tokio::test]
async fn a_migration_that_was_cut_off_is_finished() {
    let database = Database::create().await;
    database.open().await.close().await;
    let raw = database.raw().await;
    for sql in [
        "DELETE FROM schema_version",
        "DROP TABLE sent",
        "DROP TABLE event",
        "ALTER TABLE member DROP INDEX member_joined",
    ] {
        raw.execute_unprepared(sql).await.unwrap();
    }
    let mut world = World::new(database.open().await);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    assert_eq!(world.say(one, log, "x").await, 2);
    assert_eq!(versions(&database).await, 1);
    let sql = "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name = 'member_joined'";
    assert_eq!(number(&database, sql).await, 3);
}

async fn versions(database: &Database) -> i64 {
    number(database, "SELECT COUNT(*) FROM schema_version").await
}

async fn number(database: &Database, sql: &str) -> i64 {
    let raw = database.raw().await;
    let row = raw.query_one_raw(Statement::from_string(raw.get_database_backend(), sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}
