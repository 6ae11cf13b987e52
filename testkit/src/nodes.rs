//! A cluster of real processes on the real services: any number of edges and cores, which find each
//! other by etcd.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::{
    links::Links,
    ports,
    process::{self, Process},
};

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Edges.
    pub edges: usize,
    /// Cores, by the services that each runs; none: every service.
    pub cores: Vec<Vec<&'static str>>,
    /// Whether cores share commands by Kafka; else one alone may run "chat".
    pub kafka: bool,
    /// Whether services are reached over TLS.
    pub tls: bool,
}

/// The cluster.
#[derive(Debug)]
pub struct Nodes {
    /// Its edges.
    pub edges: Vec<Node>,
    /// Its cores.
    pub cores: Vec<Node>,
    // Dropped after the processes that use them.
    _links: Links,
    _dir: TempDir,
}

/// A process of the cluster.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The clear address.
    pub http: SocketAddr,
    /// An edge's address with TLS and QUIC; where a core takes edges.
    pub edge: SocketAddr,
    /// What it says on standard error.
    pub log: PathBuf,
    binary: PathBuf,
    config: PathBuf,
    environment: Vec<(String, String)>,
    process: Option<Process>,
}

impl Nodes {
    /// Starts it on a database and names of its own, and waits until every node is ready.
    ///
    /// # Errors
    /// A service is not there; a node is not ready in time: the message has its log.
    pub async fn start(binary: impl Into<PathBuf>, plan: &Plan) -> anyhow::Result<Self> {
        let mut nodes = Self::prepare(binary, plan)?;
        nodes.start_all().await?;
        Ok(nodes)
    }

    /// Starts every node, and waits until all are ready.
    ///
    /// # Errors
    /// One is not in time: the message has its log.
    pub async fn start_all(&mut self) -> anyhow::Result<()> {
        for node in self.cores.iter_mut().chain(&mut self.edges) {
            node.start()?;
        }
        for node in self.cores.iter().chain(&self.edges) {
            node.ready().await?;
        }
        Ok(())
    }

    /// Makes everything that the nodes need, and starts none of them.
    ///
    /// # Errors
    /// A service is not there.
    pub fn prepare(binary: impl Into<PathBuf>, plan: &Plan) -> anyhow::Result<Self> {
        let binary = binary.into();
        let dir = tempfile::tempdir()?;
        let name = unique();
        let links = if plan.tls { Links::over_tls(&name)? } else { Links::in_clear(&name)? };
        let names = |kind: &str, count: usize| (1..=count).map(|n| format!("{kind}-{n}")).collect::<Vec<_>>();
        let (cores, edges) = (names("core", plan.cores.len()), names("edge", plan.edges));
        let certs = dir.path().join("certs");
        let mut command = Command::new(&binary);
        command.arg("certs").arg("--out").arg(&certs).args(["--host", "localhost"]);
        for node in cores.iter().chain(&edges) {
            command.args(["--node", node]);
        }
        let made = command.output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

        let bus = if plan.kafka { "kafka" } else { "channel" };
        let cluster = |node: &str| {
            format!(
                "[cluster]\nname = \"{name}\"\ndiscovery = \"etcd\"\n{1}ca = \"{0}/ca.pem\"\n\
                 certificate = \"{0}/{node}.pem\"\nkey = \"{0}/{node}.key\"\n",
                certs.display(),
                links.cluster
            )
        };
        let make = |node: &str, text: &dyn Fn(SocketAddr, SocketAddr, SocketAddr) -> String| {
            let [http, edge, other] = ports::free()?;
            let config = dir.path().join(format!("{node}.toml"));
            let text = format!(
                "node = \"{node}\"\ndata = \"{}\"\ndrain_ms = 5000\n{}[log]\nformat = \"text\"\n",
                dir.path().display(),
                text(http, edge, other)
            );
            std::fs::write(&config, text)?;
            let log = dir.path().join(format!("{node}.log"));
            let (name, binary, environment) = (node.to_owned(), binary.clone(), Vec::new());
            anyhow::Ok(Node { name, http, edge, log, binary, config, environment, process: None })
        };
        let cores = cores.iter().zip(&plan.cores).map(|(node, run)| {
            let run = if run.is_empty() { String::new() } else { format!("services = {run:?}\n") };
            make(node, &|http, listen, grpc| {
                format!(
                    "roles = [\"core\"]\n[http]\nlisten = [\"{http}\"]\n[core]\nbus = \"{bus}\"\nkafka_session_ms = 3000\n\
                     presence = \"redis\"\n{}grpc = [\"{grpc}\"]\ntrust_loopback = true\n{run}{}listen = \"{listen}\"\n",
                    links.core,
                    cluster(node)
                )
            })
        });
        let edges = edges.iter().map(|node| {
            make(node, &|http, edge, _| {
                format!(
                    "roles = [\"edge\"]\n[http]\nlisten = [\"{http}\"]\n[edge]\nlisten = [\"{edge}\"]\npublic = \"https://{edge}\"\n\
                     certificate = \"{0}/{node}.pem\"\nkey = \"{0}/{node}.key\"\n{1}",
                    certs.display(),
                    cluster(node)
                )
            })
        });
        Ok(Self {
            cores: cores.collect::<Result<_, _>>()?,
            edges: edges.collect::<Result<_, _>>()?,
            _links: links,
            _dir: dir,
        })
    }
}

impl Node {
    /// Has a key say something else than its configuration does, from its next start on:
    /// "GOGOCHAT__CLUSTER__ADDRESS".
    pub fn set(&mut self, key: &str, value: impl ToString) {
        self.environment.push((key.to_owned(), value.to_string()));
    }

    /// Starts it, ended if it still runs.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        let args = ["serve".into(), "--config".into(), self.config.display().to_string()];
        self.process = Some(Process::start_with(&self.binary, args, self.environment.clone(), &self.log)?);
        Ok(())
    }

    /// Has it find another address where its configuration has this one.
    ///
    /// # Errors
    /// The configuration does not have it.
    pub fn redirect(&self, from: &str, to: SocketAddr) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(&self.config)?;
        ensure!(text.contains(from), "{} knows nothing of {from}", self.name);
        Ok(std::fs::write(&self.config, text.replace(from, &to.to_string()))?)
    }

    /// Changes its configuration, for its next start.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn configure(&self, change: impl FnOnce(String) -> String) -> anyhow::Result<()> {
        Ok(std::fs::write(&self.config, change(std::fs::read_to_string(&self.config)?))?)
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// It is not in time; the message has its log.
    pub async fn ready(&self) -> anyhow::Result<()> {
        process::ready(self.http, &self.log).await.with_context(|| self.name.clone())
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Sends SIGTERM and waits for its end, within half a minute.
    ///
    /// # Errors
    /// It has not ended, or not well.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.terminate()?;
            let status = process.ended(Duration::from_secs(30)).await?;
            ensure!(status.success(), "{} ended with {status}", self.name);
        }
        Ok(())
    }

    /// Waits for its end: its exit code and what it said.
    ///
    /// # Errors
    /// It has not ended within half a minute.
    pub async fn ended(&mut self) -> anyhow::Result<(Option<i32>, String)> {
        let mut process = self.process.take().context("it was not started")?;
        let status = process.ended(Duration::from_secs(30)).await?;
        Ok((status.code(), said(&self.log)?))
    }
}

fn said(log: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(log)
}

/// A name that no other test and no earlier run has.
fn unique() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    format!("test_{}_{now:x}", std::process::id())
}
