//! SQLite on a real file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use gogochat_proto::ids::LogId;
use gogochat_storage::store::{
    Command, Done, Logs, Range, SqlStore, Store, StoreError,
    sqlite::{self, MigrateError},
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;

use crate::{
    contract::{
        self,
        store::{NOW, World, appended, message, model::Opened as _},
    },
    store_contract,
};

/// A store in a folder of its own.
pub(crate) struct Opened {
    store: Arc<SqlStore>,
    folder: TempDir,
}

impl contract::store::model::Opened for Opened {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }
}

impl Opened {
    fn path(&self) -> PathBuf {
        self.folder.path().join("gogochat.db")
    }
}

pub(crate) async fn open() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite::open(&folder.path().join("gogochat.db")).await.unwrap();
    Opened { store: Arc::new(store), folder }
}

store_contract!(crate::sqlite::open);

#[tokio::test]
async fn agrees_with_the_model() {
    contract::store::model::agrees_with_the_model(open).await;
}

#[tokio::test]
async fn splits_are_equal() {
    contract::store::model::splits_are_equal(open).await;
}

/// What was committed is there after the process has gone, and after one that did not say goodbye.
#[tokio::test]
async fn a_new_process_finds_everything() {
    let opened = open().await;
    let mut world = World::new(opened.store());
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let origin = world.origin(one);
    let append = Command::Append { log, origin, payload: message("kept") };
    world.one(append.clone()).await.unwrap();
    let kept = world.log(log).await;

    // A copy of the files as a crash at this moment leaves them.
    let crashed = tempfile::tempdir().unwrap();
    for end in ["", "-wal"] {
        let from = format!("{}{end}", opened.path().display());
        std::fs::copy(from, crashed.path().join(format!("gogochat.db{end}"))).unwrap();
    }
    world.store.close().await;
    assert!(!opened.path().with_extension("db-wal").exists(), "closing leaves one file");

    for path in [opened.path(), crashed.path().join("gogochat.db")] {
        let store = sqlite::open(&path).await.unwrap();
        assert_eq!(store.events(log, Range::After(0), 10, usize::MAX).await.unwrap(), kept);
        let again = store.commit(vec![append.clone()]).await.unwrap().remove(0).unwrap();
        assert_eq!(again.done, Done::Appended { seq: 2, time_ms: NOW, duplicate: true });
        let next = world.append(other, log, "next");
        assert_eq!(appended(&store.commit(vec![next]).await.unwrap().remove(0).unwrap()), 3);
        store.close().await;
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let opened = open().await;
    opened.store.close().await;
    let raw = raw(&opened.path()).await;
    raw.execute_unprepared("UPDATE schema_version SET version = 99").await.unwrap();
    raw.close().await.unwrap();
    let error = sqlite::open(&opened.path()).await.unwrap_err();
    assert!(matches!(error, MigrateError::Newer { found: 99, known: 12 }), "{error:?}");
    assert!(error.to_string().contains("version 99, newer than version 12"), "{error}");
}

/// What an earlier program has written is there still, and what is new works.
#[tokio::test]
async fn an_older_schema_is_brought_up_to_date() {
    let opened = open().await;
    let mut world = World::new(opened.store());
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    world.say(one, log, "kept").await;
    let kept = world.log(log).await;
    opened.store.close().await;
    let raw = raw(&opened.path()).await;
    for sql in [
        "DROP TABLE signed_out",
        "ALTER TABLE sent DROP COLUMN refused",
        "DROP TABLE installation",
        "DROP TABLE name_word",
        "DROP TABLE audit",
        "DROP TABLE invitation",
        "DROP TABLE recovery_code",
        "DROP TABLE second_factor",
        "ALTER TABLE account DROP COLUMN signature",
        "ALTER TABLE account DROP COLUMN birthday",
        "ALTER TABLE account DROP COLUMN gender",
        "ALTER TABLE account DROP COLUMN administrator_ms",
        "ALTER TABLE account DROP COLUMN disabled_ms",
        "ALTER TABLE account DROP COLUMN one_time_until_ms",
        "ALTER TABLE device DROP COLUMN address",
        "DROP INDEX log_unfed",
        "DROP INDEX member_moved",
        "DROP TABLE feed",
        "DROP TABLE follower",
        "DROP TABLE history",
        "ALTER TABLE log DROP COLUMN moved",
        "ALTER TABLE log DROP COLUMN marked",
        "ALTER TABLE log DROP COLUMN fed_seq",
        "ALTER TABLE member DROP COLUMN moved",
        "ALTER TABLE member DROP COLUMN large",
        "DROP TABLE silent_event",
        "DROP TABLE notice",
        "DROP TABLE block",
        "DROP TABLE invite",
        "DROP INDEX log_joining",
        "ALTER TABLE log DROP COLUMN joining",
        "DROP INDEX member_role",
        "ALTER TABLE log DROP COLUMN history",
        "ALTER TABLE log DROP COLUMN posting",
        "ALTER TABLE log DROP COLUMN slow_ms",
        "ALTER TABLE member DROP COLUMN role",
        "ALTER TABLE member DROP COLUMN muted_ms",
        "ALTER TABLE member DROP COLUMN said_ms",
        "ALTER TABLE log DROP COLUMN silent_events",
        "ALTER TABLE log DROP COLUMN counted_seq",
        "DROP TABLE schema_step",
        "UPDATE schema_version SET version = 1",
    ] {
        raw.execute_unprepared(sql).await.unwrap();
    }
    raw.close().await.unwrap();

    world.store = Arc::new(sqlite::open(&opened.path()).await.unwrap());
    assert_eq!(world.log(log).await, kept);
    assert_eq!(world.say(other, log, "new").await, 3);
    assert!(world.store.revoke_device(one, world.device(one), NOW).await.unwrap());
    assert_eq!(world.store.last_sign_out().await.unwrap(), 1);
    let drawn = world.store.installation().await.unwrap();
    world.store.close().await;
    assert_eq!(sqlite::open(&opened.path()).await.unwrap().installation().await.unwrap(), drawn);
}

#[tokio::test]
async fn a_mistyped_folder_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let error = sqlite::open(&folder.path().join("mistyped/gogochat.db")).await.unwrap_err();
    assert!(error.to_string().contains("mistyped/gogochat.db"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "dear diary, ".repeat(1_000)).unwrap();
    let error = sqlite::open(&path).await.unwrap_err();
    assert!(matches!(error, MigrateError::Store(StoreError::Failed(_))), "{error:?}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("dear diary"));
    let error = sqlite::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, MigrateError::Store(StoreError::Unavailable(_))), "{error:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn others_cannot_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let opened = open().await;
    for end in ["", "-wal", "-shm"] {
        let file = format!("{}{end}", opened.path().display());
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{end}");
    }
}

/// Where nothing changes, nothing is written: neither a page nor a sync.
#[tokio::test]
async fn what_changes_nothing_writes_nothing() {
    let opened = open().await;
    let mut world = World::new(opened.store());
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let append = world.append(one, log, "x");
    let mark = Command::Mark { log, user: other, delivered: 2, read: 1 };
    world.store.commit(vec![append.clone(), mark.clone()]).await.unwrap();
    let wal = format!("{}-wal", opened.path().display());
    let written = || std::fs::metadata(&wal).unwrap();
    let before = written();
    let refused = world.append(one, LogId::new_v7(), "x");
    world.store.commit(vec![append, mark.clone(), refused, mark]).await.unwrap();
    assert_eq!((written().len(), written().modified().unwrap()), (before.len(), before.modified().unwrap()));
    world.say(one, log, "y").await;
    assert!(written().len() > before.len());
}

/// The file, past the store.
async fn raw(path: &Path) -> DatabaseConnection {
    Database::connect(format!("sqlite:{}", path.display())).await.unwrap()
}
