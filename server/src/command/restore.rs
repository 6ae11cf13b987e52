//! `gogochat restore`.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use gogochat_storage::open;

use super::{
    progress::{Teller, say},
    store::Named,
};

/// Restores a backup into a store of either kind. Every server of it has to be stopped. The backup is
/// read and compared first, and left as it is. Cut off, the same command makes it good: until it is
/// through, servers have what was there before, or refuse the store.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    store: Named,
    /// Gives up what the store has. Without, only an empty store is taken.
    #[arg(long)]
    replace: bool,
}

impl Restore {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let place = self.store.find()?;
        place.make_folder()?;
        let (begin, mut teller) = (Instant::now(), Teller::default());
        let mut tell = |progress| teller.tell(&progress);
        place.block_on(open::restore(&self.file, &place.url, self.replace, &mut tell))?;
        say(&format!(
            "the store is what {} has, compared, in {:.1} s: put files of messages back ({}), then start the servers",
            self.file.display(),
            begin.elapsed().as_secs_f64(),
            place.blobs,
        ));
        Ok(())
    }
}
