//! `gogochat check-config`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use clap::Args;

use crate::{
    check::{self, Accepted},
    config::{Role, Runner, Service, Sources},
    settings,
};

/// Reads a configuration, with the environment, as `serve` would.
#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    /// The TOML file; docs/gogochat.example.toml has every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file of variables, as the EnvironmentFile= of a systemd unit: they go before those of this shell.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// The user that will run the server: files have to be readable for that user, and folders
    /// writable [default: for root, the user of the installed gogochat.service; else who asks].
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// What the process does, over the configuration, as for `serve`.
    #[arg(long, value_delimiter = ',', value_name = "ROLE")]
    roles: Vec<Role>,
    /// What a core runs, over the configuration, as for `serve`.
    #[arg(long, value_delimiter = ',', value_name = "SERVICE")]
    services: Vec<Service>,
}

impl CheckConfig {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let is_root = rustix::process::geteuid().is_root();
        let runner = match &self.user {
            Some(name) => Some(Runner::named(name).context("--user")?),
            None if is_root => Runner::of_unit()?,
            None => None,
        };
        let sources = Sources {
            file: self.config.as_deref(),
            env_file: self.env_file.as_deref(),
            roles: self.roles,
            services: self.services,
        };
        let Accepted { config, advice } = load(&sources, runner.as_ref())?;
        let roles =
            config.roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect::<Vec<_>>().join(" and ");
        let user = runner.as_ref().map(|runner| format!(", for the user {}", runner.name)).unwrap_or_default();
        let mut console = std::io::stdout().lock();
        writeln!(console, "the configuration is good{user}: {} is {roles}", config.node)?;
        for advice in advice {
            writeln!(console, "  {advice}")?;
        }
        if let Some(room) = settings::room(&config) {
            writeln!(console, "  edge.sessions: {room}, as seen from here")?;
        }
        if is_root && runner.is_none() {
            writeln!(console, "  checked as root, who may read every file: give --user NAME, who will run the server")?;
        }
        Ok(())
    }
}

/// A configuration without mistakes, and what is worth saying of it. `runner`: who will run the
/// server; `None`: the user of this process.
///
/// # Errors
/// All mistakes: each with its place, the key, and what to do.
pub(super) fn load(sources: &Sources<'_>, runner: Option<&Runner>) -> anyhow::Result<Accepted> {
    let source = |file: &Path| format!("{}: ", file.display());
    check::accept(&sources.read(), runner).map_err(|problems| {
        let list = problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
        let file = sources.file.map(source).unwrap_or_default();
        anyhow!("{file}{} to mend:{list}", problems.len())
    })
}
