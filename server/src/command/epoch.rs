//! `gogochat epoch`.

use clap::Args;
use gogochat_storage::{
    open,
    store::{Store as _, StoreError},
};

use super::{progress::say, store::Named};

/// Draws a new epoch: by it clients notice that the store tells another history than the one that they
/// know, and fetch everything anew. To be run once after the database was restored by its own means,
/// before the servers start; `restore` draws one by itself.
#[derive(Debug, Args)]
pub(super) struct Epoch {
    #[command(flatten)]
    store: Named,
}

impl Epoch {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let place = self.store.find()?;
        let epoch = place.block_on(async {
            let store = open::open_store(&place.url).await?;
            let epoch = store.renew_epoch().await;
            store.close().await;
            epoch.map_err(|error: StoreError| anyhow::anyhow!(error))
        })?;
        say(&format!("the store's epoch is {epoch} now: clients fetch everything anew"));
        Ok(())
    }
}
