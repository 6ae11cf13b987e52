//! A server as a process of its own.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::{http, ports};

/// A process of the binary `gogochat`, ended when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `binary` with these arguments. What it says on standard error goes to `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start<S: AsRef<OsStr>>(
        binary: &Path,
        args: impl IntoIterator<Item = S>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        Self::start_with(binary, args, [], log)
    }

    /// The same, with more in its environment.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_with<S: AsRef<OsStr>>(
        binary: &Path,
        args: impl IntoIterator<Item = S>,
        environment: impl IntoIterator<Item = (String, String)>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let log = std::fs::File::options().create(true).append(true).open(log)?;
        let child = Command::new(binary)
            .args(args)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{}", binary.display()))?;
        Ok(Self { child })
    }

    /// The process's number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGKILL.
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let _ = self.child.kill();
        self.child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// There is no `kill` on this machine.
    pub fn terminate(&self) -> anyhow::Result<()> {
        Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        Ok(())
    }

    /// Sends SIGHUP.
    ///
    /// # Errors
    /// There is no `kill` on this machine.
    pub fn hang_up(&self) -> anyhow::Result<()> {
        Command::new("kill").args(["-HUP", &self.pid().to_string()]).status()?;
        Ok(())
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It has not ended after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if begin.elapsed() > limit {
                bail!("process {} still runs after {limit:?}", self.pid());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// `gogochat dev` on free ports of 127.0.0.1, with data of its own; it can be killed and started again on the same ports and data.
#[derive(Debug)]
pub struct Dev {
    /// The clear address.
    pub http: SocketAddr,
    /// The address with TLS and QUIC.
    pub edge: SocketAddr,
    /// Public gRPC.
    pub grpc: SocketAddr,
    binary: PathBuf,
    data: TempDir,
    process: Option<Process>,
}

impl Dev {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It is not ready after 90 s; the message has its log.
    pub async fn start(binary: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let [http, edge, grpc] = ports::free()?;
        let mut dev = Self { http, edge, grpc, binary: binary.into(), data: tempfile::tempdir()?, process: None };
        dev.restart().await?;
        Ok(dev)
    }

    /// Kills it (SIGKILL) and waits for the end.
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Starts it on the ports and the data it had, and waits until it is ready.
    ///
    /// # Errors
    /// It is not ready after 90 s; the message has its log.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        let args = [
            "dev".to_owned(),
            "--data".to_owned(),
            self.data().display().to_string(),
            format!("--http={}", self.http),
            format!("--edge={}", self.edge),
            format!("--grpc={}", self.grpc),
        ];
        self.process = Some(Process::start(&self.binary, args, &self.log())?);
        ready(self.http, &self.log()).await
    }

    /// The running process.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.data().join("cert.pem")
    }

    /// Where its standard output and error go.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.data().join("log.txt")
    }

    /// "https://127.0.0.1:PORT".
    #[must_use]
    pub fn edge_url(&self) -> String {
        format!("https://{}", self.edge)
    }

    /// "http://127.0.0.1:PORT".
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http)
    }
}

/// KiB of memory that a process has resident, of `/proc/PID/status`.
///
/// # Errors
/// There is no such process.
pub fn resident_kib(pid: u32) -> anyhow::Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("the process has ended")?;
    Ok(line.split_whitespace().nth(1).context("it says nothing")?.parse()?)
}

/// Waits until `/readyz` on `address` answers 200.
///
/// # Errors
/// It does not within 90 s; the message has the end of the log.
pub async fn ready(address: SocketAddr, log: &Path) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        if http::get(address, "/readyz").await.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        if begin.elapsed() > READY {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            let from = log.char_indices().rev().nth(4_000).map_or(0, |(at, _)| at);
            bail!("not ready after {READY:?}:\n{}", log.get(from..).unwrap_or_default());
        }
        tokio::time::sleep(POLL).await;
    }
}

const POLL: Duration = Duration::from_millis(20);
/// As long as a machine takes that has much else to do.
const READY: Duration = Duration::from_secs(90);
