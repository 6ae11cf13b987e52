//! Several nodes on one database, and what others' locks and lost connections do.

use std::{collections::HashSet, sync::Arc, time::Duration};

use gogochat_proto::ids::{LogId, UserId};
use gogochat_storage::store::{
    Command, Connections, Conversations, Done, Feed, Logs, Mark, Marks, Range, StoreError, mysql,
};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, Statement, TransactionTrait, Value};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::database::{self, Database, Opened, open};
use crate::contract::store::{NOW, World, appended, model::Opened as _, unnamed};

/// Two cores commit to the same conversations at once, some messages both, as after partitions moved. What
/// others stood in the way of for too long is repeated, as cores do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_commit_to_the_same_conversations() {
    const BATCHES: usize = 40;
    let database = Database::create().await;
    let (one_node, other_node) = tokio::join!(database.open(), database.open());
    let mut world = World::new(one_node.clone());
    let [one, other, third] = world.users().await;
    let logs = [world.befriend(one, other).await, world.befriend(one, third).await];

    let deadline = Instant::now() + Duration::from_secs(120);
    let mut tasks = Vec::new();
    for n in 0..BATCHES {
        let mark = Command::Mark { log: logs[0], user: other, delivered: 1, read: 1 };
        let batch = vec![world.append(one, logs[0], "x"), mark, world.append(one, logs[1], "y")];
        let turned: Vec<_> = batch.iter().cloned().rev().collect();
        for (node, batch, place) in [(&one_node, batch, 0), (&other_node, turned, 2)] {
            let node = Arc::clone(node);
            tasks.push(tokio::spawn(async move {
                let outcomes = loop {
                    match node.commit(batch.clone()).await {
                        Err(StoreError::Contended(_) | StoreError::Unavailable(_)) if Instant::now() < deadline => {}
                        outcomes => break outcomes.unwrap(),
                    }
                };
                (n, appended(outcomes[place].as_ref().unwrap()))
            }));
        }
    }
    let mut seqs = vec![HashSet::new(); BATCHES];
    for task in tasks {
        let (n, seq) = task.await.unwrap();
        seqs[n].insert(seq);
    }
    assert!(seqs.iter().all(|seqs| seqs.len() == 1), "one message at two places: {seqs:?}");
    for log in logs {
        let events = other_node.events(log, Range::After(0), 10_000, usize::MAX).await.unwrap();
        let found: Vec<_> = events.iter().map(|event| event.seq).collect();
        assert_eq!(found, (1..=1 + BATCHES as i64).collect::<Vec<_>>());
        let names: HashSet<_> = events.iter().filter_map(|event| event.client_msg_id).collect();
        assert_eq!(names.len(), BATCHES);
    }
}

/// Marks move while a commit holds their log's row. What needs that row itself, behind a floor, comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn marks_wait_for_no_commit() {
    let database = Database::create().await;
    let store = database.open().await;
    let mut world = World::new(store.clone());
    let [one, two, three] = world.users().await;
    let logs = [world.befriend(one, two).await, world.befriend(one, three).await];
    for log in logs {
        world.say(one, log, "x").await;
    }
    let id: String = logs[0].as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let raw = database.raw().await;
    let commit = raw.begin().await.unwrap();
    let lock = format!("SELECT last_seq FROM log WHERE id = x'{id}' FOR UPDATE");
    commit.execute_unprepared(&lock).await.unwrap();
    let mark = |log, user, read| Mark { log, user, delivered: 2, read };
    let moved = store.mark(&[mark(logs[0], two, 1)]).await.unwrap();
    assert!(moved[0].as_ref().unwrap().as_ref().unwrap().mark.is_some());
    store.raise_floor(1, i64::MAX).await.unwrap();
    let marks = [mark(logs[0], two, 2), mark(logs[1], three, 2)];
    let moved = store.mark(&marks).await.unwrap();
    assert_eq!(moved.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
    commit.rollback().await.unwrap();
    assert!(store.mark(&marks).await.unwrap().iter().all(Option::is_some));
    // A member's row that somebody holds keeps no other from moving.
    let commit = raw.begin().await.unwrap();
    let lock = format!("SELECT read_seq FROM member WHERE log_id = x'{id}' AND read_seq = 2 LIMIT 1 FOR UPDATE");
    commit.execute_unprepared(&lock).await.unwrap();
    let moved = store.mark(&[mark(logs[0], one, 2), mark(logs[0], two, 2), mark(logs[1], three, 2)]).await.unwrap();
    assert!(moved[..2].iter().any(Option::is_none) && moved[2].is_some(), "{moved:?}");
    commit.rollback().await.unwrap();
}

/// A commit that takes its time got its position before others that have ended: nothing is read past it,
/// and the floor waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_appears_in_the_feed_before_what_was_read() {
    let database = Database::create().await;
    let store = database.open().await;
    let mut world = World::new(store.clone());
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let before = store.commits(0, 100).await.unwrap().last().unwrap().position;
    let (raw, watcher) = (database.raw().await, database.raw().await);
    // What a commit does, up to its end.
    let late = raw.begin().await.unwrap();
    late.execute_unprepared("SELECT floor FROM history WHERE id = 1 FOR SHARE").await.unwrap();
    late.execute_unprepared("INSERT INTO feed (entries) VALUES ('')").await.unwrap();
    world.say(one, log, "later, and sooner there").await;
    assert!(store.commits(before, 100).await.unwrap().is_empty(), "it was read past a gap");
    let walked = store.walk(one, 0, None, 10).await.unwrap();
    assert!(walked.walk.position <= before && walked.walk.bound <= before);
    let raising = tokio::spawn({
        let store = store.clone();
        async move { store.raise_floor(1, i64::MAX).await }
    });
    let waits = "SELECT COUNT(*) FROM performance_schema.data_lock_waits w JOIN performance_schema.data_locks l
         ON l.engine_lock_id = w.requesting_engine_lock_id WHERE l.object_schema = DATABASE() AND l.object_name = 'history'";
    loop {
        let row = watcher.query_one_raw(Statement::from_string(watcher.get_database_backend(), waits)).await.unwrap();
        if row.unwrap().try_get_by_index::<i64>(0).unwrap() > 0 || raising.is_finished() {
            break;
        }
    }
    assert!(!raising.is_finished(), "the floor was raised past a commit that is under way");
    late.commit().await.unwrap();
    let floor = raising.await.unwrap().unwrap();
    let positions: Vec<_> = store.commits(before, 100).await.unwrap().iter().map(|commit| commit.position).collect();
    assert_eq!(positions, [before + 1, before + 2]);
    assert!(floor >= before + 2);
    // One that was taken back leaves a gap for ever: the floor says so.
    let back = raw.begin().await.unwrap();
    back.execute_unprepared("INSERT INTO feed (entries) VALUES ('')").await.unwrap();
    back.rollback().await.unwrap();
    world.say(one, log, "behind the gap").await;
    assert!(store.commits(floor, 100).await.unwrap().is_empty());
    store.raise_floor(2, i64::MAX).await.unwrap();
    assert_eq!(store.commits(floor, 100).await.unwrap().len(), 1);
}

/// Two who ask each other at two cores at once become contacts with one conversation.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_make_one_conversation_of_two_users() {
    let database = Database::create().await;
    let nodes = tokio::join!(database.open(), database.open());
    let mut world = World::new(nodes.0.clone());
    for _ in 0..10 {
        let [one, other] = world.users().await;
        let ask = |from, to| {
            let (origin, conversation) = (unnamed(from, NOW), LogId::new_v7());
            vec![Command::RequestContact { origin, to, note: String::new(), conversation }]
        };
        let (first, second) = tokio::join!(nodes.0.commit(ask(one, other)), nodes.1.commit(ask(other, one)));
        let done = [first, second].map(|outcomes| outcomes.unwrap().remove(0).unwrap().done);
        assert!(done.contains(&Done::Requested), "{done:?}");
        let accepted = done.iter().find_map(|done| match done {
            Done::Accepted { conversation } => Some(*conversation),
            _ => None,
        });
        let conversation = accepted.expect("nobody's request was an answer");
        for user in [one, other] {
            let memberships = world.store.memberships(user).await.unwrap();
            assert_eq!(memberships.iter().map(|one| one.log).collect::<Vec<_>>(), [conversation]);
        }
        // Removed at one core while it is accepted again at the other: one conversation still, open or not.
        let remove = vec![Command::RemoveContact { origin: unnamed(one, NOW), peer: other }];
        let (removed, _) = tokio::join!(nodes.0.commit(remove), nodes.1.commit(ask(other, one)));
        removed.unwrap();
        assert_eq!(world.store.memberships(one).await.unwrap().len(), 1);
    }
}

/// A transaction that a deadlock took back is run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_tried_again() {
    let stage = Stage::set().await;
    let (low, high) = (stage.logs[0].min(stage.logs[1]), stage.logs[0].max(stage.logs[1]));
    let mine = stage.transaction().await;
    // The server takes back who has written less.
    for n in 0..50 {
        let sql = format!("INSERT INTO spare (n) VALUES ({n})");
        mine.execute_unprepared(&sql).await.unwrap();
    }
    lock(&mine, high).await;
    let commit = stage.commit(vec![stage.append(low), stage.append(high)]);
    stage.until_one_waits().await;
    lock(&mine, low).await;
    mine.commit().await.unwrap();
    for outcome in commit.await.unwrap().unwrap() {
        assert_eq!(appended(&outcome.unwrap()), 2);
    }
    for log in stage.logs {
        assert_eq!(stage.world.log(log).await.len(), 2);
    }
}

/// Who holds a lock for long makes others wait, for a time. One who commits alone is told that it was that,
/// and not that the store is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_kept_is_contended_of_one_as_of_many() {
    let stage = Stage::set().await;
    let mine = stage.transaction().await;
    lock(&mine, stage.logs[0]).await;
    let begin = Instant::now();
    let refused = stage.commit(vec![stage.append(stage.logs[0])]).await.unwrap();
    assert!(matches!(refused, Err(StoreError::Contended(_))), "{refused:?}");
    assert!(begin.elapsed() < Duration::from_secs(15));
    // Nobody else was held up, and reading goes on.
    assert_eq!(stage.world.say(stage.one, stage.logs[1], "x").await, 2);
    assert_eq!(stage.world.log(stage.logs[0]).await.len(), 1);
    // A wait that ends in time is none.
    let commit = stage.commit(vec![stage.append(stage.logs[0])]);
    stage.until_one_waits().await;
    mine.rollback().await.unwrap();
    assert_eq!(appended(&commit.await.unwrap().unwrap().remove(0).unwrap()), 2);
}

/// A row that somebody holds is in the way of those commands alone that need it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_told_which_of_its_commands_are_held_up() {
    let stage = Stage::set().await;
    let mine = stage.transaction().await;
    lock(&mine, stage.logs[0]).await;
    let batch = vec![stage.append(stage.logs[0]), stage.append(stage.logs[1])];
    let begin = Instant::now();
    let refused = stage.commit(batch.clone()).await.unwrap();
    assert!(matches!(refused, Err(StoreError::Contended(_))), "{refused:?}");
    assert!(begin.elapsed() < Duration::from_secs(5), "it waits once");
    let store = stage.opened.store();
    assert_eq!(store.contended(&batch).await.unwrap(), [true, false]);
    assert_eq!(appended(&stage.commit(batch[1..].to_vec()).await.unwrap().unwrap().remove(0).unwrap()), 2);
    mine.rollback().await.unwrap();
    assert_eq!(store.contended(&batch).await.unwrap(), [false, false]);
    assert_eq!(appended(&stage.commit(batch[..1].to_vec()).await.unwrap().unwrap().remove(0).unwrap()), 2);
}

/// The server stops a statement that takes too long; who writes, and who reads in other ways, has
/// connections of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_too_long_is_stopped_and_keeps_nobody_else() {
    let stage = Stage::set().await;
    // Far below what the store itself waits for an answer.
    let limit = Duration::from_secs(1);
    let connections = Connections { heavy: 1, read_limit: limit, ..Connections::default() };
    let store = Arc::new(mysql::open_with(&stage.opened.database.url(), connections).await.unwrap());
    let create = Command::CreateGroup {
        log: LogId::new_v7(),
        origin: stage.world.origin(stage.one),
        title: "Tea".into(),
        members: vec![UserId::new_v7()],
    };
    assert!(store.foresee(&create).await.unwrap().is_some());

    let mine = stage.opened.database.raw().await;
    mine.execute_unprepared("LOCK TABLES contact WRITE").await.unwrap();
    let look = {
        let (store, create) = (Arc::clone(&store), create.clone());
        tokio::spawn(async move { store.foresee(&create).await })
    };
    assert_eq!(store.last_seq(stage.logs[0]).await.unwrap(), Some(1));
    assert!(store.commit(vec![stage.append(stage.logs[0])]).await.unwrap()[0].is_ok());
    let stopped = look.await.unwrap().unwrap_err();
    assert!(matches!(&stopped, StoreError::Unavailable(by) if by.contains("execution time")), "{stopped:?}");
    let waiting = "SELECT processlist_id FROM performance_schema.threads WHERE processlist_db = DATABASE() \
         AND processlist_state LIKE 'Waiting for table%'";
    assert_eq!(stage.numbers(waiting).await, [0_i64; 0], "the statement goes on at the server");
    mine.execute_unprepared("UNLOCK TABLES").await.unwrap();
    assert!(store.foresee(&create).await.unwrap().is_some());
}

/// A core that is killed between its writes and the commit leaves nothing; what it was about to commit can be sent again, to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_killed_in_mid_commit_leaves_nothing() {
    let stage = Stage::set().await;
    let log = stage.logs[0];
    let append = stage.append(log);
    let mine = stage.transaction().await;
    // In the place of the next event, so that the commit waits with its last statement, all others behind it.
    let values: Vec<Value> = vec![log.as_bytes().to_vec().into(), stage.one.as_bytes().to_vec().into()];
    let place = "INSERT INTO event (log_id, seq, body, time_ms, sender_id, payload) VALUES (?, 2, 0, 0, ?, '')";
    mine.execute_raw(Statement::from_sql_and_values(mine.get_database_backend(), place, values)).await.unwrap();
    let commit = stage.commit(vec![append.clone()]);
    let connection = stage.until_one_waits().await;
    stage.raw.execute_unprepared(&format!("KILL {connection}")).await.unwrap();
    let lost = commit.await.unwrap();
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    mine.rollback().await.unwrap();

    let other_node = stage.opened.database.open().await;
    assert_eq!(other_node.last_seq(log).await.unwrap(), Some(1));
    let again = other_node.commit(vec![append.clone()]).await.unwrap().remove(0).unwrap();
    assert_eq!(again.done, Done::Appended { seq: 2, time_ms: NOW, duplicate: false });
    let twice = stage.commit(vec![append]).await.unwrap().unwrap().remove(0).unwrap();
    assert_eq!(twice.done, Done::Appended { seq: 2, time_ms: NOW, duplicate: true });
    assert_eq!(stage.world.log(log).await.len(), 2);
}

/// When all connections are gone, as after a restart of the server, the store goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_are_made_anew() {
    let stage = Stage::set().await;
    let store = stage.opened.store();
    let sql = "SELECT processlist_id FROM performance_schema.threads \
               WHERE processlist_db = DATABASE() AND processlist_id <> CONNECTION_ID()";
    for id in stage.numbers(sql).await {
        // One of them may have gone by itself.
        let _ = stage.raw.execute_unprepared(&format!("KILL {id}")).await;
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut seq, mut seen) = (0, 0);
    while seq < 21 || seen < seq {
        assert!(Instant::now() < deadline, "the store does not come back");
        match store.commit(vec![stage.append(stage.logs[0])]).await {
            Ok(mut outcomes) => seq = appended(&outcomes.remove(0).unwrap()),
            Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
        match store.events(stage.logs[0], Range::After(0), 1_000, usize::MAX).await {
            Ok(events) => seen = events.len() as i64,
            Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// A machine that is gone says nothing, not even that it is gone: its connections must not be waited for once another one answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_machine_holds_no_place_of_the_pool() {
    let database = Database::create().await;
    let door = Door::open().await;
    let url = database.url().replace(&database::address(), &door.address);
    // One place to commit in: the connection that falls silent has it.
    let store = mysql::open_with(&url, Connections { commits: 1, ..Connections::default() }).await.unwrap();
    let mut world = World::new(Arc::new(store));
    let [one, other, third] = world.users().await;
    let (log, elsewhere) = (world.befriend(one, other).await, world.befriend(one, third).await);
    world.say(one, log, "x").await;

    door.silent.send_modify(|times| *times += 1);
    let lost = world.store.commit(vec![world.append(one, log, "lost")]).await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    let (commands, deadline) = (vec![world.append(one, elsewhere, "y")], Instant::now() + Duration::from_secs(60));
    while let Err(error) = world.store.commit(commands.clone()).await {
        assert!(Instant::now() < deadline, "{error}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// More who commit than there are connections stand in line; nobody is refused for want of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_all_connections_taken_waits_for_one() {
    let stage = Stage::set().await;
    let connections = Connections { commits: 1, ..Connections::default() };
    let store = Arc::new(mysql::open_with(&stage.opened.database.url(), connections).await.unwrap());
    let mine = stage.transaction().await;
    lock(&mine, stage.logs[0]).await;
    let commit = |log| {
        let (store, append) = (Arc::clone(&store), stage.append(log));
        tokio::spawn(async move { store.commit(vec![append]).await })
    };
    let first = commit(stage.logs[0]);
    stage.until_one_waits().await;
    let others: Vec<_> = (0..5).map(|_| commit(stage.logs[1])).collect();
    // It holds the one connection until the server lets it wait no longer.
    assert!(matches!(first.await.unwrap(), Err(StoreError::Contended(_))));
    for other in others {
        appended(&other.await.unwrap().unwrap().remove(0).unwrap());
    }
}

/// A way to the server that can fall silent: connections that are open then stay so and carry nothing, new ones work.
struct Door {
    address: String,
    silent: watch::Sender<u32>,
    listening: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Door {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let silent = watch::Sender::new(0);
        let told = silent.clone();
        let listening = tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let mut silent = told.subscribe();
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(database::address()).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut here, &mut there) => {}
                        // Until the door itself is gone.
                        _ = silent.changed() => while silent.changed().await.is_ok() {},
                    }
                });
            }
        });
        Self { address, silent, listening }
    }
}

/// A store with two conversations, and a connection past it.
struct Stage {
    world: World,
    one: UserId,
    logs: [LogId; 2],
    raw: DatabaseConnection,
    opened: Opened,
}

impl Stage {
    async fn set() -> Self {
        let opened = open().await;
        let mut world = World::new(opened.store());
        let [one, other, third] = world.users().await;
        let logs = [world.befriend(one, other).await, world.befriend(one, third).await];
        let raw = opened.database.raw().await;
        raw.execute_unprepared("CREATE TABLE spare (n BIGINT NOT NULL PRIMARY KEY)").await.unwrap();
        Self { world, one, logs, raw, opened }
    }

    fn append(&self, log: LogId) -> Command {
        self.world.append(self.one, log, "x")
    }

    /// Commits beside what the test does meanwhile.
    fn commit(&self, batch: Vec<Command>) -> JoinHandle<Result<Vec<gogochat_storage::store::Outcome>, StoreError>> {
        let store = self.opened.store();
        tokio::spawn(async move { store.commit(batch).await })
    }

    /// A transaction on a connection of its own.
    async fn transaction(&self) -> DatabaseTransaction {
        self.opened.database.raw().await.begin().await.unwrap()
    }

    /// Waits until a transaction in this database waits for a lock: its connection.
    async fn until_one_waits(&self) -> i64 {
        let sql = "SELECT t.processlist_id FROM performance_schema.data_lock_waits w \
                   JOIN performance_schema.threads t ON t.thread_id = w.requesting_thread_id \
                   WHERE t.processlist_db = DATABASE()";
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(connection) = self.numbers(sql).await.first() {
                return *connection;
            }
            assert!(Instant::now() < deadline, "nobody waits for a lock");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn numbers(&self, sql: &str) -> Vec<i64> {
        let statement = Statement::from_string(self.raw.get_database_backend(), sql);
        let rows = self.raw.query_all_raw(statement).await.unwrap();
        // The server gives ids without a sign.
        rows.iter().map(|row| row.try_get_by_index::<u64>(0).unwrap() as i64).collect()
    }
}

async fn lock(transaction: &DatabaseTransaction, log: LogId) {
    let values: Vec<Value> = vec![log.as_bytes().to_vec().into()];
    let sql = "SELECT id FROM log WHERE id = ? FOR UPDATE";
    transaction
        .query_one_raw(Statement::from_sql_and_values(transaction.get_database_backend(), sql, values))
        .await
        .unwrap()
        .unwrap();
}
