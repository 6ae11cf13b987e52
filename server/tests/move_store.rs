//! `gogochat move`: an installation on SQLite goes on in MySQL, also when the move was killed in the middle.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command as Program, Output, Stdio},
    time::{Duration, Instant},
};

use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use gogochat_storage::store::{
    Command, Contacts, Conversations, Devices, Done, Event, Logs, NewDevice, Origin, Range, Refusal, Rotation,
    SqlStore, Store, StoreError, Tokens, User, Users, mysql, sqlite,
};
use gogochat_testkit::services::Database;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_was_killed_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gogochat.db");
    let installation = Installation::fill(&path).await;
    let database = Database::create(&format!("gogochat_move_{}", Uuid::new_v4().simple())).unwrap();

    // Killed while the logs are copied: some of the first is there, nothing of the last.
    let mut moving = start(&path, &database.url());
    let target = half_moved(&mut moving, &database.url(), &installation.logs).await;
    moving.kill().unwrap();
    moving.wait().unwrap();
    assert_eq!(all(&target, installation.logs[LOGS - 1]).await, [], "it was killed too late");
    target.close().await;

    // Nobody takes the half for the whole.
    let refused = mysql::open(&database.url()).await.unwrap_err();
    assert!(refused.to_string().contains("run the same `gogochat move` again"), "{refused}");

    let again = finish(start(&path, &database.url()));
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.success(), "{said} {}", String::from_utf8_lossy(&again.stderr));
    assert!(said.contains("going on behind it"), "{said}");
    assert!(
        said.contains(&format!("compared {} rows of event in {} logs: equal", installation.events, LOGS + 2)),
        "{said}"
    );

    let source = sqlite::open(&path).await.unwrap();
    let target = mysql::open(&database.url()).await.unwrap();
    installation.compare(&source, &target).await;
    source.close().await;
    target.close().await;

    // A third time there is nothing to do, until somebody has written to either: then it would be on top of what is there.
    let third = finish(start(&path, &database.url()));
    let said = String::from_utf8(third.stdout).unwrap();
    assert!(
        third.status.success() && said.contains("moved already, and equal") && !said.contains("copied 1"),
        "{said}"
    );
    let target = mysql::open(&database.url()).await.unwrap();
    installation.go_on(&target).await;
    target.close().await;
    let refused = failure(&path, &database.url());
    assert!(refused.contains("the target has data of its own"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_moved_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gogochat.db");
    let source = sqlite::open(&path).await.unwrap();
    let database = Database::create(&format!("gogochat_move_{}", Uuid::new_v4().simple())).unwrap();

    let in_use = failure(&path, &database.url());
    assert!(in_use.contains("--from") && in_use.contains("in use, stop the server first"), "{in_use}");
    source.close().await;
    let missing = failure(&folder.path().join("other.db"), &database.url());
    assert!(missing.contains("--from") && missing.contains("there is no file"), "{missing}");
    let unknown = failure(&path, "mysql://root:secret@127.0.0.1:9/nowhere");
    assert!(
        unknown.contains("--to") && unknown.contains("cannot be reached") && !unknown.contains("secret"),
        "{unknown}"
    );

    let exchanged = Program::new(env!("CARGO_BIN_EXE_gogochat"))
        .args(["move", "--from", "mysql://root:secret@127.0.0.1:9/chat", "--to", "sqlite:/x.db"])
        .output()
        .unwrap();
    let said = String::from_utf8(exchanged.stderr).unwrap();
    assert!(exchanged.status.code() == Some(1) && said.contains("--from") && said.contains("--to"), "{said}");
    assert!(!said.contains("secret"), "{said}");

    // A target that another file was to be moved to.
    let run = finish(start(&path, &database.url()));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(String::from_utf8_lossy(&run.stdout).contains("compared 0 rows of event: equal"));
}

/// What was there before.
struct Installation {
    users: [UserId; 2],
    device: DeviceId,
    /// Conversations of the two, by id.
    logs: Vec<LogId>,
    last: Command,
    refused: Command,
    events: usize,
}

impl Installation {
    async fn fill(path: &Path) -> Self {
        let store = sqlite::open(path).await.unwrap();
        let users = [UserId::new_v7(), UserId::new_v7()];
        let devices = [DeviceId::new_v7(), DeviceId::new_v7()];
        for (n, id) in users.into_iter().enumerate() {
            let name = format!("user{n}");
            // Names in any script, with what only a byte-wise comparison keeps apart.
            let display_name = format!("Ünïcode 🦆 {n} ");
            let user = User { id, name, display_name, password_hash: "hash".into(), created_ms: 1 };
            let device =
                NewDevice { id: devices[n], user: id, name: "Phone".into(), tokens: tokens(n as u8), created_ms: 2 };
            assert!(store.create_user(user, device).await.unwrap());
        }
        // A token that was exchanged, so that its copy is known.
        let rotated = store.rotate_tokens(&[0; 32], tokens(10), 5, 1).await.unwrap();
        assert!(matches!(rotated, Rotation::Rotated(_)), "{rotated:?}");
        let [from, to] = users;
        let conversation = LogId::new_v7();
        // A device that was signed out, so that cores know where they are.
        let gone =
            NewDevice { id: DeviceId::new_v7(), user: to, name: "Old".into(), tokens: tokens(20), created_ms: 3 };
        assert!(store.create_device(gone.clone(), "hash").await.unwrap());
        assert!(store.revoke_device(to, gone.id, 4).await.unwrap());
        let origin_of = |n: usize, now| {
            let client_msg_id = ClientMsgId::new_v7();
            Origin { sender: users[n], device: devices[n], client_msg_id, request_hash: [9; 32], now }
        };
        let origin = |now| origin_of(0, now);
        store
            .commit(vec![
                Command::RequestContact { origin: origin(3), to, note: "hi".into(), conversation },
                Command::AcceptContact { origin: origin_of(1, 4), from, conversation },
            ])
            .await
            .unwrap();
        let mut logs = vec![conversation];
        for n in 1..LOGS {
            let log = LogId::new_v7();
            logs.push(log);
            let group = Command::CreateGroup { log, origin: origin(5), title: format!("Group {n}"), members: vec![to] };
            store.commit(vec![group]).await.unwrap().remove(0).unwrap();
        }
        logs.sort();
        let mut last = None;
        for n in 0..messages() / BATCH {
            let batch: Vec<_> = (0..BATCH)
                .map(|m| {
                    let payload = format!("message {n} {m}").into_bytes().into();
                    Command::Append { log: logs[m % LOGS], origin: origin(10 + n as i64), payload }
                })
                .collect();
            last = batch.last().cloned();
            assert!(store.commit(batch).await.unwrap().iter().all(Result::is_ok));
        }
        let refused = Command::RequestContact { origin: origin(6), to, note: String::new(), conversation };
        assert_eq!(store.commit(vec![refused.clone()]).await.unwrap(), [Err(Refusal::AlreadyContact)]);
        let mark = Command::Mark { log: logs[3], user: to, delivered: 20, read: 10 };
        store.commit(vec![mark]).await.unwrap().remove(0).unwrap();
        let mut events = 0;
        for log in logs.iter().copied().chain(users.map(LogId::from)) {
            events += all(&store, log).await.len();
        }
        store.close().await;
        Self { users, device: devices[0], logs, last: last.unwrap(), refused, events }
    }

    /// Every log, and what each user sees, is the same in both.
    async fn compare(&self, source: &SqlStore, target: &SqlStore) {
        for log in self.logs.iter().copied().chain(self.users.map(LogId::from)) {
            assert_eq!(all(source, log).await, all(target, log).await, "{log}");
        }
        for user in self.users {
            let [seen, kept] = [target, source].map(|store| async move {
                let conversations = store.conversations(user, None, None, 1_000).await.unwrap();
                let contacts = store.contacts(user, None, 10).await.unwrap();
                let devices = store.devices(user).await.unwrap();
                (conversations, contacts, devices, store.users(&[user]).await.unwrap())
            });
            assert_eq!(seen.await, kept.await);
        }
    }

    /// Tokens, cursors and the names of what was sent hold.
    async fn go_on(&self, target: &SqlStore) {
        let device = target.device_by_access(&tokens(10).access).await.unwrap().unwrap();
        assert_eq!(device.id, self.device);
        let repeated = target.commit(vec![self.last.clone()]).await.unwrap().remove(0).unwrap();
        assert!(matches!(repeated.done, Done::Appended { duplicate: true, .. }), "{repeated:?}");
        let Command::Append { log, origin, payload } = self.last.clone() else { panic!("no append") };
        let cursor = target.last_seq(log).await.unwrap().unwrap();
        let origin = Origin { client_msg_id: ClientMsgId::new_v7(), ..origin };
        let next = Command::Append { log, origin, payload };
        target.commit(vec![next]).await.unwrap().remove(0).unwrap();
        let new = target.events(log, Range::After(cursor), 10, usize::MAX).await.unwrap();
        assert_eq!(new.iter().map(|event| event.seq).collect::<Vec<_>>(), [cursor + 1]);
        // What was refused stays so, though it has become possible; sign-outs are counted on.
        let origin = Origin { client_msg_id: ClientMsgId::new_v7(), ..origin };
        let remove = Command::RemoveContact { origin, peer: self.users[1] };
        let outcomes = target.commit(vec![remove, self.refused.clone()]).await.unwrap();
        assert!(outcomes[0].is_ok() && outcomes[1] == Err(Refusal::AlreadyContact), "{outcomes:?}");
        assert_eq!(target.last_sign_out().await.unwrap(), 1);
        // A copy of the spent token is seen as one.
        let reused = target.rotate_tokens(&tokens(0).refresh, tokens(11), 1_000, 1).await.unwrap();
        assert!(matches!(reused, Rotation::Reused { .. }), "{reused:?}");
        assert_eq!(target.last_sign_out().await.unwrap(), 2);
    }
}

fn tokens(n: u8) -> Tokens {
    Tokens { access: [n; 32], access_expires_ms: 1 << 50, refresh: [n; 32], refresh_expires_ms: 1 << 50 }
}

async fn all(store: &SqlStore, log: LogId) -> Vec<Event> {
    store.events(log, Range::After(0), 1_000_000, usize::MAX).await.unwrap()
}

/// Waits until the target has events of the first log.
async fn half_moved(moving: &mut Child, url: &str, logs: &[LogId]) -> SqlStore {
    let deadline = Instant::now() + Duration::from_secs(60);
    let target = loop {
        assert!(Instant::now() < deadline, "the database stays empty");
        if let Ok(target) = mysql::open_for_transfer(url).await {
            break target;
        }
    };
    loop {
        assert!(Instant::now() < deadline, "nothing is copied");
        assert!(moving.try_wait().unwrap().is_none(), "it ended by itself");
        match target.events(logs[0], Range::After(0), 1, usize::MAX).await {
            Ok(events) if events.is_empty() => tokio::task::yield_now().await,
            Ok(_) => return target,
            Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn start(from: &Path, to: &str) -> Child {
    Program::new(PathBuf::from(env!("CARGO_BIN_EXE_gogochat")))
        .args(["move", "--from", &format!("sqlite:{}", from.display()), "--to", to])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(moving: Child) -> Output {
    moving.wait_with_output().unwrap()
}

/// What it says where it does not do it.
fn failure(from: &Path, to: &str) -> String {
    let output = finish(start(from, to));
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// `GOGOCHAT_MOVE_MESSAGES=1000000` for a long run.
fn messages() -> usize {
    std::env::var("GOGOCHAT_MOVE_MESSAGES").map_or(20_000, |messages| messages.parse().unwrap())
}

const LOGS: usize = 25;
const BATCH: usize = 500;
