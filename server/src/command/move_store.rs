//! `gogochat move`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use gogochat_storage::store::{
    Store as _, mysql, sqlite,
    transfer::{self, Progress},
};

use crate::{
    config::{Log, LogFormat},
    telemetry,
};

/// Moves an installation from SQLite to MySQL: copies everything into an empty database and compares it. The server has to be stopped.
/// Cut off, the same command goes on where it was. Sign-ins and what clients have read so far stay valid.
#[derive(Debug, Args)]
pub(super) struct Move {
    /// The store to move, as core.store names it: "sqlite:PATH". It is left as it is.
    #[arg(long, value_name = "URL", value_parser = sqlite_path)]
    from: PathBuf,
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
        let source = sqlite::open_alone(&self.from).await.context("--from")?;
        let target = mysql::open_for_transfer(&self.to).await.context("--to")?;
        let name = std::fs::canonicalize(&self.from).context("--from")?.display().to_string();
        let (begin, mut console) = (Instant::now(), Console::default());
        transfer::transfer(&source, &target, &name, &mut |progress| console.tell(&progress)).await?;
        source.close().await;
        target.close().await;
        say(&format!(
            "moved in {:.0} s: give core.store the URL of the database, and keep {name} until you are sure",
            begin.elapsed().as_secs_f64()
        ));
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

fn sqlite_path(url: &str) -> Result<PathBuf, String> {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(Path::new(path).to_owned()),
        _ => Err("write sqlite:PATH, as the present core.store has it".into()),
    }
}

const BETWEEN_LINES: Duration = Duration::from_secs(1);
