//! What an operator sees from outside: the log, metrics, gRPC health beside readiness, and what systemd is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use std::{
    os::unix::net::UnixDatagram,
    path::Path,
    time::{Duration, Instant},
};

use gogochat_testkit::{http, people::Person, ports, process::Dev, process::Process};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");

#[tokio::test(flavor = "multi_thread")]
async fn failed_log_ins_are_in_the_log_and_passwords_are_not() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    Person::register(dev.http, "ann").await.unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let log_in = async |name: &str, trace: &str| {
        let body = json!({ "name": name, "password": "not the password" }).to_string();
        let head = format!(
            "POST /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             traceparent: 00-{trace}-00f067aa0ba902b7-01\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let answer = ask(dev.http, &format!("{head}{body}")).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    };
    log_in("ann", trace).await;
    log_in("no\nbody\u{1b}[31m", "malformed").await;
    let log = std::fs::read_to_string(dev.log()).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("a log-in failed")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    for part in ["\"ann\"", "127.0.0.1", "wrong_credentials", trace] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    assert!(
        lines[1].contains("body") && !lines[1].contains('\u{1b}') && !lines[1].contains("trace_id"),
        "{}",
        lines[1]
    );
    assert!(!log.contains("not the password"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_origin_is_in_the_log_once() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    for _ in 0..3 {
        let handshake = "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                         sec-websocket-protocol: gogochat.v1.proto\r\norigin: https://app.example\r\n\r\n";
        let mut tcp = TcpStream::connect(dev.http).await.unwrap();
        tcp.write_all(handshake.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        tcp.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 403");
    }
    let log = std::fs::read_to_string(dev.log()).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("a page of another origin was refused")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for part in ["https://app.example", "127.0.0.1", "edge.origins", "ws"] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_version_the_process_and_how_long_calls_take() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    Person::register(dev.http, "ann").await.unwrap();
    let metrics = http::get(dev.http, "/metrics").await.unwrap();
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(text.contains(&format!("gogochat_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") > 3.0 && value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_threads") >= 2.0);
    assert!(value("process_cpu_seconds_total") > 0.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 60.0..=now + 2.0).contains(&value("process_start_time_seconds")));
    let method = "method=\"gogochat.v1.AccountService/Register\"";
    assert!(text.contains(&format!("gogochat_core_call_seconds_count{{{method}}} 1")), "{text}");
    assert!(text.contains(&format!("gogochat_core_call_seconds_bucket{{{method},le=\"+Inf\"}} 1")), "{text}");
}

/// What a unit with Type=notify waits for.
#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_when_it_is_ready_and_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (path, log) = (dir.path().join("notify"), dir.path().join("log.txt"));
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let [http, edge, grpc] = ports::free().unwrap();
    let data = dir.path().join("data").display().to_string();
    let flags = [format!("--http={http}"), format!("--edge={edge}"), format!("--grpc={grpc}")];
    let arguments = ["dev", "--data", &data, &flags[0], &flags[1], &flags[2]];
    let variables = [("NOTIFY_SOCKET".to_owned(), path.display().to_string())];
    let mut server = Process::start_with(Path::new(GOGOCHAT), arguments, variables, &log).unwrap();
    let told = || {
        let mut bytes = [0; 100];
        let size = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..size]).trim().to_owned()
    };
    assert_eq!(told(), "READY=1");
    assert_eq!(http::get(http, "/livez").await.unwrap().status, 200);
    server.terminate().unwrap();
    assert_eq!(told(), "STOPPING=1");
    let begin = Instant::now();
    assert!(server.ended(Duration::from_secs(60)).await.unwrap().success(), "{:?}", begin.elapsed());
}

async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}
