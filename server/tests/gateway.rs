//! The binary behind TCP gateways, which tell with PROXY protocol headers where clients come from.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{net::SocketAddr, path::Path, process::Command, sync::Arc, time::Duration};

use gogochat_client::{
    Dialer, Rest, RestError, Target, Transport, Trust,
    proto::{error::ErrorCode, ids::LogId, v1},
};
use gogochat_testkit::{
    device::Device,
    http,
    people::{PASSWORD, Person},
    ports,
    process::{self, Process},
    proxy::Proxy,
};
use ppp::v2::{Builder, Command as Kind, Protocol, Version};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");

#[tokio::test(flavor = "multi_thread")]
async fn each_client_is_known_by_its_own_address() {
    let server = Server::start().await;
    let (ann, ben) =
        (Person::register(server.http, "ann").await.unwrap(), Person::register(server.http, "ben").await.unwrap());
    let log: LogId = ann.befriend(&ben).await.unwrap().parse().unwrap();
    // Two clients, of which each version of the protocol tells one.
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\n".to_vec();
    let one = Proxy::gateway(server.edge, line).await.unwrap();
    let other = Proxy::gateway(server.edge, block("[2001:db8::1]:40000", "[2001:db8::ffff]:443")).await.unwrap();

    // REST and WebSocket, over TLS.
    let ann = Device::sign_in(one.address, "ann", Transport::WebSocket).await.unwrap();
    let mut ben = Device::sign_in(other.address, "ben", Transport::WebSocket).await.unwrap();
    ann.client.send(log, "through the gateway".to_owned()).await.unwrap();
    assert_eq!(ben.next_text().await.unwrap(), "through the gateway");

    // One takes all that is an address's, and nothing of the other's, nor of who comes without a gateway.
    let mut taken = 0;
    let refusal = loop {
        match register(one.address, &format!("one{taken}")).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "an address has no bound");
    };
    assert_eq!(refusal.code(), Some(ErrorCode::RateLimited), "{refusal}");
    assert!(taken >= 10, "{taken}");
    register(other.address, "other").await.unwrap();
    Person::register(server.http, "nearby").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_header_is_refused_and_counted() {
    let server = Server::start().await;
    let half = block("192.0.2.1:1", "192.0.2.2:2").get(..20).unwrap().to_vec();
    let cases = [
        ("proxy header missing", vec![0x16, 3, 1, 2, 0, 1], false),
        ("proxy header malformed", b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n".to_vec(), false),
        ("proxy header too long", [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 93]].concat(), false),
        ("proxy header not of TCP", b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8".to_vec(), false),
        ("proxy header cut off", half.clone(), true),
        ("proxy header late", half, false),
    ];
    for (reason, bytes, ends) in cases {
        assert_eq!(refused(server.http, reason).await, 0, "{reason}");
        let mut tcp = TcpStream::connect(server.edge).await.unwrap();
        tcp.write_all(&bytes).await.unwrap();
        if ends {
            tcp.shutdown().await.unwrap();
        }
        let mut answer = Vec::new();
        // What was not read there makes the end a reset.
        let _ = timeout(Duration::from_secs(60), tcp.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.is_empty(), "{reason}: {answer:?}");
        let counted = async {
            while refused(server.http, reason).await != 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), counted).await.unwrap();
    }
    // Who comes to the clear listener comes as before.
    process::ready(server.http, &server.dir.path().join("log")).await.unwrap();
}

/// A header of version 2.
fn block(source: &str, destination: &str) -> Vec<u8> {
    let addresses: (SocketAddr, SocketAddr) = (source.parse().unwrap(), destination.parse().unwrap());
    Builder::with_addresses(Version::Two | Kind::Proxy, Protocol::Stream, addresses).build().unwrap()
}

async fn register(edge: SocketAddr, name: &str) -> Result<v1::Session, RestError> {
    let target: Target = format!("https://{edge}").parse().unwrap();
    let rest = Arc::new(Rest::new(Dialer::new(Trust::AnyOnLoopback).unwrap(), target));
    rest.register(name, PASSWORD, "test").await
}

/// How many connections over TLS were turned away for this reason.
async fn refused(address: SocketAddr, reason: &str) -> u64 {
    let metrics = String::from_utf8(http::get(address, "/metrics").await.unwrap().body.to_vec()).unwrap();
    let is_it = |line: &&str| {
        line.starts_with("gogochat_edge_handshakes_refused_total{")
            && [r#"transport="tls""#.to_owned(), format!("reason={reason:?}")].iter().all(|label| line.contains(label))
    };
    metrics.lines().find(is_it).map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Edge and core in one process, whose TLS is behind gateways on this machine; the limits by address hold for everybody.
struct Server {
    http: SocketAddr,
    edge: SocketAddr,
    dir: tempfile::TempDir,
    _process: Process,
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [http, edge, grpc] = ports::free().unwrap();
        let made = Command::new(GOGOCHAT)
            .args(["certs", "--node", "edge-1", "--host", "localhost", "--out"])
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(made.status.success());
        let config = dir.path().join("gogochat.toml");
        let text = format!(
            "data = \"{0}\"\n[http]\nlisten = [\"{http}\"]\n[edge]\nlisten = [\"{edge}\"]\nproxy_protocol_from = [\"127.0.0.0/8\"]\n\
             certificate = \"{0}/edge-1.pem\"\nkey = \"{0}/edge-1.key\"\n[core]\ngrpc = [\"{grpc}\"]\n[log]\nformat = \"text\"\n",
            dir.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let (log, config) = (dir.path().join("log"), config.display().to_string());
        let _process = Process::start(Path::new(GOGOCHAT), ["serve", "--config", &config], &log).unwrap();
        process::ready(http, &log).await.unwrap();
        Self { http, edge, dir, _process }
    }
}
