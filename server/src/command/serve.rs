//! `gogochat serve`.

use std::path::PathBuf;

use clap::Args;

use super::check_config;
use crate::{
    assemble, built,
    certificate::Reloadable,
    check::Accepted,
    config::{Role, Service, Sources},
    telemetry,
};

/// Starts what the configuration says.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The TOML file; docs/gogochat.example.toml has every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What this process does, over the configuration: "edge", "core" or "edge,core".
    #[arg(long, value_delimiter = ',', value_name = "ROLE")]
    roles: Vec<Role>,
    /// What a core of this process runs, over the configuration:
    /// "account,social,chat,sync,presence" or some of them.
    #[arg(long, value_delimiter = ',', value_name = "SERVICE")]
    services: Vec<Service>,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { config, roles, services } = self;
        let sources = Sources { file: config.as_deref(), env_file: None, roles, services };
        let Accepted { config, advice } = check_config::load(&sources, None)?;
        telemetry::start_logs(&config.log)?;
        if let Some(lacks) = built::LACKS {
            tracing::info!("{lacks}");
        }
        for advice in advice {
            tracing::warn!("{advice}");
        }
        let open = || Reloadable::open(config.edge.certificate.clone(), config.edge.key.clone());
        let certificate = config.has(Role::Edge).then(open).transpose()?;
        assemble::run(config, certificate, || Ok(()))
    }
}
