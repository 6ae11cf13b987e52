//! Checkpoints: moves what was committed from the write-ahead log into the file, beside the
//! commits. If that were left to SQLite, a commit would do it every so many pages, and the commits
//! behind it would wait for very many writes and two more syncs.

use std::time::Duration;

use sea_orm::DatabaseConnection;
use tokio::time::{MissedTickBehavior, interval};

use super::dialect::DIALECT;
use crate::store::{StoreError, sql::Db};

/// Looks at the log now and again; ends when it is aborted. `own` is a connection for this alone.
pub(super) async fn run(own: DatabaseConnection, writer: DatabaseConnection) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        let result = checkpoint(&own, &writer, PAGES).await;
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
/// it: then the next time does).
pub(super) async fn checkpoint(
    own: &DatabaseConnection,
    writer: &DatabaseConnection,
    pages: i64,
) -> Result<(), StoreError> {
    if pragma(own, "NOOP").await? >= pages {
        pragma(own, "PASSIVE").await?;
        pragma(writer, "PASSIVE").await?;
    }
    Ok(())
}

/// Runs a checkpoint of a mode (<https://www.sqlite.org/pragma.html#pragma_wal_checkpoint>); the pages
/// in the log, moved or not.
pub(super) async fn pragma(connection: &DatabaseConnection, mode: &str) -> Result<i64, StoreError> {
    let db = Db::new(connection, &DIALECT);
    let row = db.row(format!("PRAGMA wal_checkpoint({mode})"), vec![]).await?;
    row.map_or(Ok(0), |row| row.int(1))
}

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(250);

/// Pages in the log (4 KiB each) that are worth moving. The more, the fewer are written again and again.
const PAGES: i64 = 16_000;
