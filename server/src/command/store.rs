//! Which store a command is about.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;

use crate::{
    config::{Config, Log, LogFormat, Sources},
    telemetry,
};

/// How a command line names a store.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// The data folder of `gogochat dev`, or of a server whose store is in it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The TOML file of a server that uses the store.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The same, with what a unit adds to its configuration.
#[derive(Debug, Args)]
pub(super) struct Named {
    #[command(flatten)]
    which: Which,
    /// With --config: a file of variables, as the EnvironmentFile= of a systemd unit.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    env_file: Option<PathBuf>,
}

/// A store that was named.
#[derive(Debug)]
pub(super) struct Place {
    /// As core.store names it.
    pub(super) url: String,
    /// Where files of messages are, as core.blobs names it.
    pub(super) blobs: String,
}

impl Named {
    /// Reads what names it, and starts logging.
    pub(super) fn find(&self) -> anyhow::Result<Place> {
        let config = match &self.which.data {
            Some(data) => Config {
                data: data.clone(),
                log: Log { format: LogFormat::Text, level: "info".into() },
                ..Config::default()
            },
            None => self.configured()?,
        };
        telemetry::start_logs(&config.log)?;
        let blobs = match config.core.blobs.as_str() {
            "folder" => config.data.join("blobs").display().to_string(),
            named => named.to_owned(),
        };
        Ok(Place { url: config.store_url(), blobs })
    }

    /// What else the configuration says may be of another machine.
    fn configured(&self) -> anyhow::Result<Config> {
        let (file, env_file) = (self.which.config.as_deref(), self.env_file.as_deref());
        let given = Sources { file, env_file, ..Sources::default() }.read();
        if given.problems.is_empty() {
            return Ok(given.config());
        }
        let list = given.problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
        Err(anyhow!("{} to mend:{list}", given.problems.len()))
    }
}

impl Place {
    /// The folder of a store that is a file.
    pub(super) fn make_folder(&self) -> anyhow::Result<()> {
        match self.url.strip_prefix("sqlite:").and_then(|path| Path::new(path).parent()) {
            Some(folder) => std::fs::create_dir_all(folder).with_context(|| folder.display().to_string()),
            None => Ok(()),
        }
    }

    pub(super) fn block_on<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
    where
        anyhow::Error: From<E>,
    {
        Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)?)
    }
}
