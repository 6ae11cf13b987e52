//! `gogochat move`: an installation on SQLite goes on in MySQL, also when the move was killed in the middle.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command as Program, Output, Stdio},
    time::{Duration, Instant},
};

use gogochat_proto::ids::LogId;
use gogochat_storage::store::{Logs, Range, SqlStore, Store, StoreError, mysql, sqlite};
use gogochat_testkit::services::Database;
use uuid::Uuid;

use self::installation::{Installation, LOGS, all};

mod installation;

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
    let said = words(&again);
    assert!(again.status.success(), "{said}");
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
    let said = words(&third);
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
    let said = words(&run);
    assert!(run.status.success() && said.contains("compared 0 rows of event: equal"), "{said}");
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

/// What it says: how far it has come is logged, the end is printed.
fn words(output: &Output) -> String {
    [&output.stderr, &output.stdout].map(|said| String::from_utf8_lossy(said)).concat()
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
