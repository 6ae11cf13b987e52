//! How long a core takes to tell Redis of all its sessions once more, which it does in a third of their
//! lifetime (45 s): `cargo run --release -p gogochat-storage --example presence_rate redis://HOST:PORT
//! [SESSIONS] [DELAY_MS]`.
//!
//! SESSIONS (default 200,000) are simulated at the seam, each of a user of its own, in round trips of as
//! many as a core puts into one. Each round trip takes DELAY_MS (default 1) more than Redis itself.

use std::{
    error::Error,
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gogochat_proto::ids::UserId;
use gogochat_storage::presence::{Presence as _, RedisConfig, redis::RedisPresence};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep_until},
};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("say where Redis is: redis://HOST:PORT")?;
    let sessions: u64 = arguments.next().map_or(Ok(200_000), |sessions| sessions.parse())?;
    let delay: f64 = arguments.next().map_or(Ok(1.0), |delay| delay.parse())?;
    let there = url.strip_prefix("redis://").ok_or("a URL begins with redis://")?.to_owned();
    let here = far(there, Duration::from_secs_f64(delay / 2_000.0)).await?;
    let prefix = format!("presence-rate-{}", std::process::id());
    let presence = RedisPresence::open(&RedisConfig { url: format!("redis://{here}"), ca: None, prefix }).await?;
    let all: Vec<_> = (0..sessions).map(|n| (UserId::new_v7(), (1, n))).collect();

    let mut out = std::io::stdout();
    writeln!(out, "{sessions} sessions, {PART} in a round trip, {delay} ms away; a third of their lifetime is 15 s")?;
    for round in ["come", "are refreshed", "are refreshed"] {
        let (began, mut longest) = (Instant::now(), Duration::ZERO);
        for part in all.chunks(PART) {
            let asked = Instant::now();
            presence.arrive(part, now_ms()?, TTL_MS).await?;
            longest = longest.max(asked.elapsed());
        }
        let took = began.elapsed().as_secs_f64();
        writeln!(
            out,
            "all {round} in {took:.2} s, {:.0} a second, one round trip {longest:.1?} at most",
            sessions as f64 / took
        )?;
    }
    for part in all.chunks(PART) {
        presence.leave(part, now_ms()?).await?;
    }
    Ok(())
}

fn now_ms() -> Result<i64, Box<dyn Error>> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// An address from which everything takes this much longer, each way.
async fn far(there: String, delay: Duration) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(&there).await else { continue };
            // What waits here is to wait for nothing else.
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            tokio::spawn(carry(from_near, to_far, delay));
            tokio::spawn(carry(from_far, to_near, delay));
        }
    });
    Ok(address)
}

/// Carries bytes, each this long after it has come, however many are on their way.
async fn carry(mut from: impl AsyncRead + Unpin + Send + 'static, mut to: impl AsyncWrite + Unpin, delay: Duration) {
    let (sender, mut on_the_way) = mpsc::channel::<(Instant, Vec<u8>)>(1_024);
    let reading = async move {
        let mut chunk = vec![0; 64 << 10];
        while let Ok(count) = from.read(&mut chunk).await {
            let bytes = chunk.get(..count).unwrap_or_default().to_vec();
            if count == 0 || sender.send((Instant::now() + delay, bytes)).await.is_err() {
                return;
            }
        }
    };
    let writing = async {
        while let Some((due, bytes)) = on_the_way.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}

/// As many as `core/src/presence/refresh.rs` puts into one.
const PART: usize = 512;
const TTL_MS: i64 = 45_000;
