//! Checkpoints: moves what was committed from the write-ahead log into the file, beside the
//! commits. If that were left to SQLite, a commit would do it every so many pages, and the commits
//! behind it would wait for very many writes and two more syncs.

use std::time::Duration;

use sea_orm::DatabaseConnection;
use tokio::time::{MissedTickBehavior, interval};

use super::dialect::DIALECT;
use crate::{
    log_throttle::LogThrottle,
    store::{StoreError, sql::Db},
};

/// Looks at the log now and again; ends when it is aborted. `own` is a connection for this alone.
pub(super) async fn run(own: DatabaseConnection, writer: DatabaseConnection) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    let said = LogThrottle::new(SELDOM);
    loop {
        ticks.tick().await;
        let result = checkpoint(&own, &writer, PAGES).await;
        if let Some(grown) = result.as_ref().ok().and_then(|kept| grown(*kept))
            && let Some(times) = said.due()
        {
            tracing::warn!(times, "core.store: {grown}");
        }
        if let Err(error) = &result
            && !failing
        {
            tracing::warn!(%error, "the write-ahead log cannot be moved into the file and grows");
        }
        failing = result.is_err();
    }
}

/// Moves the log's pages if there are so many: most of them while commits go on, the rest between two
/// commits, which lets the next commit begin the log from its start (unless a reader still looks into
/// it: then the next time does). The pages that could not be moved, since a reader still reads what the
/// file has in their place.
pub(super) async fn checkpoint(
    own: &DatabaseConnection,
    writer: &DatabaseConnection,
    pages: i64,
) -> Result<i64, StoreError> {
    if pragma(own, "NOOP").await?.pages < pages {
        return Ok(0);
    }
    pragma(own, "PASSIVE").await?;
    let log = pragma(writer, "PASSIVE").await?;
    Ok(log.pages - log.moved)
}

/// What is to be said of a log that keeps so many pages.
pub(super) fn grown(kept: i64) -> Option<String> {
    let mib = kept / (MIB / PAGE);
    (kept >= GROWN).then(|| {
        format!(
            "the write-ahead log (gogochat.db-wal) grows, {mib} MiB of it cannot be moved into the file: another process has \
             read the file without a pause since then; end it, and the log shrinks by itself"
        )
    })
}

/// The write-ahead log.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Log {
    /// Pages in it.
    pub(super) pages: i64,
    /// Those of them that are in the file as well.
    pub(super) moved: i64,
}

/// Runs a checkpoint of a mode (<https://www.sqlite.org/pragma.html#pragma_wal_checkpoint>).
pub(super) async fn pragma(connection: &DatabaseConnection, mode: &str) -> Result<Log, StoreError> {
    let db = Db::new(connection, &DIALECT);
    let row = db.row(format!("PRAGMA wal_checkpoint({mode})"), vec![]).await?;
    row.map_or(Ok(Log::default()), |row| Ok(Log { pages: row.int(1)?, moved: row.int(2)? }))
}

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(250);

/// Pages in the log (4 KiB each) that are worth moving. The more, the fewer are written again and again.
const PAGES: i64 = 16_000;
/// Pages that stay in the log although they are worth moving, of which it is warned: 250 MiB.
const GROWN: i64 = 64_000;
const PAGE: i64 = 4_096;
const MIB: i64 = 1 << 20;
/// How often it is warned.
const SELDOM: Duration = Duration::from_secs(60);
