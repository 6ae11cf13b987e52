//! `gogochat backup`.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use gogochat_storage::open;

use super::{
    progress::{Teller, say},
    store::Named,
};

/// Makes a backup of the store, beside the servers that work with it: one file, an SQLite database
/// whatever the store is, which only its owner can read. It has all that was acknowledged before it
/// began, and it is there once it is whole, read back and on disk. Files of messages (core.blobs),
/// certificates and the configuration are not in it.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to make, where there is none of this name.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    store: Named,
}

impl Backup {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let place = self.store.find()?;
        let (begin, mut teller) = (Instant::now(), Teller::default());
        let mut tell = |progress| teller.tell(&progress);
        place.block_on(open::back_up(&place.url, &self.file, &mut tell))?;
        let bytes = self.file.metadata()?.len();
        say(&format!(
            "{} is a backup of the store: {}, made and read back in {:.1} s. In it are accounts, devices, contacts, \
             conversations and messages. Not in it are files of messages ({}), certificates and the configuration",
            self.file.display(),
            super::progress::size(bytes),
            begin.elapsed().as_secs_f64(),
            place.blobs,
        ));
        Ok(())
    }
}
