//! `gogochat check-config`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::bail;
use clap::Args;

use crate::config::{self, Config, Role, Service};

/// Reads a configuration, with the environment, as `serve` would.
#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    /// The TOML file; docs/gogochat.example.toml has every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What the process does, over the configuration, as for `serve`.
    #[arg(long, value_delimiter = ',', value_name = "ROLE")]
    roles: Vec<Role>,
    /// What a core runs, over the configuration, as for `serve`.
    #[arg(long, value_delimiter = ',', value_name = "SERVICE")]
    services: Vec<Service>,
}

impl CheckConfig {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = load(self.config.as_deref(), self.roles, self.services)?;
        let roles =
            config.roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect::<Vec<_>>().join(" and ");
        let mut console = std::io::stdout().lock();
        writeln!(console, "the configuration is good: {} is {roles}", config.node)?;
        for advice in config::advice(&config) {
            writeln!(console, "  {advice}")?;
        }
        Ok(())
    }
}

/// A configuration without problems; `roles` and `services`, if any, replace the configured ones.
///
/// # Errors
/// Names the file, the keys at fault, and what to do.
pub(super) fn load(file: Option<&Path>, roles: Vec<Role>, services: Vec<Service>) -> anyhow::Result<Config> {
    let mut config = Config::load(file)?;
    if !roles.is_empty() {
        config.roles = roles;
    }
    if !services.is_empty() {
        config.core.services = services;
    }
    let problems = config::check(&config);
    if problems.is_empty() {
        return Ok(config);
    }
    let place = file.map_or_else(|| "the environment and the defaults".to_owned(), |file| file.display().to_string());
    let list = problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
    bail!("{place}: {} to mend:{list}", problems.len());
}
