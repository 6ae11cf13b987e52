//! A core alone, with settings that it may refuse to start with.

use std::{
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::{ports, process::Process};

/// Keys by their paths, and their values in TOML.
pub type Settings = Vec<(&'static str, String)>;

/// A core on a file of its own, but for what the settings say.
#[derive(Debug)]
pub struct LoneCore {
    /// Its clear address.
    pub http: SocketAddr,
    binary: PathBuf,
    dir: TempDir,
}

impl LoneCore {
    /// Makes its certificate and its configuration, named "core-1" unless the settings have a `node`.
    ///
    /// # Errors
    /// There is no such binary, or no room.
    pub fn new(binary: &str, settings: &[(&'static str, String)]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let [http, node, grpc] = ports::free()?;
        let named = settings.iter().find(|(key, _)| *key == "node");
        let name = named.map_or("core-1", |(_, value)| value.trim_matches('"'));
        let made = Command::new(binary).args(["certs", "--node", name, "--out"]).arg(dir.path()).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let file = |name: &str| format!("{:?}", dir.path().join(name));
        let mut all = vec![
            ("roles", "[\"core\"]".to_owned()),
            ("node", format!("{name:?}")),
            ("data", file("")),
            ("wait_ms", "1000".to_owned()),
            ("http.listen", format!("[\"{http}\"]")),
            ("core.grpc", format!("[\"{grpc}\"]")),
            ("cluster.listen", format!("\"{node}\"")),
            ("cluster.certificate", file(&format!("{name}.pem"))),
            ("cluster.key", file(&format!("{name}.key"))),
            ("cluster.ca", file("ca.pem")),
            ("log.format", "\"text\"".to_owned()),
        ];
        for (key, value) in settings {
            all.retain(|(other, _)| other != key);
            all.push((key, value.clone()));
        }
        let text: String = all.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        std::fs::write(dir.path().join("core.toml"), text)?;
        Ok(Self { http, binary: binary.into(), dir })
    }

    /// What it says on standard error.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("core.log")
    }

    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self) -> anyhow::Result<Process> {
        let config = self.dir.path().join("core.toml").display().to_string();
        Process::start(&self.binary, ["serve", "--config", config.as_str()], &self.log())
    }
}

/// Starts a core with these settings, which has to refuse: it ends with 1 and says all of this, the
/// first in its last words, and no `secret`.
///
/// # Errors
/// It does not; the message has what it says instead.
pub async fn refuses(
    binary: &str,
    settings: &[(&'static str, String)],
    says: &[String],
    secret: &str,
) -> anyhow::Result<()> {
    let core = LoneCore::new(binary, settings)?;
    let ended = core.start()?.ended(Duration::from_secs(120)).await;
    let said = std::fs::read_to_string(core.log())?;
    let status = ended.with_context(|| format!("{settings:?}: {said}"))?;
    ensure!(status.code() == Some(1), "{settings:?}: {said}");
    for part in says {
        ensure!(said.contains(part), "{part} in: {said}");
    }
    let (_, last) = said.rsplit_once("gogochat: ").context("it has no last words")?;
    ensure!(says.first().is_some_and(|key| last.contains(key)), "{last}");
    ensure!(!said.contains(secret), "{said}");
    ensure!(!said.contains('\u{1b}'), "colours in a file: {said}");
    ensure!(!said.contains("ready") && TcpStream::connect(core.http).is_err(), "{said}");
    Ok(())
}
