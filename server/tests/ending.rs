//! How a process ends: when it is asked to while it begins, and in the face of clients that do not go.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use gogochat_testkit::{
    ports,
    process::{self, Process},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");
const DRAIN: Duration = Duration::from_millis(500);
/// Beyond it, as docs/operating.md says.
const BEYOND: Duration = Duration::from_secs(2);
/// For starting `kill` and for noticing the end, on a busy machine: less than one more deadline.
const NOTICE: Duration = Duration::from_millis(1_800);

/// As the first process of a container it has no default that ends it: it has to hear of SIGTERM by itself, and so
/// it ends with 0, not by the signal.
#[cfg(feature = "cluster")]
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_is_heard_while_the_store_is_awaited() {
    let store = "\"mysql://root@127.0.0.1:9/chat\"".to_owned();
    let core =
        gogochat_testkit::lone_core::LoneCore::new(GOGOCHAT, &[("core.store", store), ("wait_ms", "60000".to_owned())])
            .unwrap();
    let mut running = core.start().unwrap();
    let deadline = Instant::now() + Duration::from_secs(90);
    while !std::fs::read_to_string(core.log()).unwrap_or_default().contains("tried again") {
        assert!(Instant::now() < deadline, "it does not wait for the store");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.terminate().unwrap();
    let status = running.ended(BEYOND + NOTICE).await.unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}

/// HTTP/2 clients that ignore GOAWAY and keep a request open, at the edge and at gRPC: the end has one deadline,
/// not one for each part.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_over_2_s_after_drain_ms_whoever_stays() {
    let dir = tempfile::tempdir().unwrap();
    let [http, edge, grpc] = ports::free().unwrap();
    let (mut server, log) = serve(dir.path(), [http, edge, grpc]);
    process::ready(http, &log).await.unwrap();
    let mut stay = vec![
        // A body that does not come.
        Http2::ask(http, "/v1/sync", "application/json", None).await,
        // A watch that does not end.
        Http2::ask(grpc, "/grpc.health.v1.Health/Watch", "application/grpc", Some(&[0; 5])).await,
        Http2::ask(grpc, "/gogochat.v1.SyncService/Sync", "application/grpc", None).await,
    ];
    stay.push(Http2::open(http).await);
    stay.push(Http2::open(grpc).await);
    for client in &mut stay {
        client.is_heard().await;
    }
    let begin = Instant::now();
    server.terminate().unwrap();
    let status = server.ended(DRAIN + BEYOND + NOTICE).await.unwrap();
    assert!(status.success(), "{status} after {:?}\n{}", begin.elapsed(), std::fs::read_to_string(log).unwrap());
}

fn serve(dir: &Path, [http, edge, grpc]: [SocketAddr; 3]) -> (Process, std::path::PathBuf) {
    let made = Command::new(GOGOCHAT).args(["certs", "--node", "localhost", "--out"]).arg(dir).output().unwrap();
    assert!(made.status.success());
    let file = |name: &str| dir.join(name).display().to_string();
    let text = format!(
        "data = {:?}\ndrain_ms = {}\nhttp.listen = [\"{http}\"]\ncore.grpc = [\"{grpc}\"]\nlog.format = \"text\"\n\
         [edge]\nlisten = [\"{edge}\"]\ncertificate = {:?}\nkey = {:?}\n",
        file("data"),
        DRAIN.as_millis(),
        file("localhost.pem"),
        file("localhost.key"),
    );
    std::fs::write(dir.join("gogochat.toml"), text).unwrap();
    let log = dir.join("log.txt");
    let config = file("gogochat.toml");
    (Process::start(Path::new(GOGOCHAT), ["serve", "--config", config.as_str()], &log).unwrap(), log)
}

/// An HTTP/2 client that does what it is told to (RFC 9113), and nothing that it is asked for.
struct Http2(TcpStream);

impl Http2 {
    /// Opens a connection.
    async fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self(stream)
    }

    /// Sends a POST, with a body or with one that never comes.
    async fn ask(address: SocketAddr, path: &str, kind: &str, body: Option<&[u8]>) -> Self {
        let mut client = Self::open(address).await;
        // Of the static table (RFC 7541 appendix A): POST, http, then literals.
        let mut block = vec![0x83, 0x86];
        for (name, value) in
            [(&b"\x01"[..], "localhost"), (b"\x04", path), (b"\x0f\x10", kind), (b"\x00\x02te", "trailers")]
        {
            block.extend(name);
            block.push(u8::try_from(value.len()).unwrap());
            block.extend(value.as_bytes());
        }
        client.0.write_all(&frame(HEADERS, END_HEADERS, 1, &block)).await.unwrap();
        if let Some(body) = body {
            client.0.write_all(&frame(DATA, END_STREAM, 1, body)).await.unwrap();
        }
        client
    }

    /// Waits until the server has acknowledged the settings: then it has read what came before.
    async fn is_heard(&mut self) {
        tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                let mut head = [0; 9];
                self.0.read_exact(&mut head).await.unwrap();
                let [a, b, c, kind, flags, ..] = head;
                let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
                self.0.read_exact(&mut payload).await.unwrap();
                if (kind, flags) == (SETTINGS, ACK) {
                    return;
                }
            }
        })
        .await
        .unwrap();
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0, length[0], length[1], kind, flags, 0, 0, 0, stream][..], payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
