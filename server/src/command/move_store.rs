//! `gogochat move`.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, bail};
use clap::Args;
use gogochat_storage::{
    open,
    store::{
        Store as _, sqlite,
        transfer::{self, Becomes, Transferred},
    },
};

use super::progress::{Teller, say};
use crate::{
    config::{Log, LogFormat},
    telemetry,
};

/// Moves an installation from SQLite to MySQL: copies everything into an empty database and
/// compares it. The server has to be stopped. Cut off, the same command goes on where it was.
/// Sign-ins and what clients have read so far stay valid.
#[derive(Debug, Args)]
pub(super) struct Move {
    /// The store to move, as core.store names it: "sqlite:PATH". It is left as it is.
    #[arg(long, value_name = "URL")]
    from: String,
    /// The database to move it to, as core.store names it: "mysql://USER:PASSWORD@HOST:PORT/DATABASE".
    #[arg(long, value_name = "URL", env = "GOGOCHAT_MOVE_TO", hide_env_values = true)]
    to: String,
}

impl Move {
    pub(super) fn run(self) -> anyhow::Result<()> {
        telemetry::start_logs(&Log { format: LogFormat::Text, level: "info".into() })?;
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(self.transfer())
    }

    async fn transfer(self) -> anyhow::Result<()> {
        let from = sqlite_path(&self.from).context("--from")?;
        open::check_store(&self.to).context("--to")?;
        let source = sqlite::open_alone(&from).await.context("--from")?;
        let target = open::open_for_transfer(&self.to).await.context("--to")?;
        let name = std::fs::canonicalize(&from).context("--from")?.display().to_string();
        let (begin, mut teller) = (Instant::now(), Teller::default());
        let done =
            transfer::transfer(&source, &target, &name, Becomes::Successor, &mut |progress| teller.tell(&progress))
                .await?;
        source.close().await;
        target.close().await;
        let what = match done {
            Transferred::Copied => format!("moved in {:.0} s", begin.elapsed().as_secs_f64()),
            Transferred::Before => "moved already, and equal: nothing was copied".to_owned(),
        };
        say(&format!("{what}: give core.store the URL of the database, and keep {name} until you are sure"));
        Ok(())
    }
}

/// What is refused is not repeated: where the two are exchanged it has a password.
fn sqlite_path(url: &str) -> anyhow::Result<PathBuf> {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(Path::new(path).to_owned()),
        _ if url.starts_with("mysql:") => {
            bail!("this is a MySQL database, which is what --to takes: write sqlite:PATH")
        }
        _ => bail!("write sqlite:PATH, as the present core.store has it"),
    }
}
