//! `gogochat epoch`.

use std::io::Write as _;

use anyhow::Context as _;
use clap::Args;
use gogochat_storage::{open, store::Store as _};

use crate::{
    config::{Log, LogFormat},
    telemetry,
};

/// Draws a new epoch: by it clients notice that the store tells another history than the one that they
/// know, and fetch everything anew. To be run once after the database was restored by its own means,
/// before the servers start.
#[derive(Debug, Args)]
pub(super) struct Epoch {
    /// The store, as core.store names it.
    #[arg(long, value_name = "URL", env = "GOGOCHAT_EPOCH_STORE", hide_env_values = true)]
    store: String,
}

impl Epoch {
    pub(super) fn run(self) -> anyhow::Result<()> {
        telemetry::start_logs(&Log { format: LogFormat::Text, level: "warn".into() })?;
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(self.renew())
    }

    async fn renew(self) -> anyhow::Result<()> {
        open::check_store(&self.store).context("--store")?;
        let store = open::open_store(&self.store).await.context("--store")?;
        let epoch = store.renew_epoch().await?;
        store.close().await;
        writeln!(std::io::stdout(), "the store's epoch is {epoch} now: clients fetch everything anew")?;
        Ok(())
    }
}
