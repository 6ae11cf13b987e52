//! The cluster under test, by way of `scripts/cluster`.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use gogochat_client::Target;
use serde::Deserialize;
use tokio::process::Command;

/// A cluster that is up.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    script: PathBuf,
}

/// An edge, a core or one of the services they need.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) kind: String,
    address: String,
    state: String,
}

impl Cluster {
    /// The one that this script tells of.
    pub(super) fn new(script: PathBuf) -> Self {
        Self { script }
    }

    /// All members.
    ///
    /// # Errors
    /// One is down, or there is no cluster.
    pub(super) async fn members(&self) -> anyhow::Result<Vec<Member>> {
        let members: Vec<Member> = serde_json::from_str(&self.run(&["status", "--json"]).await?)
            .with_context(|| format!("{} status --json", self.script.display()))?;
        let down: Vec<_> = members.iter().filter(|member| member.state != "up").map(|member| &member.name).collect();
        ensure!(down.is_empty(), "{down:?} are down: {} up", self.script.display());
        ensure!(members.iter().any(|member| member.kind == "edge"), "no edges: {} up", self.script.display());
        Ok(members)
    }

    /// SIGKILL.
    pub(super) async fn kill(&self, name: &str) -> anyhow::Result<()> {
        self.run(&["kill", name, "-9"]).await.map(drop)
    }

    /// SIGTERM; returns when the process has ended.
    pub(super) async fn stop(&self, name: &str) -> anyhow::Result<()> {
        self.run(&["stop", name]).await.map(drop)
    }

    /// Returns when it is ready.
    pub(super) async fn start(&self, name: &str) -> anyhow::Result<()> {
        self.run(&["start", name]).await.map(drop)
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let line = || format!("{} {}", self.script.display(), arguments.join(" "));
        let call = Command::new(&self.script).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, call)
            .await
            .with_context(|| format!("{} has not ended after {PATIENCE:?}", line()))?
            .with_context(|| format!("--cluster {}", self.script.display()))?;
        // The status of a cluster with a member down is a failure too, and says which.
        let told = arguments.first() == Some(&"status") && !output.stdout.is_empty();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() || told, "{}: {}", line(), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Member {
    /// Where clients reach it, if it is an edge.
    pub(super) fn target(&self) -> Option<anyhow::Result<Target>> {
        let url = || format!("https://{}", self.address);
        (self.kind == "edge").then(|| url().parse().with_context(url))
    }
}

/// A node is ready, or has drained, within a minute.
const PATIENCE: Duration = Duration::from_secs(90);
