//! A store that an earlier program has written, opened by this one: nothing is lost, and it is laid out as a new one is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use gogochat_storage::store::{
    By, Command, ContactState, DeviceKey, Done, NewDevice, Origin, Range, Rotation, Store, Tokens, mysql, sqlite,
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use uuid::Uuid;

use crate::{
    contract::store::{World, list, new_device, tokens, walks::Device},
    mysql::database,
};

#[tokio::test]
async fn an_sqlite_store_of_version_4_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["old.db", "new.db"].map(|name| folder.path().join(name));
    let connect =
        async |path: &std::path::Path| Database::connect(format!("sqlite:{}?mode=rwc", path.display())).await.unwrap();
    let raw = connect(&old).await;
    write(&raw, "WITHOUT ROWID").await;
    raw.close().await.unwrap();

    let store = sqlite::open(&old).await.unwrap();
    everything_is_kept(&store).await;
    store.close().await;
    sqlite::open(&new).await.unwrap().close().await;
    assert_eq!(layout(&connect(&old).await, SQLITE).await, layout(&connect(&new).await, SQLITE).await);
}

#[tokio::test]
async fn a_mysql_store_of_version_4_is_kept() {
    let [old, new] = [database::Database::create().await, database::Database::create().await];
    write(&old.raw().await, "ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin").await;

    let store = mysql::open(&old.url()).await.unwrap();
    everything_is_kept(&store).await;
    store.close().await;
    new.open().await.close().await;
    assert_eq!(layout(&old.raw().await, MYSQL).await, layout(&new.raw().await, MYSQL).await);
}

/// Writes the store of version 4.
async fn write(raw: &DatabaseConnection, table: &str) {
    let statements = [include_str!("fixtures/schema-4.sql"), include_str!("fixtures/rows-4.sql")].join("\n");
    let code: Vec<_> = statements.lines().filter(|line| !line.starts_with("--")).collect();
    for statement in code.join("\n").split(';').filter(|statement| !statement.trim().is_empty()) {
        raw.execute_unprepared(&statement.replace("{table}", table)).await.unwrap();
    }
}

/// What the release before this one writes on this one's schema, beside it: events whose log's numbers
/// it does not know. Its rows are as `storage/tests/backends/fixtures/rows-4.sql` has them.
#[tokio::test]
async fn what_an_earlier_program_goes_on_writing_is_counted_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gogochat.db");
    let store = Arc::new(sqlite::open(&path).await.unwrap());
    let raw = Database::connect(format!("sqlite:{}", path.display())).await.unwrap();
    uncounted_events_are_counted(store, &raw).await;
}

#[tokio::test]
async fn what_an_earlier_program_goes_on_writing_is_counted_on_mysql() {
    let database = database::Database::create().await;
    uncounted_events_are_counted(database.open().await, &database.raw().await).await;
}

#[tokio::test]
async fn what_an_earlier_program_goes_on_writing_is_told_on_sqlite() {
    on_sqlite(unfed_events_are_told).await;
    on_sqlite(unfed_members_are_told).await;
    on_sqlite(unfed_marks_are_told).await;
}

#[tokio::test]
async fn what_an_earlier_program_goes_on_writing_is_told_on_mysql() {
    on_mysql(unfed_events_are_told).await;
    on_mysql(unfed_members_are_told).await;
    on_mysql(unfed_marks_are_told).await;
}

#[tokio::test]
async fn whom_an_earlier_program_lets_in_though_disabled_is_not_admitted_on_sqlite() {
    on_sqlite(the_disabled_are_not_admitted).await;
}

#[tokio::test]
async fn whom_an_earlier_program_lets_in_though_disabled_is_not_admitted_on_mysql() {
    on_mysql(the_disabled_are_not_admitted).await;
}

/// A test on a new store, with a connection past it.
async fn on_sqlite(test: impl AsyncFn(Arc<dyn Store>, &DatabaseConnection)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gogochat.db");
    let store = Arc::new(sqlite::open(&path).await.unwrap());
    let raw = Database::connect(format!("sqlite:{}", path.display())).await.unwrap();
    test(store, &raw).await;
}

async fn on_mysql(test: impl AsyncFn(Arc<dyn Store>, &DatabaseConnection)) {
    let database = database::Database::create().await;
    test(database.open().await, &database.raw().await).await;
}

async fn uncounted_events_are_counted(store: Arc<dyn Store>, raw: &DatabaseConnection) {
    let mut world = World::new(store.clone());
    let [one, two] = world.users().await;
    world.befriend(one, two).await;
    let log = world.group(one, &[two]).await;
    world.say(one, log, "counted").await;
    let counted = async || {
        let statement = Statement::from_sql_and_values(
            raw.get_database_backend(),
            "SELECT last_seq - counted_seq FROM log WHERE id = ?",
            [log.as_bytes().to_vec().into()],
        );
        let row = raw.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index::<i64>(0).unwrap() == 0
    };
    assert!(counted().await);
    let unread = async |user| {
        let seen = store.conversations(user, &[log]).await.unwrap().remove(0);
        (seen.unread, seen.read)
    };
    let execute = async |sql: String| raw.execute_unprepared(&sql).await.unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();

    // Twice, as it may come back. In a part of the log that takes several transactions to count.
    let mut last = 2;
    for _ in 0..2 {
        for n in 0..25 {
            let row = |n: i64| {
                let seq = last + n;
                let (sender, body) = if n % 100 == 0 { (two, 12) } else { (one, 10) };
                let (log, sender) = (hex(log.as_bytes()), hex(sender.as_bytes()));
                format!("(x'{log}', {seq}, {body}, 1, x'{sender}', NULL, NULL, x'5200')")
            };
            let rows: Vec<_> = (1..=100).map(|row_of| row(n * 100 + row_of)).collect();
            let columns = "log_id, seq, body, time_ms, sender_id, device_id, client_msg_id, payload";
            execute(format!("INSERT INTO event ({columns}) VALUES {}", rows.join(", "))).await;
        }
        last += 2_500;
        execute(format!("UPDATE log SET last_seq = {last} WHERE id = x'{}'", hex(log.as_bytes()))).await;
        assert!(!counted().await);
        // Nobody has read the log yet, so nothing has it counted; what comes next is right all the same.
        assert_eq!(world.say(two, log, "uncounted").await, last + 1);
        last += 1;
        assert!(!counted().await);
        assert_eq!(unread(two).await, (0, last));
        until(async || counted().await.then_some(())).await;
        assert_eq!((unread(one).await, unread(two).await), ((1, last - 2), (0, last)));
        world.store.commit(vec![Command::Mark { log, user: one, delivered: last, read: last }]).await.unwrap();
        for n in 1..=3 {
            last = world.say(two, log, "counted").await;
            assert!(counted().await);
            assert_eq!(unread(one).await.0, n);
        }
    }
}

/// What a program wrote that writes no feed is told to who has a position, before and after it is brought
/// into the feed.
async fn unfed_events_are_told(store: Arc<dyn Store>, raw: &DatabaseConnection) {
    let mut world = World::new(store.clone());
    let [one, two] = world.users().await;
    let log = world.befriend(one, two).await;
    let mut device = Device::default();
    let sync = async |device: &mut Device| {
        device.walk(&*store, one, 10).await;
        device.agrees(&*store, one).await;
        device.brought
    };
    // So often that the other program is taken to be gone: until then all is told.
    let raise = async || {
        for _ in 0..=10 {
            store.raise_floor(1, i64::MAX).await.unwrap();
        }
    };
    raise().await;
    sync(&mut device).await;
    assert_eq!(sync(&mut device).await, 0);
    let hex: String = log.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    for last in [2, 4] {
        for sql in [
            format!(
                "INSERT INTO event (log_id, seq, body, time_ms, sender_id, payload) VALUES (x'{hex}', {last}, 10, 1, x'{hex}', x'5200')"
            ),
            format!("UPDATE log SET last_seq = {last} WHERE id = x'{hex}'"),
        ] {
            raw.execute_unprepared(&sql).await.unwrap();
        }
        assert_eq!(sync(&mut device).await, 1);
        if last == 2 {
            raise().await;
        } else {
            // Whoever commits next brings it along.
            world.say(two, log, "fed").await;
            raise().await;
        }
        assert_eq!(sync(&mut device).await, 1);
        assert_eq!(sync(&mut device).await, 0);
        if last == 2 {
            world.say(two, log, "3").await;
            raise().await;
            assert_eq!(sync(&mut device).await, 1);
        }
    }
}

/// Members whom the release before adds are told what moves, in a large group as in a small one.
async fn unfed_members_are_told(store: Arc<dyn Store>, raw: &DatabaseConnection) {
    let mut world = World::new(store.clone());
    let [one, two, three] = world.users().await;
    world.befriend(one, two).await;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let execute = async |sql: String| raw.execute_unprepared(&sql).await.unwrap();
    // So often that the other program is taken to be gone: until then all is told.
    let raise = async || {
        for _ in 0..=10 {
            store.raise_floor(1, i64::MAX).await.unwrap();
        }
    };
    for large in [false, true] {
        let log = world.group(one, &[two]).await;
        let id = hex(log.as_bytes());
        if large {
            execute(format!("UPDATE log SET marked = {} WHERE id = x'{id}'", i64::MAX)).await;
            execute(format!("UPDATE member SET large = 1 WHERE log_id = x'{id}'")).await;
        }
        let mut device = Device::default();
        raise().await;
        // Its members' rows are moved with this, and with nothing before the next floor.
        world.say(one, log, "1").await;
        let user = hex(three.as_bytes());
        execute(format!(
            "INSERT INTO member (log_id, user_id, joined_ms, from_seq, delivered_seq, read_seq) VALUES (x'{id}', x'{user}', 1, 3, 2, 2)"
        ))
        .await;
        execute(format!(
            "INSERT INTO event (log_id, seq, body, time_ms, sender_id, payload) VALUES (x'{id}', 3, 10, 1, x'{id}', x'5200')"
        ))
        .await;
        execute(format!("UPDATE log SET last_seq = 3, member_count = 3 WHERE id = x'{id}'")).await;
        device.walk(&*store, three, 10).await;
        device.agrees(&*store, three).await;
        for n in 0..3 {
            world.say(one, log, "next").await;
            if n > 0 {
                raise().await;
            }
            device.walk(&*store, three, 10).await;
            device.agrees(&*store, three).await;
        }
        raise().await;
        device.walk(&*store, three, 10).await;
        assert_eq!(device.brought, 0);
    }
}

/// What the release before changes and is no event is told as long as it may write.
async fn unfed_marks_are_told(store: Arc<dyn Store>, raw: &DatabaseConnection) {
    let mut world = World::new(store.clone());
    let [one, two] = world.users().await;
    let log = world.befriend(one, two).await;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (id, user) = (hex(log.as_bytes()), hex(two.as_bytes()));
    let mut device = Device::default();
    for seq in [2, 3] {
        for sql in [
            format!(
                "INSERT INTO event (log_id, seq, body, time_ms, sender_id, payload) VALUES (x'{id}', {seq}, 10, 1, x'{id}', x'5200')"
            ),
            format!("UPDATE log SET last_seq = {seq} WHERE id = x'{id}'"),
        ] {
            raw.execute_unprepared(&sql).await.unwrap();
        }
        for n in 0..3 {
            store.raise_floor(1, i64::MAX).await.unwrap();
            device.walk(&*store, one, 10).await;
            let marks = format!("delivered_seq = {seq}, read_seq = {}", seq - 2 + n.min(2));
            raw.execute_unprepared(&format!(
                "UPDATE member SET {marks} WHERE log_id = x'{id}' AND user_id = x'{user}'"
            ))
            .await
            .unwrap();
            device.walk(&*store, one, 10).await;
            device.agrees(&*store, one).await;
        }
    }
}

/// A device that a core of the release before gave to somebody who was disabled is admitted nowhere, and goes
/// when they are disabled once more.
async fn the_disabled_are_not_admitted(store: Arc<dyn Store>, raw: &DatabaseConnection) {
    let mut world = World::new(store.clone());
    let [one, two] = world.users().await;
    let by = By { actor: None, address: String::new(), now: 1 };
    let admitted = async |device: &NewDevice| {
        let by_access = store.device_by_access(&device.tokens.access).await.unwrap().is_some();
        let by_id = store.device(device.id).await.unwrap().is_some();
        let arrives = store.arrival(DeviceKey::Access(device.tokens.access)).await.unwrap().is_some();
        assert!(by_access == by_id && by_id == arrives);
        arrives
    };
    let mut devices = Vec::new();
    for user in [one, one, two] {
        let device = new_device(user);
        let hash = store.users(&[user]).await.unwrap()[0].password_hash.clone();
        assert!(store.create_device(device.clone(), &hash).await.unwrap());
        devices.push(device);
    }
    // As if they had come after it.
    let hex: String = one.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    raw.execute_unprepared(&format!("UPDATE account SET disabled_ms = 1 WHERE id = x'{hex}'")).await.unwrap();
    assert!(!admitted(&devices[0]).await && !admitted(&devices[1]).await && admitted(&devices[2]).await);
    let rotated = store.rotate_tokens(&devices[0].tokens.refresh, tokens(), 1, 100).await.unwrap();
    assert_eq!(rotated, Rotation::Unknown);
    let gone = store.set_disabled(one, true, "", &by).await.unwrap().unwrap();
    assert!(gone.contains(&devices[1].id) && !gone.contains(&devices[0].id), "{gone:?}");
    assert!(store.devices(one).await.unwrap().is_empty());
    store.set_disabled(one, false, "", &by).await.unwrap();
    assert!(matches!(
        store.rotate_tokens(&devices[2].tokens.refresh, tokens(), 1, 100).await.unwrap(),
        Rotation::Rotated(_)
    ));
}

/// Looks until it is there.
async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it takes too long");
        tokio::task::yield_now().await;
    }
}

async fn everything_is_kept(store: &dyn Store) {
    let [ada, bob] = [1, 2].map(|n| UserId::from(id(n)));
    let (device, log) = (DeviceId::from(id(0x11)), LogId::from(id(0x21)));
    assert_eq!(store.installation().await.unwrap(), "00000000-0000-4000-8000-0000000000aa".parse::<Uuid>().unwrap());
    let user = store.user_by_name("bob").await.unwrap().unwrap();
    assert_eq!((user.id, user.display_name.as_str(), user.created_ms), (bob, "鲍勃", 1_001));

    let arrival = store.arrival(DeviceKey::Access([0xa1; 32])).await.unwrap().unwrap();
    assert_eq!((arrival.device.id, arrival.device.user, arrival.own_seq), (device, ada, 0));
    assert_eq!(
        arrival.memberships.iter().map(|one| (one.log, one.last_seq, one.peer)).collect::<Vec<_>>(),
        [(log, 4, Some(bob))]
    );
    assert_eq!(store.last_sign_out().await.unwrap(), 7);

    let contacts = store.contacts(ada, None, 10).await.unwrap();
    assert_eq!(contacts.len(), 1);
    assert_eq!(
        (contacts[0].peer.id, contacts[0].state, contacts[0].conversation),
        (bob, ContactState::Accepted, Some(log))
    );
    // What is unread is the same before and after it was counted, which takes its time beside the rest.
    // Then whoever had sent has read what stood before.
    let one = until(async || {
        let one = list(store, ada).await.remove(0);
        assert_eq!((one.log, one.last_seq, one.delivered, one.read, one.unread), (log, 4, 3, 2, 2));
        assert_eq!((one.others_delivered, one.writable), (4, true));
        assert!([1, 4].contains(&one.others_read));
        (one.others_read == 4).then_some(one)
    })
    .await;
    assert_eq!(one.last_event.as_ref().unwrap().payload.as_ref(), [0x52, 0]);
    let events = store.events(log, Range::After(0), 10, usize::MAX).await.unwrap();
    assert_eq!(events.iter().map(|event| event.sender).collect::<Vec<_>>(), [bob, ada, bob, bob]);

    // What was sent is known, and the log goes on.
    let origin = |name, hash| {
        let client_msg_id = ClientMsgId::from(id(name));
        Origin { sender: ada, device, client_msg_id, request_hash: [hash; 32], now: 2_000 }
    };
    let append = |origin| Command::Append { log, origin, payload: vec![0x52, 0].into() };
    let mark = Command::Mark { log, user: bob, delivered: 5, read: 3 };
    let batch = vec![append(origin(0x31, 0xd1)), append(origin(0x39, 0xd1)), mark];
    let outcomes: Vec<_> =
        store.commit(batch).await.unwrap().into_iter().map(|outcome| outcome.unwrap().done).collect();
    let appended = |seq, time_ms, duplicate| Done::Appended { seq, time_ms, duplicate };
    assert_eq!(outcomes, [appended(2, 1_200, true), appended(5, 2_000, false), Done::Marked { delivered: 5, read: 4 }]);

    // A token that was exchanged, and whose answer was lost, then one that is a copy.
    let tokens = Tokens { access: [1; 32], access_expires_ms: 1, refresh: [2; 32], refresh_expires_ms: 1 };
    let again = store.rotate_tokens(&[0xc1; 32], tokens, 1_450, 100).await.unwrap();
    assert!(matches!(&again, Rotation::Rotated(rotated) if rotated.id == device), "{again:?}");
    let copy = store.rotate_tokens(&[0xc1; 32], tokens, 1_600, 100).await.unwrap();
    assert_eq!(copy, Rotation::Reused { user: ada, device });
    assert_eq!(store.last_sign_out().await.unwrap(), 8);
}

fn id(n: u8) -> Uuid {
    let mut bytes = *b"\x01\x90\0\0\0\0\x70\0\x80\0\0\0\0\0\0\0";
    bytes[15] = n;
    Uuid::from_bytes(bytes)
}

/// Columns, indexes and references of all tables. On SQLite the version's table has a key in new stores alone.
async fn layout(raw: &DatabaseConnection, questions: [&str; 3]) -> Vec<String> {
    let mut lines = Vec::new();
    for question in questions {
        let rows = raw.query_all_raw(Statement::from_string(raw.get_database_backend(), question)).await.unwrap();
        assert!(rows.len() > 4, "{question}");
        lines.extend(rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()));
    }
    lines.sort();
    lines
}

const SQLITE: [&str; 3] = [
    r#"SELECT t.name || '.' || c.name || ' ' || c."notnull" || ' ' || c.pk FROM sqlite_schema t JOIN pragma_table_info(t.name) c
       WHERE t.type = 'table' AND t.name <> 'schema_version'"#,
    r#"SELECT t.name || ' ' || i."unique" || ' ' || (SELECT group_concat(name) FROM pragma_index_info(i.name))
       FROM sqlite_schema t JOIN pragma_index_list(t.name) i WHERE t.type = 'table' AND t.name <> 'schema_version'"#,
    r#"SELECT t.name || ' ' || f."from" || ' ' || f."table" || ' ' || f.on_delete
       FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'"#,
];

const MYSQL: [&str; 3] = [
    "SELECT CONCAT(table_name, '.', column_name, ' ', column_type, ' ', is_nullable, ' ', IFNULL(column_default, '-'), ' ',
         IFNULL(collation_name, '-')) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name <> 'schema_version'",
    "SELECT CONCAT(table_name, ' ', non_unique, ' ', GROUP_CONCAT(IFNULL(column_name, 'an expression') ORDER BY seq_in_index)) FROM information_schema.statistics
     WHERE table_schema = DATABASE() GROUP BY table_name, index_name, non_unique",
    "SELECT CONCAT(k.table_name, ' ', k.column_name, ' ', k.referenced_table_name, ' ', r.delete_rule)
     FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r
         ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name
     WHERE k.table_schema = DATABASE() AND k.referenced_table_name IS NOT NULL",
];
