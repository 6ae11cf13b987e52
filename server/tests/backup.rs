//! `gogochat backup` and `gogochat restore`, as an operator runs them, on both kinds of store.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command as Program, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gogochat_proto::ids::LogId;
use gogochat_storage::store::{Done, Logs, SqlStore, Store, mysql, sqlite};
use gogochat_testkit::services::Database;
use parking_lot::Mutex;
use tempfile::TempDir;
use uuid::Uuid;

use self::installation::{Installation, LOGS, all};

mod installation;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_sqlite_under_load_has_all_that_was_acknowledged_before_it() {
    let at = Place::new();
    let installation = Installation::fill(&at.store("live")).await;
    let live = Arc::new(sqlite::open(&at.store("live")).await.unwrap());
    enlarge(&live, &installation).await;

    let load = Load::start(&live, &installation, 4);
    let before = load.acknowledged_of_all(50).await;
    at.run(&["backup", "copy.db", "--data", "live"]).succeeds();
    let meanwhile = load.stop().await - before.total;
    assert!(meanwhile > 0, "nothing was written while it ran");
    assert_eq!(at.path("copy.db").metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // Into either kind of store: the same, and each log a beginning of the live one.
    let database = at.database("into");
    at.run(&["restore", "copy.db", "--data", "restored"]).succeeds();
    at.run(&["restore", "copy.db", "--config", "into.toml"]).succeeds();
    let one = sqlite::open(&at.store("restored")).await.unwrap();
    let other = mysql::open(&database.url()).await.unwrap();
    installation.compare(&one, &other).await;
    before.are_in(&one, &live).await;
    assert_eq!(one.installation().await.unwrap(), live.installation().await.unwrap());
    assert_eq!(other.installation().await.unwrap(), live.installation().await.unwrap());
    installation.go_on(&one).await;
    one.close().await;
    other.close().await;

    // With nobody writing it is all there is.
    at.run(&["backup", "second.db", "--data", "live"]).succeeds();
    at.run(&["restore", "second.db", "--data", "restored", "--replace"]).succeeds();
    let same = sqlite::open(&at.store("restored")).await.unwrap();
    installation.compare(&live, &same).await;
    same.close().await;
    live.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_mysql_under_load_has_all_that_was_acknowledged_before_it() {
    let at = Place::new();
    let installation = Installation::fill(&at.store("first")).await;
    let database = at.database("live");
    at.run(&["backup", "first.db", "--data", "first"]).succeeds();
    at.run(&["restore", "first.db", "--config", "live.toml"]).succeeds();
    let live = Arc::new(mysql::open(&database.url()).await.unwrap());

    let load = Load::start(&live, &installation, 4);
    let before = load.acknowledged_of_all(20).await;
    at.run(&["backup", "copy.db", "--config", "live.toml"]).succeeds();
    let meanwhile = load.stop().await - before.total;
    assert!(meanwhile > 0, "nothing was written while it ran");
    assert_eq!(at.path("copy.db").metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let second = at.database("into");
    at.run(&["restore", "copy.db", "--data", "restored"]).succeeds();
    at.run(&["restore", "copy.db", "--config", "into.toml"]).succeeds();
    let one = sqlite::open(&at.store("restored")).await.unwrap();
    let other = mysql::open(&second.url()).await.unwrap();
    installation.compare(&one, &other).await;
    before.are_in(&other, &live).await;
    assert_eq!(one.installation().await.unwrap(), live.installation().await.unwrap());
    installation.go_on(&other).await;
    for store in [&one, &other, &live] {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_was_killed_is_none_and_is_made_again() {
    let at = Place::new();
    let installation = Installation::fill(&at.store("live")).await;
    let live = Arc::new(sqlite::open(&at.store("live")).await.unwrap());
    enlarge(&live, &installation).await;

    let mut running = at.start(&["backup", "copy.db", "--data", "live"]);
    has_bytes(&at.path("copy.db.part"), &mut running);
    let second = at.run(&["backup", "copy.db", "--data", "live"]).fails();
    assert!(second.contains("another gogochat is writing"), "{second}");
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(!at.path("copy.db").exists(), "it was killed too late");
    let none = at.run(&["restore", "copy.db.part", "--data", "restored"]).fails();
    // Whatever pages it has by then.
    let unfit = ["is no backup of gogochat, or none that was made to its end", "is damaged"];
    assert!(unfit.iter().any(|says| none.contains(says)), "{none}");
    assert!(!at.store("restored").exists());

    at.run(&["backup", "copy.db", "--data", "live"]).succeeds();
    assert!(!at.path("copy.db.part").exists());
    at.run(&["restore", "copy.db", "--data", "restored"]).succeeds();
    let restored = sqlite::open(&at.store("restored")).await.unwrap();
    installation.compare(&live, &restored).await;
    restored.close().await;
    live.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_was_killed_is_made_good() {
    let at = Place::new();
    let installation = Installation::fill(&at.store("live")).await;
    let live = Arc::new(sqlite::open(&at.store("live")).await.unwrap());
    enlarge(&live, &installation).await;
    at.run(&["backup", "copy.db", "--data", "live"]).succeeds();

    // SQLite: what was there is there, until all of the other is.
    let earlier = Installation::fill(&at.store("restored")).await;
    let mut running = at.start(&["restore", "copy.db", "--data", "restored", "--replace"]);
    has_bytes(&at.path("restored/gogochat.db.part"), &mut running);
    running.kill().unwrap();
    running.wait().unwrap();
    let untouched = sqlite::open(&at.store("restored")).await.unwrap();
    assert_eq!(all(&untouched, installation.logs[0]).await, [], "it was killed too late");
    assert_ne!(all(&untouched, earlier.logs[0]).await, []);
    untouched.close().await;
    at.run(&["restore", "copy.db", "--data", "restored", "--replace"]).succeeds();
    let restored = sqlite::open(&at.store("restored")).await.unwrap();
    installation.compare(&live, &restored).await;
    restored.close().await;

    // MySQL: no server takes the half for the whole.
    let database = at.database("into");
    let mut running = at.start(&["restore", "copy.db", "--config", "into.toml"]);
    let mut log = BufReader::new(running.stderr.take().unwrap()).lines();
    let copying =
        log.find(|line| line.as_ref().is_ok_and(|line| line.contains("copied") && line.contains("rows of member")));
    assert!(copying.is_some(), "it ended by itself");
    running.kill().unwrap();
    running.wait().unwrap();
    let half = mysql::open(&database.url()).await.unwrap_err().to_string();
    assert!(half.contains("the same `gogochat restore`"), "{half}");
    let half = at.run(&["backup", "half.db", "--config", "into.toml"]).fails();
    assert!(half.contains("has a part alone"), "{half}");
    let said = at.run(&["restore", "copy.db", "--config", "into.toml"]).succeeds();
    assert!(said.contains("going on behind it"), "{said}");
    let restored = mysql::open(&database.url()).await.unwrap();
    installation.compare(&live, &restored).await;
    restored.close().await;
    live.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_backed_up_or_restored_is_said_and_nothing_is_lost() {
    let at = Place::new();
    let installation = Installation::fill(&at.store("live")).await;
    at.run(&["backup", "copy.db", "--data", "live"]).succeeds();

    let there = at.run(&["backup", "copy.db", "--data", "live"]).fails();
    assert!(there.contains("copy.db is there already"), "{there}");
    let missing = at.run(&["backup", "other.db", "--data", "nowhere"]).fails();
    assert!(missing.contains("nowhere/gogochat.db: there is no such file"), "{missing}");
    let folder = at.run(&["backup", "nowhere/copy.db", "--data", "live"]).fails();
    assert!(folder.contains("nowhere/copy.db.part: No such file"), "{folder}");
    for wrong in [vec!["backup", "other.db"], vec!["backup", "other.db", "--data", "live", "--config", "live.toml"]] {
        let usage = at.run(&wrong);
        assert_eq!(usage.0.status.code(), Some(2), "{}", usage.said());
    }

    // A disk that is full, which the shell then lists.
    let script = "mount -t tmpfs -o size=1m tmpfs full && shift && \"$@\"; code=$?; ls -A full; exit $code";
    fs::create_dir(at.path("full")).unwrap();
    let backup = [env!("CARGO_BIN_EXE_gogochat"), "backup", "full/copy.db", "--data", "live"];
    let unshare = ["--map-root-user", "--mount", "sh", "-c", script, "sh", "full"];
    let output = Program::new("unshare").args(unshare).args(backup).current_dir(at.dir.path()).output().unwrap();
    let full = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && full.contains("full/copy.db.part: the disk is full"), "{full}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "a part was left");

    // What is not empty is kept unless it is given up; what is in use is kept in any case.
    let refused = at.run(&["restore", "copy.db", "--data", "live"]).fails();
    assert!(refused.contains("the store has data") && refused.contains("--replace"), "{refused}");
    let live = sqlite::open(&at.store("live")).await.unwrap();
    let used = at.run(&["restore", "copy.db", "--data", "live", "--replace"]).fails();
    assert!(used.contains("is in use, stop the server first"), "{used}");
    let database = at.database("into");
    at.run(&["restore", "copy.db", "--config", "into.toml"]).succeeds();
    let target = mysql::open(&database.url()).await.unwrap();
    target.check().await.unwrap();
    let used = at.run(&["restore", "copy.db", "--config", "into.toml", "--replace"]).fails();
    assert!(used.contains("is in use, by ") && used.contains("stop every core"), "{used}");
    installation.go_on(&target).await;
    target.close().await;
    let refused = at.run(&["restore", "copy.db", "--config", "into.toml"]).fails();
    assert!(refused.contains("the store has data") && refused.contains("--replace"), "{refused}");
    at.run(&["restore", "copy.db", "--config", "into.toml", "--replace"]).succeeds();
    let target = mysql::open(&database.url()).await.unwrap();
    installation.compare(&live, &target).await;
    target.close().await;
    live.close().await;

    // A backup is not taken for a store, nor anything else for a backup.
    let copied = sqlite::open(&at.path("copy.db")).await.unwrap_err().to_string();
    assert!(copied.contains("this file is a backup") && copied.contains("gogochat restore"), "{copied}");
    let store = at.run(&["restore", "live/gogochat.db", "--data", "restored"]).fails();
    assert!(store.contains("is no backup of gogochat"), "{store}");
    fs::write(at.path("text.db"), "no database at all, however long it is. ".repeat(100)).unwrap();
    let text = at.run(&["restore", "text.db", "--data", "restored"]).fails();
    assert!(text.contains("is no backup of gogochat"), "{text}");

    // One letter of one message has changed on its disk.
    let mut bytes = fs::read(at.path("copy.db")).unwrap();
    let place = bytes.windows(9).rposition(|bytes| bytes == b"message 3").unwrap();
    bytes[place] = b'M';
    fs::write(at.path("bad.db"), bytes).unwrap();
    for whereto in [["--data", "restored"], ["--config", "into.toml"]] {
        let damaged = at.run(&["restore", "bad.db", whereto[0], whereto[1], "--replace"]).fails();
        assert!(damaged.contains("is damaged: the table event"), "{damaged}");
    }
    assert!(!at.store("restored").exists() && !at.path("restored/gogochat.db.part").exists());
    let target = mysql::open(&database.url()).await.unwrap();
    assert_eq!(all(&target, installation.logs[0]).await.len(), installation.events_of_first);
    target.close().await;

    // A store that SQLite cannot read is given up only where that was said.
    fs::create_dir(at.path("broken")).unwrap();
    fs::write(at.store("broken"), "x".repeat(10_000)).unwrap();
    fs::write(at.path("broken/gogochat.db-wal"), "another's log").unwrap();
    let kept = at.run(&["restore", "copy.db", "--data", "broken"]).fails();
    assert!(kept.contains("the store cannot be read") && kept.contains("--replace"), "{kept}");
    at.run(&["restore", "copy.db", "--data", "broken", "--replace"]).succeeds();
    let restored = sqlite::open(&at.store("broken")).await.unwrap();
    assert_eq!(all(&restored, installation.logs[0]).await.len(), installation.events_of_first);
    restored.close().await;
}

/// Every command of the two sections of docs/operating.md, on a folder and a database of the test's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_documentation_says_works() {
    let at = Place::new();
    let installation = Installation::fill(&at.store("data")).await;
    let mut database = at.database("gogochat");
    at.run(&["backup", "first.db", "--data", "data"]).succeeds();
    at.run(&["restore", "first.db", "--config", "gogochat.toml"]).succeeds();
    let operating = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md")).unwrap();
    let mut run = 0;
    for title in ["## Backup\n", "## Restoring a backup\n"] {
        if title.contains("Restoring") {
            database = at.database("gogochat");
        }
        let section = operating.split(title).nth(1).unwrap().split("\n## ").next().unwrap();
        for line in section.split("```").skip(1).step_by(2).flat_map(str::lines).filter(|line| !line.is_empty()) {
            let line =
                line.split(" #").next().unwrap().trim_end().strip_prefix("runuser -u gogochat -- ").unwrap_or(line);
            let words: Vec<_> = line
                .split_whitespace()
                .map(|word| match word {
                    "/var/lib/gogochat" => "data",
                    "/etc/gogochat/gogochat.toml" => "gogochat.toml",
                    "/etc/gogochat/environment" => "environment",
                    other => other.rsplit('/').next().unwrap(),
                })
                .collect();
            assert_eq!(words[0], "gogochat", "{line}: the section has commands that no test runs");
            at.run(&words[1..]).succeeds();
            run += 1;
        }
    }
    assert!(run >= 4, "{run} commands");
    let [one, other] = [sqlite::open(&at.store("data")).await.unwrap(), mysql::open(&database.url()).await.unwrap()];
    installation.compare(&one, &other).await;
    one.close().await;
    other.close().await;
}

/// A folder for commands to run in.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The store in a data folder, which is made for all but those that a restore makes.
    fn store(&self, data: &str) -> PathBuf {
        self.path(data).join("gogochat.db")
    }

    /// A database, and a configuration that names it by the environment alone.
    fn database(&self, name: &str) -> Database {
        let database = Database::create(&format!("gogochat_backup_{}", Uuid::new_v4().simple())).unwrap();
        let config =
            format!("[core]\nstore = {:?}\n[edge]\ncertificate = \"/of/another/machine.pem\"\n", database.url());
        fs::write(self.path(&format!("{name}.toml")), config).unwrap();
        fs::write(self.path("environment"), format!("GOGOCHAT__CORE__STORE={}\n", database.url())).unwrap();
        database
    }

    fn start(&self, args: &[&str]) -> Child {
        Program::new(env!("CARGO_BIN_EXE_gogochat"))
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran(self.start(args).wait_with_output().unwrap())
    }
}

/// A command that has ended.
struct Ran(Output);

impl Ran {
    fn said(&self) -> String {
        [&self.0.stderr, &self.0.stdout].map(|said| String::from_utf8_lossy(said)).concat()
    }

    fn succeeds(self) -> String {
        assert!(self.0.status.success(), "{}", self.said());
        self.said()
    }

    fn fails(self) -> String {
        assert_eq!(self.0.status.code(), Some(1), "{}", self.said());
        self.said()
    }
}

/// Waits until a file has some.
fn has_bytes(path: &Path, running: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !path.metadata().is_ok_and(|file| file.len() > 0) {
        assert!(Instant::now() < deadline, "{} stays empty", path.display());
        assert!(running.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
}

/// As many MiB as a copy in steps does not get through beside writers.
async fn enlarge(store: &SqlStore, installation: &Installation) {
    for _ in 0..30 {
        let batch = (0..100).map(|n| installation.message(installation.logs[n % LOGS], text())).collect();
        assert!(store.commit(batch).await.unwrap().iter().all(Result::is_ok));
    }
}

fn text() -> String {
    "a long message. ".repeat(1_000)
}

/// Writers that do not cease.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

/// The last seq of each log, and how many there were.
#[derive(Debug, Clone, Default)]
struct Acknowledged {
    last: BTreeMap<LogId, i64>,
    total: usize,
}

impl Load {
    fn start(store: &Arc<SqlStore>, installation: &Installation, writers: usize) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Acknowledged::default())));
        let write = |n: usize| {
            let (store, stop, acknowledged) = (store.clone(), stop.clone(), acknowledged.clone());
            let log = installation.logs[n];
            let next = installation.message(log, text());
            async move {
                while !stop.load(Ordering::Relaxed) {
                    let command = installation::named_anew(&next);
                    let committed = store.commit(vec![command]).await.unwrap().remove(0).unwrap();
                    let Done::Appended { seq, .. } = committed.done else { panic!("{committed:?}") };
                    let mut acknowledged = acknowledged.lock();
                    acknowledged.last.insert(log, seq);
                    acknowledged.total += 1;
                }
            }
        };
        let writers = (0..writers).map(|n| tokio::spawn(write(n))).collect();
        Self { stop, acknowledged, writers }
    }

    /// What was acknowledged, once it is as many.
    async fn acknowledged_of_all(&self, total: usize) -> Acknowledged {
        loop {
            let acknowledged = self.acknowledged.lock().clone();
            if acknowledged.total >= total {
                return acknowledged;
            }
            assert!(!self.writers.iter().any(tokio::task::JoinHandle::is_finished));
            tokio::task::yield_now().await;
        }
    }

    /// How many were acknowledged in all.
    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.unwrap();
        }
        self.acknowledged.lock().total
    }
}

impl Acknowledged {
    /// A store has all of it, and of each log what the live one has up to there.
    async fn are_in(&self, store: &SqlStore, live: &SqlStore) {
        for (log, last) in &self.last {
            let (kept, all) = (all(store, *log).await, all(live, *log).await);
            assert!(kept.last().unwrap().seq >= *last, "{log} ends at {} before {last}", kept.last().unwrap().seq);
            assert_eq!(kept, all[..kept.len()], "{log}");
        }
    }
}
