//! SQLite on a real file.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gogochat_proto::ids::LogId;
use gogochat_storage::store::{
    Command, Done, Range, SqlStore, Store, StoreError,
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
        self.folder.path().join("data/gogochat.db")
    }
}

pub(crate) async fn open() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite::open(&folder.path().join("data/gogochat.db")).await.unwrap();
    Opened { store: Arc::new(store), folder }
}

store_contract!(crate::sqlite::open:
    accounts::{
        a_name_is_taken_once,
        people_are_found_by_prefix,
        many_users_at_once,
        devices_come_and_go,
        a_new_password_signs_others_out,
        a_refresh_token_is_exchanged_once,
        a_lost_answer_may_be_asked_for_again,
        refresh_tokens_lapse,
        an_arrival_is_seen_at_once,
        it_answers_checks,
    },
    contacts::{
        a_request_waits_on_both_sides,
        accepting_makes_a_conversation,
        asking_one_who_asked_accepts,
        an_ended_contact_stops_messages,
        contacts_again_have_their_conversation_again,
        requests_are_refused_and_withdrawn,
        nobody_is_asked_who_is_not_there,
        only_the_asked_accepts,
        lists_are_paged,
    },
    groups::{
        founders_see_all,
        creating_again_answers_with_the_first,
        only_contacts_are_brought_in,
        later_members_see_what_comes_later,
        who_added_nobody_adds_nobody_later,
        leaving_ends_it,
        coming_back_begins_anew,
        a_group_has_its_limit,
    },
    messages::{
        takes_its_place_in_the_log,
        a_batch_sees_its_own_commands,
        a_repeat_is_answered_with_the_first,
        only_members_append,
        marks_move_up_alone,
        a_mark_may_follow_its_message_in_a_batch,
        batches_have_any_size,
        large_groups_keep_read_marks_alone,
    },
    reading::{
        events_come_in_pages,
        pages_are_bounded_in_bytes,
        payloads_come_back_as_they_were,
        conversations_come_by_activity,
        a_conversation_is_seen_by_its_member,
        unread_messages_are_counted,
        members_come_by_when_they_joined,
    },
);

#[tokio::test]
async fn agrees_with_the_model() {
    contract::store::model::agrees_with_the_model(open).await;
}

#[tokio::test]
async fn splits_are_equal() {
    contract::store::model::splits_are_equal(open).await;
}

#[tokio::test]
async fn closed_is_unavailable() {
    contract::store::after_close(open().await.store()).await;
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
    assert!(matches!(error, MigrateError::Newer { found: 99, known: 1 }), "{error:?}");
    assert!(error.to_string().contains("version 99, newer than version 1"), "{error}");
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

/// Readers see whole commits only, and never wait for the writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_whole_commits() {
    const PAIRS: i64 = 60;
    let opened = open().await;
    let mut world = World::new(opened.store());
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..3 {
        let (store, done) = (opened.store(), Arc::clone(&done));
        readers.push(tokio::spawn(async move {
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                let seen = store.conversations(other, None, None, 10).await.unwrap().remove(0);
                assert_eq!(seen.last_seq % 2, 1, "half a commit");
                assert!(seen.last_seq >= last, "back in time");
                last = seen.last_seq;
                assert_eq!(seen.last_event.unwrap().seq, last);
                assert_eq!(i64::from(seen.unread), last - 1);
                assert!(store.last_seq(log).await.unwrap().unwrap() >= last);
            }
            last
        }));
    }
    for _ in 0..PAIRS {
        let batch = vec![world.append(one, log, "a"), world.append(one, log, "b")];
        world.store.commit(batch).await.unwrap();
        // What was committed is seen at once.
        let seen = world.store.last_seq(log).await.unwrap();
        assert_eq!(seen.unwrap() % 2, 1);
    }
    assert_eq!(world.store.last_seq(log).await.unwrap(), Some(1 + 2 * PAIRS));
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

/// Several writers at once, some of which give up while they wait or write: each commit is whole or not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_caller_that_gives_up_leaves_no_half() {
    let opened = open().await;
    let mut world = World::new(opened.store());
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let mut tasks = Vec::new();
    for n in 0..60_u64 {
        let batch = vec![world.append(one, log, "a"), world.append(one, log, "b"), world.append(one, log, "c")];
        let store = opened.store();
        let patience = if n % 2 == 0 { Duration::from_micros(200 * n) } else { Duration::from_secs(60) };
        tasks.push(tokio::spawn(async move { tokio::time::timeout(patience, store.commit(batch)).await.is_ok() }));
    }
    let mut sure = 0;
    for task in tasks {
        sure += i64::from(task.await.unwrap());
    }
    let seq = world.say(one, log, "last").await;
    assert_eq!((seq - 2) % 3, 0, "half a batch");
    assert!(seq - 2 >= 3 * sure, "an answered batch is not there");
    let seqs: Vec<_> = world.log(log).await.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=seq).collect::<Vec<_>>());
}

/// The file, past the store.
async fn raw(path: &Path) -> DatabaseConnection {
    Database::connect(format!("sqlite:{}", path.display())).await.unwrap()
}
