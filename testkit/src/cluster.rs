//! Edge and core as two processes, joined by mutual TLS through a proxy that can be cut.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::ensure;
use tempfile::TempDir;

use crate::{
    ports,
    process::{self, Process},
    proxy::Proxy,
};

/// One edge, one core, and the link between them.
#[derive(Debug)]
pub struct Cluster {
    /// The edge's clear address.
    pub http: SocketAddr,
    /// The edge's address with TLS and QUIC.
    pub edge: SocketAddr,
    /// Where the core takes edges (with mutual TLS).
    pub node: SocketAddr,
    /// The way from the edge to the core.
    pub link: Proxy,
    /// The core's clear address.
    pub core_http: SocketAddr,
    binary: PathBuf,
    dir: TempDir,
    edge_process: Option<Process>,
    core_process: Option<Process>,
}

impl Cluster {
    /// Makes certificates and configurations, starts both and waits until both are ready.
    ///
    /// # Errors
    /// One is not ready in time; the message has its log.
    pub async fn start(binary: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let binary = binary.into();
        let dir = tempfile::tempdir()?;
        let [http, edge, node, core_http, grpc] = ports::free()?;
        let link = Proxy::start(node).await?;
        let certs = dir.path().join("certs");
        let made = Command::new(&binary)
            .args(["certs", "--node", "core-1", "--node", "edge-1", "--host", "localhost", "--out"])
            .arg(&certs)
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let identity = |name: &str| {
            format!(
                "ca = \"{0}/ca.pem\"\ncertificate = \"{0}/{name}.pem\"\nkey = \"{0}/{name}.key\"\n",
                certs.display()
            )
        };
        std::fs::write(
            dir.path().join("core.toml"),
            format!(
                "node = \"core-1\"\ndata = \"{}\"\n[http]\nlisten = [\"{core_http}\"]\n[core]\ngrpc = [\"{grpc}\"]\ntrust_loopback = true\n\
                 [log]\nformat = \"text\"\n[cluster]\nlisten = \"{node}\"\n{}",
                dir.path().display(),
                identity("core-1")
            ),
        )?;
        std::fs::write(
            dir.path().join("edge.toml"),
            format!(
                "node = \"edge-1\"\n[http]\nlisten = [\"{http}\"]\n[edge]\nlisten = [\"{edge}\"]\ncertificate = \"{0}/edge-1.pem\"\n\
                 key = \"{0}/edge-1.key\"\n[log]\nformat = \"text\"\n[cluster]\ncores = [{{ name = \"core-1\", address = \"{1}\" }}]\n{2}",
                certs.display(),
                link.address,
                identity("edge-1")
            ),
        )?;
        let mut cluster =
            Self { http, edge, node, link, core_http, binary, dir, edge_process: None, core_process: None };
        cluster.restart_core().await?;
        cluster.restart_edge().await?;
        Ok(cluster)
    }

    /// The folder with configurations, logs and, under `certs`, the private CA.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sends SIGHUP to both.
    ///
    /// # Errors
    /// There is no `kill` on this machine.
    pub fn hang_up(&self) -> anyhow::Result<()> {
        self.edge_process.iter().chain(&self.core_process).try_for_each(Process::hang_up)
    }

    /// Kills the edge (SIGKILL).
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn kill_edge(&mut self) -> anyhow::Result<()> {
        self.edge_process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Kills the core (SIGKILL).
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn kill_core(&mut self) -> anyhow::Result<()> {
        self.core_process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Starts the edge and waits until it is ready, which it is when it is attached to the core.
    ///
    /// # Errors
    /// It is not ready in time; the message has its log.
    pub async fn restart_edge(&mut self) -> anyhow::Result<()> {
        self.kill_edge()?;
        self.edge_process = Some(self.spawn("edge")?);
        process::ready(self.http, &self.dir.path().join("edge.log")).await
    }

    /// Starts the core and waits until it is ready.
    ///
    /// # Errors
    /// It is not ready in time; the message has its log.
    pub async fn restart_core(&mut self) -> anyhow::Result<()> {
        self.kill_core()?;
        self.core_process = Some(self.spawn("core")?);
        process::ready(self.core_http, &self.dir.path().join("core.log")).await
    }

    fn spawn(&self, role: &str) -> anyhow::Result<Process> {
        let config = self.dir.path().join(format!("{role}.toml"));
        let args = ["serve", "--config", &config.display().to_string(), "--roles", role].map(str::to_owned);
        Process::start(&self.binary, args, &self.dir.path().join(format!("{role}.log")))
    }
}
