//! `gogochat move`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use gogochat_storage::{
    open,
    store::{
        Store as _, sqlite,
        transfer::{self, Progress, Transferred},
    },
};

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
        telemetry::start_logs(&Log { format: LogFormat::Text, level: "warn".into() })?;
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(self.transfer())
    }

    async fn transfer(self) -> anyhow::Result<()> {
        let from = sqlite_path(&self.from).context("--from")?;
        open::check_store(&self.to).context("--to")?;
        let source = sqlite::open_alone(&from).await.context("--from")?;
        let target = open::open_for_transfer(&self.to).await.context("--to")?;
        let name = std::fs::canonicalize(&from).context("--from")?.display().to_string();
        let (begin, mut console) = (Instant::now(), Console::default());
        let done = transfer::transfer(&source, &target, &name, &mut |progress| console.tell(&progress)).await?;
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

/// Says what is done, of copying a line a second at most.
#[derive(Debug, Default)]
struct Console {
    last: Option<Instant>,
}

impl Console {
    fn tell(&mut self, progress: &Progress) {
        match progress {
            Progress::Continues => say("the database has a part of this store already: going on behind it"),
            Progress::Copied { table, done, total } => {
                if done < total && self.last.is_some_and(|last| last.elapsed() < BETWEEN_LINES) {
                    return;
                }
                self.last = Some(Instant::now());
                say(&format!("copied {done} of {total} rows of {table}"));
            }
            Progress::Verified { table, rows, parts } if *parts > 1 => {
                say(&format!("compared {rows} rows of {table} in {parts} logs: equal"));
            }
            Progress::Verified { table, rows, .. } => say(&format!("compared {rows} rows of {table}: equal")),
        }
    }
}

/// A line for who watches; nobody has to.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
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

const BETWEEN_LINES: Duration = Duration::from_secs(1);
