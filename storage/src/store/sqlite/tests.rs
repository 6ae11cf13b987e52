//! What needs the store's own connections: limits set on them, statements watched on them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use gogochat_proto::{
    ids::{ClientMsgId, DeviceId, LogId, UserId},
    v1,
};
use parking_lot::Mutex;
use prost::Message as _;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tempfile::TempDir;

use super::{
    super::sql::{name_words, order},
    *,
};
use crate::store::{
    Act, Administration, AuditFilter, By, Command, Contacts, Conversations, Counters, DeviceKey, Devices, Done, Feed,
    Followers, Invitation, Logs, Mark, Marks, NewDevice, Origin, ProfileChange, Range, Store, Tokens, User, Users,
    Walk,
};

/// A store with two contacts.
struct Pair {
    store: SqlStore,
    one: UserId,
    other: UserId,
    log: LogId,
    _folder: TempDir,
}

impl Pair {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("gogochat.db")).await.unwrap();
        let [one, other] = [UserId::new_v7(), UserId::new_v7()];
        for (n, id) in [(0, one), (1, other)] {
            let name = format!("user{n}");
            let user = User::new(id, name, String::new(), String::new(), 0);
            assert!(store.create_user(user, device(id, n)).await.unwrap());
        }
        let log = LogId::new_v7();
        let ask = Command::RequestContact { origin: origin(one), to: other, note: String::new(), conversation: log };
        let accept = Command::AcceptContact { origin: origin(other), from: one, conversation: log };
        store.commit(vec![ask, accept]).await.unwrap();
        Self { store, one, other, log, _folder: folder }
    }

    fn origin(&self) -> Origin {
        origin(self.one)
    }

    fn append(&self, size: usize) -> Command {
        Command::Append { log: self.log, origin: self.origin(), payload: vec![0; size].into() }
    }

    fn page_reader(&self) -> &DatabaseConnection {
        self.store.readers().pages.connections().next().unwrap()
    }

    async fn pragma(&self, pragma: &str) -> i64 {
        let sql = format!("PRAGMA {pragma}");
        let row = self.store.writer().query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
        row.unwrap().try_get_by_index(0).unwrap()
    }
}

fn origin(sender: UserId) -> Origin {
    let (device, client_msg_id) = (DeviceId::new_v7(), ClientMsgId::new_v7());
    Origin { sender, device, client_msg_id, request_hash: [0; 32], now: 0 }
}

fn device(user: UserId, n: u8) -> NewDevice {
    let tokens = Tokens { access: [n; 32], access_expires_ms: 1_000, refresh: [n; 32], refresh_expires_ms: 1_000 };
    NewDevice { id: DeviceId::new_v7(), user, name: String::new(), tokens, created_ms: 0, address: String::new() }
}

/// A full disk refuses what is written and gives what is there; once there is room, it goes on.
#[tokio::test]
async fn a_full_disk_refuses_writes_alone() {
    let pair = Pair::open().await;
    let pages = pair.pragma("page_count").await;
    let limit = format!("max_page_count = {}", pages + 8);
    pair.pragma(&limit).await;
    let mut last = 1;
    let refused = loop {
        let command = pair.append(16_000);
        match pair.store.commit(vec![command.clone()]).await {
            Ok(outcomes) => {
                last += 1;
                assert!(matches!(outcomes[0].as_ref().unwrap().done, Done::Appended { seq, .. } if seq == last));
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Full), "{error:?}");
                break command;
            }
        }
        assert!(last < 100, "the limit does not hold");
    };
    for _ in 0..3 {
        let events = pair.store.events(pair.log, Range::After(0), 100, usize::MAX).await.unwrap();
        assert_eq!(events.len() as i64, last);
        assert_eq!(pair.store.conversations(pair.one, &[pair.log]).await.unwrap()[0].last_seq, last);
        // The limit is the connection's, which may have been replaced.
        pair.pragma(&limit).await;
        let again = pair.store.commit(vec![refused.clone()]).await;
        assert!(matches!(again, Err(StoreError::Full)), "{again:?}");
        // What needs no room is written still.
        pair.store.check().await.unwrap();
    }
    pair.pragma("max_page_count = 1000000").await;
    let outcome = pair.store.commit(vec![refused]).await.unwrap().remove(0).unwrap();
    assert!(matches!(outcome.done, Done::Appended { seq, duplicate: false, .. } if seq == last + 1));
}

/// A transaction that ended without the driver's knowing, as after some errors SQLite takes it back by
/// itself.
#[tokio::test]
async fn a_connection_that_lost_its_transaction_is_replaced() {
    let pair = Pair::open().await;
    let transaction = pair.store.writer().begin().await.unwrap();
    transaction.execute_unprepared("ROLLBACK").await.unwrap();
    assert!(transaction.rollback().await.is_err());
    for _ in 0..3 {
        pair.store.commit(vec![pair.append(1)]).await.unwrap();
    }
    assert_eq!(pair.store.last_seq(pair.log).await.unwrap(), Some(4));
    // The new one is set up like the first.
    assert_eq!(pair.pragma("synchronous").await, 2);
    assert_eq!(pair.pragma("foreign_keys").await, 1);
}

/// Another process has the write lock.
#[tokio::test]
async fn a_locked_file_is_unavailable() {
    let pair = Pair::open().await;
    let second = open(&pair._folder.path().join("gogochat.db")).await.unwrap();
    let lock = second.writer().begin_with_options(DIALECT.write).await.unwrap();
    pair.pragma("busy_timeout = 10").await;
    let refused = pair.store.commit(vec![pair.append(1)]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(pair.store.last_seq(pair.log).await.unwrap(), Some(1));
    lock.rollback().await.unwrap();
    pair.store.commit(vec![pair.append(1)]).await.unwrap();
    assert_eq!(second.last_seq(pair.log).await.unwrap(), Some(2));
}

/// The log's pages get into the file while commits go on, and the log begins anew, unless a reader needs
/// what is in it.
#[tokio::test]
async fn the_log_does_not_grow_for_ever() {
    let pair = Pair::open().await;
    let writer = pair.store.writer().clone();
    let path = pair._folder.path().join("gogochat.db");
    let mover = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool(1, options(&path, 256), None).await.unwrap());
    let fill = async || {
        for _ in 0..20 {
            pair.store.commit(vec![pair.append(4_096)]).await.unwrap();
        }
    };
    let pages = async || checkpoint::pragma(&mover, "NOOP").await.unwrap().pages;

    fill().await;
    let full = pages().await;
    assert!(full > 40, "{full}");
    checkpoint::checkpoint(&mover, &writer, full + 1).await.unwrap();
    fill().await;
    assert!(pages().await > full, "it was too early to move anything");
    assert_eq!(checkpoint::checkpoint(&mover, &writer, full).await.unwrap(), 0);
    pair.store.commit(vec![pair.append(1)]).await.unwrap();
    assert!(pages().await < 20);

    fill().await;
    let reader = pair.page_reader().begin().await.unwrap();
    let count = async || {
        let sql = Statement::from_string(DbBackend::Sqlite, "SELECT COUNT(*) FROM event");
        reader.query_one_raw(sql).await.unwrap().unwrap().try_get_by_index::<i64>(0).unwrap()
    };
    let seen = count().await;
    fill().await;
    let kept = checkpoint::checkpoint(&mover, &writer, 1).await.unwrap();
    assert!(kept > 20, "what the reader sees is kept in the file, and {kept} pages in the log");
    fill().await;
    assert_eq!(count().await, seen);
    assert!(pages().await > full);
    reader.commit().await.unwrap();
    assert_eq!(checkpoint::checkpoint(&mover, &writer, 1).await.unwrap(), 0);
    pair.store.commit(vec![pair.append(1)]).await.unwrap();
    assert!(pages().await < 20);
    let events = pair.store.events(pair.log, Range::After(0), 1_000, usize::MAX).await.unwrap();
    assert_eq!(events.len(), 1 + 5 * 20 + 2);
}

#[test]
fn a_log_that_somebody_keeps_from_shrinking_is_warned_of() {
    assert_eq!(checkpoint::grown(63_999), None);
    let said = checkpoint::grown(64_000).unwrap();
    assert!(said.contains("250 MiB") && said.contains("gogochat.db-wal") && said.contains("another process"), "{said}");
}

#[tokio::test]
async fn readers_cannot_write() {
    let pair = Pair::open().await;
    let error = pair.page_reader().execute_unprepared("DELETE FROM event").await.unwrap_err();
    assert!(error.to_string().contains("readonly"), "{error}");
}

/// A statement without an end.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n";
/// One that is done at once.
const SHORT: &str = "SELECT COUNT(*) FROM account";

async fn heavy(store: &SqlStore, sql: &str) -> Result<(), StoreError> {
    let reading = store.readers().heavy.take().await?;
    let statement = Statement::from_string(DbBackend::Sqlite, sql);
    let read = reading.connection().query_one_raw(statement).await.map(drop).map_err(error);
    reading.finish();
    read
}

async fn short_limit(limit: Duration) -> (TempDir, SqlStore) {
    let folder = tempfile::tempdir().unwrap();
    let connections = Connections { heavy: 1, read_limit: limit, ..Connections::default() };
    let store = open_with(&folder.path().join("gogochat.db"), connections).await.unwrap();
    (folder, store)
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped() {
    let (_folder, store) = short_limit(Duration::from_millis(300)).await;
    heavy(&store, SHORT).await.unwrap();
    for _ in 0..2 {
        let stopped = heavy(&store, ENDLESS).await.unwrap_err();
        assert!(matches!(&stopped, StoreError::Unavailable(reason) if reason.contains("interrupted")), "{stopped}");
        heavy(&store, SHORT).await.unwrap();
    }
}

/// Whoever gave up keeps no connection busy.
#[tokio::test]
async fn a_statement_that_nobody_waits_for_is_stopped() {
    let (_folder, store) = short_limit(Duration::from_secs(600)).await;
    let gave_up = tokio::time::timeout(Duration::from_millis(50), heavy(&store, ENDLESS)).await;
    assert!(gave_up.is_err(), "it has an end");
    let after = tokio::time::timeout(Duration::from_secs(30), heavy(&store, SHORT)).await;
    after.expect("the statement goes on").unwrap();
}

/// While all connections of one kind are busy, the others are not.
#[tokio::test]
async fn each_kind_of_reading_has_connections_of_its_own() {
    let (_folder, store) = short_limit(Duration::from_millis(100)).await;
    let busy = store.readers().heavy.take().await.unwrap();
    let refused = store.find_users("user", 10).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable(reason) if reason.contains("busy")), "{refused}");
    assert_eq!(store.user_by_name("user0").await.unwrap(), None);
    assert_eq!(store.last_seq(LogId::new_v7()).await.unwrap(), None);
    drop(busy);
    assert_eq!(store.find_users("user", 10).await.unwrap(), []);
}

/// However many write beside the commits, a commit waits for no queue of them.
#[tokio::test]
async fn commits_do_not_queue_behind_others_who_write() {
    let pair = Pair::open().await;
    let store = Arc::new(pair.store);
    // The one who may write besides: those behind it do not wait for the writer.
    let place = store.writers().places.acquire().await.unwrap();
    let waiting: Vec<_> = (10..40)
        .map(|n| {
            let (store, user) = (Arc::clone(&store), pair.one);
            tokio::spawn(async move { store.create_device(device(user, n), "").await })
        })
        .collect();
    tokio::task::yield_now().await;
    let append = Command::Append { log: pair.log, origin: origin(pair.one), payload: vec![0; 10].into() };
    assert!(store.commit(vec![append]).await.unwrap()[0].is_ok());
    assert!(waiting.iter().all(|one| !one.is_finished()), "one wrote without a place");
    drop(place);
    for one in waiting {
        assert!(one.await.unwrap().unwrap());
    }
}

/// However many messages there are of one's own, or of others, a conversation is shown without looking at
/// them. Counted are the steps of SQLite's virtual machine.
#[tokio::test]
async fn a_conversation_costs_the_same_however_long_it_is() {
    let pair = Pair::open().await;
    let steps = Arc::new(AtomicU64::new(0));
    let connections: Vec<_> = pair.store.readers().pages.connections().collect();
    for connection in &connections {
        let mut connection = connection.get_sqlite_connection_pool().acquire().await.unwrap();
        let steps = Arc::clone(&steps);
        connection.lock_handle().await.unwrap().set_progress_handler(1, move || {
            steps.fetch_add(1, Ordering::Relaxed);
            true
        });
    }
    let cost = async |user| {
        // Not the first time: the connections read the schema once.
        for _ in 0..2 * connections.len() {
            pair.store.conversations(user, &[pair.log]).await.unwrap();
        }
        steps.store(0, Ordering::Relaxed);
        let seen = pair.store.conversations(user, &[pair.log]).await.unwrap().remove(0);
        (steps.load(Ordering::Relaxed), seen.unread, seen.last_seq)
    };
    let (short, ..) = cost(pair.other).await;
    let message = v1::Event { body: Some(v1::event::Body::Message(v1::Message::default())), ..Default::default() };
    let payload = bytes::Bytes::from(message.encode_to_vec());
    for _ in 0..MANY / 1_000 {
        let append = || Command::Append { log: pair.log, origin: pair.origin(), payload: payload.clone() };
        pair.store.commit((0..1_000).map(|_| append()).collect()).await.unwrap();
    }
    for (user, unread) in [(pair.one, 0), (pair.other, 1_000)] {
        let (long, counted, last) = cost(user).await;
        assert_eq!((counted, last), (unread, MANY + 1));
        assert!(0 < short && long <= short + 100, "{long} steps after {MANY} messages, {short} before");
    }
}

/// Messages of a long conversation.
const MANY: i64 = 20_000;

/// A commit behind a floor moves its members' rows, and one transaction moves so many and no more.
#[tokio::test]
async fn a_transaction_moves_so_many_rows_of_members_and_no_more() {
    let pair = Pair::open().await;
    let mut logs = Vec::new();
    for _ in 0..30 {
        let log = LogId::new_v7();
        let create =
            Command::CreateGroup { log, origin: pair.origin(), title: "Tea".into(), members: vec![pair.other] };
        assert!(pair.store.commit(vec![create]).await.unwrap()[0].is_ok());
        logs.push(log);
    }
    // As if they were that large.
    let sql = "UPDATE log SET member_count = 200 WHERE title IS NOT NULL";
    pair.store.writer().execute_unprepared(sql).await.unwrap();
    pair.store.raise_floor(1, i64::MAX).await.unwrap();
    let say = |log: &LogId| Command::Append { log: *log, origin: pair.origin(), payload: vec![0].into() };
    let batch: Vec<_> = logs.iter().chain(&logs).map(say).collect();
    assert_eq!(pair.store.commit(batch.clone()).await.unwrap().len(), 20, "4,000 rows, and the next would be too many");
    // What has its position by now moves no more rows.
    assert_eq!(pair.store.commit(batch[20..].to_vec()).await.unwrap().len(), 40);
    assert_eq!(pair.store.last_seq(logs[29]).await.unwrap(), Some(3));
}

/// A migration gives members their positions, and names their words, some thousand rows a statement.
#[tokio::test]
async fn a_migration_has_no_statement_over_very_many_rows() {
    let mut pair = Pair::open().await;
    let hex: String = pair.log.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 12000)";
    for sql in [
        // Nobody of the many has an account.
        "PRAGMA foreign_keys = OFF".into(),
        format!(
            "INSERT INTO member (log_id, user_id, joined_ms, from_seq, delivered_seq, read_seq) {many} \
             SELECT x'{hex}', CAST(printf('%016d', n) AS BLOB), 0, 1, 0, 0 FROM n"
        ),
        format!("INSERT INTO name_word (word, user_id) {many} SELECT 'same', CAST(printf('%016d', n) AS BLOB) FROM n"),
        "UPDATE member SET moved = 0".into(),
        "UPDATE log SET moved = 0, last_ms = 77".into(),
        "UPDATE account SET display_name = 'Same'".into(),
        format!("UPDATE log SET member_count = 12002 WHERE id = x'{hex}'"),
    ] {
        pair.store.writer().execute_unprepared(&sql).await.unwrap();
    }
    let statements = Arc::new(Mutex::new(Vec::new()));
    pair.store.watch(|connection: &mut DatabaseConnection| {
        let statements = Arc::clone(&statements);
        connection.set_metric_callback(move |info| statements.lock().push(info.statement.sql.clone()));
    });
    order::by_time(&pair.store.alone()).await.unwrap();
    name_words::rebuild(&pair.store.alone()).await.unwrap();
    let count = |of: &str| statements.lock().iter().filter(|sql| sql.starts_with(of)).count();
    assert_eq!((count("UPDATE \"member\""), count("DELETE FROM \"name_word\"")), (4, 3), "{:?}", statements.lock());
    let asked = "SELECT COUNT(*) FROM member WHERE moved <> 77 OR large <> 1 UNION ALL SELECT COUNT(*) FROM name_word";
    let rows = pair.store.writer().query_all_raw(Statement::from_string(DbBackend::Sqlite, asked)).await.unwrap();
    let counts: Vec<i64> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    assert_eq!(counts, [0, 2]);
}

/// A floor rises also while another program goes on writing what is not in the feed.
#[tokio::test]
async fn a_floor_rises_while_another_program_writes() {
    let pair = Pair::open().await;
    let before = pair.store.raise_floor(1, i64::MAX).await.unwrap();
    // Whatever is brought into the feed, there is one event more.
    let trigger = "CREATE TRIGGER busy AFTER UPDATE ON log WHEN NEW.kind <> 0 AND NEW.fed_seq = NEW.last_seq \
                   BEGIN UPDATE log SET fed_seq = fed_seq - 1 WHERE id = NEW.id; END";
    pair.store.writer().execute_unprepared(trigger).await.unwrap();
    assert!(pair.store.commit(vec![pair.append(1)]).await.unwrap()[0].is_ok());
    let raised = tokio::time::timeout(std::time::Duration::from_secs(120), pair.store.raise_floor(1, i64::MAX)).await;
    assert!(raised.expect("it has no end").unwrap() > before);
    // What is left is told all the same.
    assert_eq!(pair.store.walk(pair.other, raised_floor(&pair).await, None, 10).await.unwrap().conversations.len(), 1);
}

async fn raised_floor(pair: &Pair) -> i64 {
    pair.store.raise_floor(1, 0).await.unwrap()
}

/// Whatever the store is asked, SQLite finds it by an index.
#[tokio::test]
async fn no_statement_scans_a_table() {
    let mut pair = Pair::open().await;
    let statements = Arc::new(Mutex::new(Vec::new()));
    pair.store.watch(|connection: &mut DatabaseConnection| {
        let statements = Arc::clone(&statements);
        connection.set_metric_callback(move |info| statements.lock().push(info.statement.sql.clone()));
    });
    call_everything(&pair).await;

    let mut statements = std::mem::take(&mut *statements.lock());
    statements.sort_unstable();
    statements.dedup();
    assert!(statements.len() > 30, "too few were seen: {statements:#?}");
    for sql in statements.iter().filter(|sql| !sql.contains("schema_version")) {
        let plan = Statement::from_string(DbBackend::Sqlite, format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = pair.page_reader().query_all_raw(plan).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.try_get_by_index(3).unwrap()).collect();
        let scans = |step: &String| step.starts_with("SCAN") && !SCANNED.iter().any(|known| step.ends_with(known));
        assert!(!steps.iter().any(scans), "{sql}\n{steps:#?}");
    }
}

/// What is scanned by intent: values given in the statement, the page that was picked, what was found to
/// be counted, the one row that each look has found, and an index that has nothing but what is looked for.
const SCANNED: [&str; 7] =
    ["CONSTANT ROW", "CONSTANT ROWS", "VALUES CLAUSE", "SCAN p", "SCAN t", "SCAN last", "USING INDEX log_unfed"];

async fn call_everything(pair: &Pair) {
    let (store, one, other, log) = (&pair.store, pair.one, pair.other, pair.log);
    let tokens = |n| Tokens { access: [n; 32], access_expires_ms: 0, refresh: [n; 32], refresh_expires_ms: 1_000 };
    let group = LogId::new_v7();
    let batch = vec![
        pair.append(1),
        Command::Mark { log, user: other, delivered: 2, read: 1 },
        Command::CreateGroup { log: group, origin: pair.origin(), title: "t".into(), members: vec![other] },
        Command::LeaveGroup { log: group, origin: Origin { sender: other, ..pair.origin() } },
    ];
    assert!(store.commit(batch).await.unwrap().iter().all(Result::is_ok));
    let batch = vec![
        Command::AddMembers { log: group, origin: pair.origin(), users: vec![other] },
        Command::LeaveGroup { log: group, origin: pair.origin() },
        Command::RemoveContact { origin: pair.origin(), peer: other },
        pair.append(1),
    ];
    assert!(store.commit(batch).await.unwrap()[..3].iter().all(Result::is_ok));

    let spare = device(one, 7);
    assert!(store.create_device(spare.clone(), "").await.unwrap());
    store.rotate_tokens(&[0; 32], tokens(8), 0, 10).await.unwrap();
    store.rotate_tokens(&[0; 32], tokens(9), 100, 10).await.unwrap();
    store.device_by_access(&[7; 32]).await.unwrap().unwrap();
    store.device(spare.id).await.unwrap().unwrap();
    store.arrival(DeviceKey::Access([7; 32])).await.unwrap().unwrap();
    store.arrival(DeviceKey::Id(spare.id)).await.unwrap().unwrap();
    store.touch_devices(&[spare.id], 5).await.unwrap();
    store.devices(one).await.unwrap();
    let by = By { actor: Some(one), address: String::new(), now: 0 };
    store.change_password(one, "", "new", spare.id, &by).await.unwrap().unwrap();
    // Long after, so that what was noted before is forgotten.
    store.revoke_device(one, spare.id, i64::MAX / 2).await.unwrap();
    assert_eq!(store.sign_outs(store.last_sign_out().await.unwrap() - 1, 10).await.unwrap().len(), 1);

    store.user_by_name("user0").await.unwrap().unwrap();
    store.users(&[one, other]).await.unwrap();
    store.find_users("user", 10).await.unwrap();
    store.find_users_by_display_name("somebody", 10).await.unwrap();
    let name = Some("Somebody".to_owned());
    store.change_profile(one, ProfileChange { display_name: name, ..ProfileChange::default() }).await.unwrap().unwrap();
    store
        .change_profile(one, ProfileChange { display_name: Some("X".into()), ..ProfileChange::default() })
        .await
        .unwrap();
    administer(store, one, &by).await;
    store.contacts(one, Some(other), 10).await.unwrap();
    store.accepted_contacts(one, &[other]).await.unwrap();
    store.last_seq(log).await.unwrap();
    store.memberships(one).await.unwrap();
    store.conversations(other, &[log, group]).await.unwrap();
    for upward in [false, true] {
        let walk = Walk { position: 0, bound: 0, place: Some((10, log)), upward };
        store.walk(other, -1, Some(walk), 10).await.unwrap();
    }
    store.walk(other, 5, None, 10).await.unwrap();
    store.raise_floor(1, 0).await.unwrap();
    assert!(!store.commits(0, 10).await.unwrap().is_empty());
    let owner = uuid::Uuid::new_v4();
    let place = store.follow("test", 0, owner).await.unwrap().place;
    assert_eq!(store.note("test", owner, &[(0, place)]).await.unwrap(), [true]);
    store.logs(log, 10).await.unwrap();
    store.check_counters(log, 1, 10).await.unwrap();
    store.last_position().await.unwrap();
    store.trim_feed(i64::MAX, 0).await.unwrap();
    let marks =
        [Mark { log, user: one, delivered: 1, read: 1 }, Mark { log: group, user: other, delivered: 1, read: 1 }];
    assert_eq!(store.mark(&marks).await.unwrap().len(), 2);
    store.lowest_marks(&[log, group]).await.unwrap();
    store.epoch().await.unwrap();
    store.renew_epoch().await.unwrap();
    store.members(log, Some((0, one)), 10).await.unwrap();
    store.member(log, one).await.unwrap();
    store.events(log, Range::After(0), 10, 100).await.unwrap();
    store.events(log, Range::Before { before: i64::MAX, at_least: 1 }, 10, 100).await.unwrap();
}

/// Everything that administrators do.
async fn administer(store: &SqlStore, user: UserId, by: &By) {
    let command_line = By { actor: None, ..by.clone() };
    assert!(store.set_administrator(by.actor.unwrap(), true, &command_line).await.unwrap());
    store.list_users("", "", 10).await.unwrap();
    let code = [5; 32];
    store.create_invitation(Invitation { code, until_ms: 10, uses: 1 }, by).await.unwrap();
    let new = User::new(UserId::new_v7(), "invited".into(), "Invited".into(), "old".into(), 1);
    store.create_invited_user(new.clone(), device(new.id, 20), &code).await.unwrap();
    let alone = User::new(UserId::new_v7(), "alone".into(), String::new(), String::new(), 1);
    assert!(store.create_user_alone(alone.clone(), by).await.unwrap());
    assert!(store.set_administrator(new.id, true, by).await.unwrap());
    store.reset_access(new.id, "once", 10, by).await.unwrap().unwrap();
    assert!(store.redeem_one_time_password(device(new.id, 21), "once", "own").await.unwrap());
    store.sign_out_user(new.id, None, by).await.unwrap();
    store.set_disabled(new.id, true, "", by).await.unwrap().unwrap();
    for (user, act) in
        [(None, None), (Some(user), None), (None, Some(Act::Disabled)), (Some(new.id), Some(Act::Disabled))]
    {
        for before in [None, Some(uuid::Uuid::max())] {
            assert!(!store.audit(AuditFilter { user, act }, before, 10).await.unwrap().entries.is_empty());
        }
    }
}

/// Numbers that are wrong, in each way, are found and counted anew; until then messages are counted one by one.
#[tokio::test]
async fn counters_that_are_wrong_are_counted_anew() {
    let pair = Pair::open().await;
    let group = LogId::new_v7();
    let create =
        Command::CreateGroup { log: group, origin: pair.origin(), title: "t".into(), members: vec![pair.other] };
    let message =
        v1::Event { body: Some(v1::event::Body::Message(v1::Message { text: "x".into() })), ..Default::default() };
    let payload = bytes::Bytes::from(message.encode_to_vec());
    let say = || Command::Append { log: group, origin: pair.origin(), payload: payload.clone() };
    let come = || Command::AddMembers { log: group, origin: pair.origin(), users: vec![pair.other] };
    let leave = || Command::LeaveGroup { log: group, origin: origin(pair.other) };
    pair.store.commit(vec![create, say(), say(), leave(), come(), say(), leave(), come(), say(), say()]).await.unwrap();
    let id = format!("x'{}'", group.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let unread = async || pair.store.conversations(pair.other, &[group]).await.unwrap()[0].unread;
    assert_eq!((unread().await, pair.store.check_counters(group, 1, 10).await.unwrap()), (2, Counters::Right));
    for wrong in [
        format!("DELETE FROM silent_event WHERE log_id = {id} AND seq = 5"),
        format!("UPDATE silent_event SET number = number + 7 WHERE log_id = {id} AND seq > 4"),
        format!("INSERT INTO silent_event (log_id, seq, number) VALUES ({id}, 6, 9)"),
        format!("UPDATE log SET silent_events = silent_events + 1 WHERE id = {id}"),
    ] {
        pair.store.writer().execute_unprepared(&wrong).await.unwrap();
        assert_eq!(pair.store.check_counters(group, 1, 10).await.unwrap(), Counters::Wrong, "{wrong}");
        assert_eq!(unread().await, 2, "{wrong}");
        while pair.store.check_counters(group, 1, 10).await.unwrap() != Counters::Right {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(unread().await, 2, "{wrong}");
    }
}
