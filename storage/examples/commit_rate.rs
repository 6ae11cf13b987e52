//! How many rows a second the store commits, by size of batch, and what the disk itself can do:
//! `cargo run --release -p gogochat-storage --example commit_rate [FOLDER|mysql://...] [PAIRS] [WRITERS]`.
//!
//! With a folder, in a SQLite file there; with a URL, in that MySQL database, which has to be empty. WRITERS (default 1) commit at once, each to
//! conversations of its own, as several partitions do.
//! Each row is a message to a conversation of its own among PAIRS (default 2,000), acknowledged after the commit's fsync.

use std::{
    error::Error,
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_proto::{
    ids::{ClientMsgId, DeviceId, LogId, UserId},
    v1::{self, event::Body},
};
use gogochat_storage::store::{
    Command, Logs, NewDevice, Origin, SqlStore, Store, StoreError, Tokens, User, mysql, sqlite,
};
use prost::Message as _;
use tokio::task::JoinSet;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().unwrap_or_else(|| std::env::temp_dir().display().to_string());
    let pairs: usize = arguments.next().map_or(Ok(2_000), |pairs| pairs.parse())?;
    let writers: usize = arguments.next().map_or(Ok(1), |writers| writers.parse())?;
    let mut out = std::io::stdout();
    let is_url = place.starts_with("mysql:");
    let folder = tempfile::tempdir_in(if is_url { std::env::temp_dir() } else { PathBuf::from(&place) })?;
    writeln!(out, "the disk: {:.0} fdatasync/s of 4 KiB", sync_rate(folder.path())?)?;

    let store = match is_url {
        true => mysql::open(&place).await?,
        false => sqlite::open(&folder.path().join("gogochat.db")).await?,
    };
    let store = Arc::new(store);
    let conversations = prepare(&*store, pairs).await?;
    let shares: Vec<Vec<_>> =
        (0..writers).map(|n| conversations.iter().copied().skip(n).step_by(writers.max(1)).collect()).collect();
    writeln!(out, "{HEAD}")?;
    for size in [1, 16, 200, 500] {
        let (begin, begin_cpu) = (Instant::now(), cpu_time());
        let mut writing = JoinSet::new();
        for share in &shares {
            writing.spawn(write(Arc::clone(&store), share.clone(), size));
        }
        let mut took = Vec::new();
        while let Some(times) = writing.join_next().await {
            took.append(&mut times??);
        }
        let (elapsed, cpu) = (begin.elapsed().as_secs_f64(), (cpu_time() - begin_cpu).as_secs_f64());
        let commits = took.len() as f64;
        let rows = commits * size as f64;
        took.sort_by(f64::total_cmp);
        let at = |part: f64| took.get((part * (commits - 1.0)) as usize).copied().unwrap_or(f64::NAN);
        let (half, most, longest) = (at(0.5), at(0.99), at(1.0));
        let (rate, cpu_each, cpu_row) = (rows / elapsed, 1e3 * cpu / commits, 1e6 * cpu / rows);
        writeln!(out, "{size:>6} {rate:>8.0} {half:>8.2} {most:>8.2} {longest:>8.2} {cpu_each:>14.2} {cpu_row:>11.1}")?;
    }
    store.close().await;
    Ok(())
}

/// Commits batches of messages for a while; how many milliseconds each took.
async fn write(store: Arc<SqlStore>, conversations: Vec<(UserId, LogId)>, size: usize) -> Result<Vec<f64>, StoreError> {
    let mut next = conversations.into_iter().cycle();
    let (begin, mut took) = (Instant::now(), Vec::new());
    while begin.elapsed() < SPAN {
        let batch = next.by_ref().take(size).map(append).collect();
        let one = Instant::now();
        if store.commit(batch).await?.iter().any(Result::is_err) {
            return Err(StoreError::Failed("a message was refused".into()));
        }
        took.push(one.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

/// Users, two by two contacts; the first of each two and their conversation.
async fn prepare(store: &dyn Store, pairs: usize) -> Result<Vec<(UserId, LogId)>, Box<dyn Error>> {
    let mut conversations = Vec::new();
    let mut batch = Vec::new();
    for n in 0..pairs {
        let mut users = [UserId::new_v7(), UserId::new_v7()];
        for (side, id) in users.iter_mut().enumerate() {
            let name = format!("user{n}-{side}");
            let user = User::new(*id, name, "Somebody".into(), "x".into(), 0);
            store.create_user(user, device(*id)).await?;
        }
        let [from, to] = users;
        let conversation = LogId::new_v7();
        batch.push(Command::RequestContact { origin: origin(from), to, note: String::new(), conversation });
        batch.push(Command::AcceptContact { origin: origin(to), from, conversation });
        conversations.push((from, conversation));
    }
    store.commit(batch).await?;
    Ok(conversations)
}

fn device(user: UserId) -> NewDevice {
    let id = DeviceId::new_v7();
    let hash = std::array::from_fn(|n| id.as_bytes().get(n).copied().unwrap_or(0));
    let tokens = Tokens { access: hash, access_expires_ms: 0, refresh: hash, refresh_expires_ms: 0 };
    NewDevice { id, user, name: "bench".into(), tokens, created_ms: 0, address: String::new() }
}

/// A message of 160 bytes.
fn append((sender, log): (UserId, LogId)) -> Command {
    let body = Some(Body::Message(v1::Message { text: "x".repeat(160) }));
    let payload = v1::Event { body, ..Default::default() }.encode_to_vec().into();
    Command::Append { log, origin: origin(sender), payload }
}

fn origin(sender: UserId) -> Origin {
    let (device, client_msg_id) = (DeviceId::from(sender.uuid()), ClientMsgId::new_v7());
    Origin { sender, device, client_msg_id, request_hash: [0; 32], now: 0 }
}

/// How often a second 4 KiB that exist already are written and synced, as in a write-ahead log that has been round once.
fn sync_rate(folder: &Path) -> std::io::Result<f64> {
    let mut file = std::fs::File::create(folder.join("sync"))?;
    file.write_all(&vec![0; 1 << 20])?;
    file.sync_all()?;
    let begin = Instant::now();
    let mut times = 0_u32;
    while begin.elapsed() < SPAN {
        file.seek(SeekFrom::Start(u64::from(times % 256) * 4_096))?;
        file.write_all(&[1; 4_096])?;
        file.sync_data()?;
        times += 1;
    }
    Ok(f64::from(times) / begin.elapsed().as_secs_f64())
}

/// User and system time of this process (proc(5)); zero where there is no /proc.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

const HEAD: &str = " batch   rows/s   ms p50   ms p99   ms max  CPU ms/commit  CPU us/row";
const SPAN: Duration = Duration::from_secs(3);
