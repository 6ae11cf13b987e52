//! The server under test: one process, or edge and core as two, on ports and data that outlast them.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use gogochat_client::Target;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
};

/// A server and where it is.
#[derive(Debug)]
pub(super) struct Servers {
    binary: PathBuf,
    dir: TempDir,
    edge: SocketAddr,
    /// Each with its arguments, and the address that says whether it is ready.
    processes: Vec<Process>,
}

#[derive(Debug)]
struct Process {
    name: &'static str,
    args: Vec<String>,
    http: SocketAddr,
    child: Option<Child>,
}

impl Servers {
    /// Starts everything and waits until it is ready.
    pub(super) async fn start(binary: &Path, split: bool) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("gogochat-kill-").tempdir()?;
        let [http, edge, grpc, core_http, node] = free_ports()?;
        let processes = if split {
            configure(binary, dir.path(), http, edge, grpc, core_http, node).await?;
            let process = |name: &'static str, http| {
                let config = dir.path().join(format!("{name}.toml")).display().to_string();
                Process {
                    name,
                    args: vec!["serve".into(), "--config".into(), config, "--roles".into(), name.into()],
                    http,
                    child: None,
                }
            };
            vec![process("core", core_http), process("edge", http)]
        } else {
            let data = dir.path().join("data").display().to_string();
            let args = [
                "dev",
                "--data",
                &data,
                "--http",
                &http.to_string(),
                "--edge",
                &edge.to_string(),
                "--grpc",
                &grpc.to_string(),
            ];
            vec![Process { name: "dev", args: args.map(str::to_owned).to_vec(), http, child: None }]
        };
        let mut servers = Self { binary: binary.to_owned(), dir, edge, processes };
        for index in 0..servers.processes.len() {
            servers.start_process(index).await?;
        }
        Ok(servers)
    }

    /// Where clients go.
    pub(super) fn target(&self) -> Target {
        #[allow(clippy::expect_used, reason = "an address in this form is one")]
        format!("https://{}", self.edge).parse().expect("https://ADDRESS")
    }

    /// Kills a process (SIGKILL), another in each round, and starts it again.
    pub(super) async fn kill_and_restart(&mut self, round: u64) -> anyhow::Result<()> {
        let index = (round % self.processes.len() as u64) as usize;
        if let Some(mut child) = self.processes.get_mut(index).and_then(|process| process.child.take()) {
            ensure!(child.try_wait()?.is_none(), "the server ended by itself");
            child.kill().await?;
        }
        self.start_process(index).await
    }

    /// Leaves data and logs where they are.
    pub(super) fn keep(&mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }

    async fn start_process(&mut self, index: usize) -> anyhow::Result<()> {
        let Some(process) = self.processes.get_mut(index) else { return Ok(()) };
        let log_file = self.dir.path().join(format!("{}.log", process.name));
        let log = fs::File::options().create(true).append(true).open(&log_file)?;
        let child = Command::new(&self.binary)
            .args(&process.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{}", self.binary.display()))?;
        let child = process.child.insert(child);
        let begin = Instant::now();
        while !is_ready(process.http).await {
            if child.try_wait()?.is_some() || begin.elapsed() > STARTING {
                let said = fs::read_to_string(&log_file).unwrap_or_default();
                let said: Vec<&str> = said.lines().rev().take(20).collect();
                anyhow::bail!(
                    "{} is not ready: {}",
                    process.name,
                    said.into_iter().rev().collect::<Vec<_>>().join("\n")
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// Certificates and configuration for edge and core as two processes.
async fn configure(
    binary: &Path,
    dir: &Path,
    http: SocketAddr,
    edge: SocketAddr,
    grpc: SocketAddr,
    core_http: SocketAddr,
    node: SocketAddr,
) -> anyhow::Result<()> {
    let certs = dir.join("certs");
    let made = Command::new(binary)
        .args(["certs", "--node", "core-1", "--node", "edge-1", "--host", "localhost", "--out"])
        .arg(&certs)
        .output()
        .await
        .with_context(|| format!("{}", binary.display()))?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (certs, data) = (certs.display(), dir.join("data"));
    let identity = |name: &str| {
        format!("ca = \"{certs}/ca.pem\"\ncertificate = \"{certs}/{name}.pem\"\nkey = \"{certs}/{name}.key\"\n")
    };
    fs::create_dir_all(&data)?;
    fs::write(
        dir.join("core.toml"),
        format!(
            "node = \"core-1\"\ndata = \"{}\"\n[http]\nlisten = [\"{core_http}\"]\n[core]\ngrpc = [\"{grpc}\"]\ntrust_loopback = true\n\
             [log]\nformat = \"text\"\n[cluster]\nlisten = \"{node}\"\n{}",
            data.display(),
            identity("core-1")
        ),
    )?;
    fs::write(
        dir.join("edge.toml"),
        format!(
            "node = \"edge-1\"\n[http]\nlisten = [\"{http}\"]\n[edge]\nlisten = [\"{edge}\"]\ncertificate = \"{certs}/edge-1.pem\"\n\
             key = \"{certs}/edge-1.key\"\n[log]\nformat = \"text\"\n[cluster]\ncores = [{{ name = \"core-1\", address = \"{node}\" }}]\n{}",
            identity("edge-1")
        ),
    )?;
    Ok(())
}

/// Whether `/readyz` answers with 200.
async fn is_ready(address: SocketAddr) -> bool {
    let answer = async {
        let mut tcp = TcpStream::connect(address).await?;
        tcp.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
            .await?;
        let mut status = [0; 12];
        tcp.read_exact(&mut status).await?;
        std::io::Result::Ok(status)
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), answer).await, Ok(Ok(status)) if status == *b"HTTP/1.1 200")
}

/// Loopback addresses that are free for TCP and UDP, all different.
fn free_ports<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    // All are held until the last is found, so that none is given twice.
    let (mut held, mut found) = (Vec::with_capacity(N), [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N]);
    for slot in &mut found {
        *slot = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = tcp.local_addr()?;
            if let Ok(udp) = UdpSocket::bind(address) {
                held.push((tcp, udp));
                break address;
            }
        };
    }
    Ok(found)
}

const STARTING: Duration = Duration::from_secs(60);
