//! Attackers at every TCP door of a real server: silent ones are gone in time and keep nobody out,
//! those that never read cost bounded memory, and early refusals arrive.
//!
//! `GOGOCHAT_SILENT=9000` sets how many silent connections each door gets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use gogochat_client::{Transport, proto::ids::LogId};
use gogochat_testkit::{
    attack::{
        http2::Http2,
        tcp::{self, CLEAR, Crowd, GRPC, Opening, TLS},
        tls,
    },
    device::Device,
    http,
    lone_core::LoneCore,
    people::Person,
    ports,
    process::{self, Dev, Process},
};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");

/// Until the server has ended what has to end.
const GONE: Duration = Duration::from_secs(20);
/// The longest that anybody else waits.
const SERVED: Duration = Duration::from_secs(3);

fn silent_connections() -> usize {
    std::env::var("GOGOCHAT_SILENT").map_or(1_000, |count| count.parse().unwrap())
}

/// Addresses of this machine, each of which has its own ports.
fn sources() -> Vec<Ipv4Addr> {
    (2..10).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_gone_in_time_and_keep_nobody_out() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    let (ann, mut ben, log) = two_contacts(dev.http, dev.edge).await;
    let mut crowd = Crowd::default();
    for (address, openings) in [(dev.http, CLEAR.as_slice()), (dev.edge, &TLS), (dev.grpc, &GRPC)] {
        for opening in openings {
            crowd.open(address, *opening, silent_connections() / openings.len(), &sources()).await.unwrap();
        }
    }
    // Who was there goes on, and who is new is served, at each door.
    ann.client.post(log, "hello").unwrap();
    assert_eq!(ben.next_text().await.unwrap(), "hello");
    served(dev.http, dev.edge, dev.grpc).await;
    let begin = Instant::now();
    let longest = crowd.gone(GONE).await.unwrap();
    println!("gone {:?} after the last had come; the one that lasted longest: {longest:?}", begin.elapsed());
    ann.client.post(log, "good-bye").unwrap();
    assert_eq!(ben.next_text().await.unwrap(), "good-bye", "a session is no silent connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_lasts_as_long_as_it_may() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    let lasts = async |address, opening, least: u64, most: u64| {
        let mut crowd = Crowd::default();
        crowd.open(address, opening, 1, &[]).await.unwrap();
        let lasted = crowd.gone(2 * GONE).await.unwrap();
        let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
        // A connection is made a moment before the server knows of it.
        assert!(lasted + Duration::from_millis(100) >= least && lasted < most, "{opening:?}: {lasted:?}");
    };
    let (hello, first) = (Opening::Clear(b""), Opening::Clear(b"PRI * HT"));
    tokio::join!(
        lasts(dev.edge, hello, 2, 8),
        lasts(dev.http, first, 10, 18),
        lasts(dev.edge, Opening::Tls(Some("h2"), b""), 10, 18),
        lasts(dev.grpc, Opening::Pings, 10, 18),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_handshakes_keep_nobody_out() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    let mut crowd = Crowd::default();
    crowd.open(dev.edge, Opening::Clear(b""), 2_048, &sources()).await.unwrap();
    for _ in 0..10 {
        // They come again and again, faster than their deadline ends them.
        crowd.open(dev.edge, Opening::Clear(b""), 100, &sources()).await.unwrap();
        served(dev.http, dev.edge, dev.grpc).await;
    }
    assert_eq!(http::get(dev.http, "/readyz").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_to_a_core_alone_are_gone_in_time() {
    let [http, node, grpc] = ports::free().unwrap();
    let settings = [
        ("http.listen", format!("[\"{http}\"]")),
        ("cluster.listen", format!("\"{node}\"")),
        ("core.grpc", format!("[\"{grpc}\"]")),
    ];
    let core = LoneCore::new(GOGOCHAT, &settings).unwrap();
    let _process = core.start().unwrap();
    process::ready(http, &core.log()).await.unwrap();
    let mut crowd = Crowd::default();
    for (address, openings) in [(http, CLEAR.as_slice()), (node, &TLS), (grpc, &GRPC)] {
        for opening in openings {
            crowd.open(address, *opening, 100, &sources()).await.unwrap();
        }
    }
    assert_eq!(timeout(SERVED, http::get(http, "/readyz")).await.unwrap().unwrap().status, 200);
    crowd.gone(GONE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_never_read_cost_bounded_memory_and_end() {
    let mut dev = Dev::start(GOGOCHAT).await.unwrap();
    let pid = dev.process().unwrap().pid();
    let (ann, ben) =
        (Person::register(dev.http, "ann").await.unwrap(), Person::register(dev.http, "ben").await.unwrap());
    let conversation = ann.befriend(&ben).await.unwrap();
    for _ in 0..12 {
        let text = "x".repeat(4 * 1024);
        ann.send(&conversation, &Uuid::new_v4().to_string(), &text).await.unwrap();
    }
    let path = format!("/v1/conversations/{conversation}/events?beforeSeq=0&limit=12");
    let page = ben.try_call("GET", &path, &Value::Null).await.unwrap().body.len();
    assert!(page > 40 * 1024, "{page}");
    let before = process::resident_kib(pid).unwrap();

    let mut ends = tokio::task::JoinSet::new();
    for n in 0..HOARDERS {
        let (path, token) = (path.clone(), ben.token.clone());
        if n % 2 == 0 {
            let tcp = tcp::connect(dev.http, None, None).await.unwrap();
            ends.spawn(async move { hoard(tcp, &path, &token).await });
        } else {
            let tcp = tcp::connect(dev.edge, None, None).await.unwrap();
            let tls = tls::shake_hands(tcp, Some("h2")).await.unwrap();
            ends.spawn(async move { hoard(tls, &path, &token).await });
        }
    }
    let (grpc, token) = (dev.grpc, ben.token.clone());
    ends.spawn(async move {
        let mut http2 = Http2::begin(tcp::connect(grpc, None, None).await.unwrap(), 0).await.unwrap();
        for _ in 0..ANSWERS {
            http2.call("/gogochat.v1.SyncService/Sync", b"", &token).await.unwrap();
        }
        let _ = http2.until_end().await;
        http2.body
    });
    // While all of them wait, and before any has ended.
    let mut most = 0;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        most = most.max(process::resident_kib(pid).unwrap().saturating_sub(before));
        timeout(SERVED, http::get(dev.http, "/readyz")).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // As docs/limits.md has it: answers, and what 64 requests take.
    let bound = HOARDERS * (512 + ANSWERS * 8) + 32 * 1024;
    let unbounded = HOARDERS * ANSWERS * page / 1024;
    assert!(unbounded > 2 * bound && most < bound, "{most} KiB of {unbounded}, {bound} are allowed");
    while let Some(ended) = timeout(GONE, ends.join_next()).await.expect("all end") {
        assert_eq!(ended.unwrap(), 0, "bytes of answers");
    }
}

/// Asks for the page, and takes nothing of it, until the server ends it: what came.
async fn hoard(io: impl AsyncRead + AsyncWrite + Unpin, path: &str, token: &str) -> u64 {
    let mut http2 = Http2::begin(io, 0).await.unwrap();
    for _ in 0..ANSWERS {
        http2.get(path, token).await.unwrap();
    }
    let _ = http2.until_end().await;
    http2.body
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_by_http1_and_never_reads_is_ended() {
    let mut dev = Dev::start(GOGOCHAT).await.unwrap();
    let pid = dev.process().unwrap().pid();
    let before = descriptors(pid);
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(tcp::never_read(dev.http, "/openapi.json", "", 1_000).await.unwrap());
    }
    eventually(SERVED, || descriptors(pid) > before + all.len() / 2).await;
    // The server ends them, though no byte of that gets through to who does not read.
    eventually(GONE, || descriptors(pid) <= before + all.len() / 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_arrive_before_everything_was_sent() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    let body = vec![b' '; 1_000_000];
    let large = format!("POST /v1/accounts HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(70_000));
    for _ in 0..20 {
        for (request, body, status) in [(&large, body.as_slice(), 413), (&long, &[], 431)] {
            let tcp = TcpStream::connect(dev.http).await.unwrap();
            assert_eq!(refusal(tcp, request, body).await, Some(status), "in clear");
            let tcp = TcpStream::connect(dev.edge).await.unwrap();
            let tls = tls::shake_hands(tcp, Some("http/1.1")).await.unwrap();
            assert_eq!(refusal(tls, request, body).await, Some(status), "over TLS");
        }
    }
}

/// Sends all of a request before it reads: the status of the answer, if that arrives.
async fn refusal(mut io: impl AsyncRead + AsyncWrite + Unpin, request: &str, body: &[u8]) -> Option<u16> {
    let exchange = async {
        // Many clients give up when they cannot write.
        io.write_all(request.as_bytes()).await.ok()?;
        io.write_all(body).await.ok()?;
        io.flush().await.ok()?;
        let mut answer = Vec::new();
        let _ = io.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    };
    timeout(GONE, exchange).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_those_who_are_there_go_on_and_new_ones_come_in_later() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.txt");
    let [http, edge, grpc] = ports::free().unwrap();
    let arguments = [
        format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}"),
        GOGOCHAT.to_owned(),
        "dev".to_owned(),
        format!("--data={}", dir.path().display()),
        format!("--http={http}"),
        format!("--edge={edge}"),
        format!("--grpc={grpc}"),
    ];
    let server = Process::start(Path::new("prlimit"), arguments, &log).unwrap();
    process::ready(http, &log).await.unwrap();
    let (ann, mut ben, conversation) = two_contacts(http, edge).await;

    let mut crowd = Crowd::default();
    let (begin, used) = (Instant::now(), processor(server.pid()));
    for round in 0..3 {
        for address in [http, edge, grpc] {
            crowd.open(address, Opening::Clear(b""), 300, &sources()).await.unwrap();
        }
        let text = format!("round {round}");
        ann.client.post(conversation, text.clone()).unwrap();
        assert_eq!(ben.next_text().await.unwrap(), text, "those who are there go on");
        assert!(descriptors(server.pid()) <= DESCRIPTORS - 8, "some are left for the store");
        // The silent ones make room: who is new is served while they last.
        timeout(GONE, served(http, edge, grpc)).await.unwrap();
    }
    crowd.gone(2 * GONE).await.unwrap();
    let share = (processor(server.pid()) - used).as_secs_f64() / begin.elapsed().as_secs_f64();
    assert!(share < 0.1, "{:.0} % of a core", share * 100.0);
    served(http, edge, grpc).await;
    let said = std::fs::read_to_string(&log).unwrap();
    let lines = said.lines().filter(|line| line.contains("file descriptors")).count();
    let minutes = begin.elapsed().as_secs() as usize / 60 + 1;
    assert!((1..=minutes).contains(&lines), "{said}");
}

/// A page, over TLS too, and a gRPC connection that is answered.
async fn served(http: SocketAddr, edge: SocketAddr, grpc: SocketAddr) {
    let begin = Instant::now();
    let answer = timeout(GONE, http::get(http, "/readyz")).await.unwrap().unwrap();
    assert_eq!(answer.status, 200);
    let request = "GET /openapi.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let tcp = TcpStream::connect(edge).await.unwrap();
    let tls = timeout(GONE, tls::shake_hands(tcp, Some("http/1.1"))).await.unwrap().unwrap();
    assert_eq!(refusal(tls, request, &[]).await, Some(200));
    let mut tcp = TcpStream::connect(grpc).await.unwrap();
    tcp.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut settings = [0; 9];
    timeout(GONE, tcp.read_exact(&mut settings)).await.unwrap().unwrap();
    assert_eq!(settings[3], 4, "SETTINGS");
    assert!(begin.elapsed() < SERVED, "{:?}", begin.elapsed());
}

async fn two_contacts(http: SocketAddr, edge: SocketAddr) -> (Device, Device, LogId) {
    let (ann, ben) = (Person::register(http, "ann").await.unwrap(), Person::register(http, "ben").await.unwrap());
    let conversation = ann.befriend(&ben).await.unwrap().parse().unwrap();
    let ann = Device::sign_in(edge, "ann", Transport::WebSocket).await.unwrap();
    let ben = Device::sign_in(edge, "ben", Transport::WebTransport).await.unwrap();
    (ann, ben, conversation)
}

async fn eventually(limit: Duration, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < limit, "never within {limit:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Time that a process has used: of `/proc/PID/stat` the 14th and 15th value, in hundredths of a
/// second.
fn processor(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, values) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = values.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

/// Connections that ask and do not read.
const HOARDERS: usize = 100;
/// Answers that each of them asks for.
const ANSWERS: usize = 64;
const DESCRIPTORS: usize = 256;
