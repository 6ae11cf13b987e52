//! Backups: one moment of a store, in one file, and the way back into a store.
//!
//! The file is an SQLite database with the tables of a store, whatever the store was, and two more:
//! what it is a backup of, and a sum of each table. So any tool can read it, it goes back into
//! either kind of store, and damage is noticed. A server does not take it for a store.
//!
//! What was committed before the backup began is in it. It is read in one transaction, which keeps
//! nobody from writing. The file gets its name once it is complete and on disk. Files of messages
//! are not in it.

mod error;
mod part;
mod restore;
mod seal;

use std::{future::Future, path::Path, time::Duration};

use self::part::Part;
pub use self::{
    error::BackupError,
    restore::{Backup, into_sqlite},
};
use super::{
    SqlStore, Store as _, StoreError,
    sql::migrate,
    sqlite::{self, Purpose},
    transfer::{self, Becomes, Progress, Report, TransferError},
};
use crate::clock;

/// Makes a backup of the SQLite store in a file, beside the server that works with it.
///
/// # Errors
/// There is a file of that name, or no room for it; the store cannot be read, or another program wrote it.
pub async fn of_sqlite(store: &Path, to: &Path, report: Report<'_>) -> Result<(), BackupError> {
    let part = begin(to)?;
    let begun = clock::now_ms();
    if !store.is_file() {
        let reason = "there is no such file".to_owned();
        return Err(BackupError::File { path: store.to_owned(), reason });
    }
    let failed = |error: StoreError| BackupError::of(store, error);
    let source = sqlite::open_for(store, Purpose::Beside).await.map_err(failed)?;
    migrate::require_current(&source.alone()).await.map_err(|error| BackupError::of(store, error))?;
    let size = size(&source).await.map_err(failed)?;
    let name = part
        .path()
        .to_str()
        .ok_or_else(|| BackupError::File { path: to.to_owned(), reason: "a name in UTF-8 is needed".to_owned() })?;
    // Copies page by page within one reading transaction. The step by step copy of SQLite begins anew
    // whenever another process has written, and beside a busy server does not end.
    let db = source.alone();
    let written = watch(part.path(), size, report, db.execute("VACUUM INTO ?", vec![name.into()])).await;
    written.map_err(|error| BackupError::of(part.path(), error))?;
    source.close().await;
    seal::seal(part.path(), begun, report).await?;
    part.keep()
}

/// Makes a backup of another store, which has to be a snapshot: what changes in it while it is read is an
/// error in the end.
///
/// # Errors
/// There is a file of that name, or no room for it; the store cannot be read.
pub async fn of_snapshot(source: &SqlStore, to: &Path, report: Report<'_>) -> Result<(), BackupError> {
    let part = begin(to)?;
    let begun = clock::now_ms();
    let failed = |error: migrate::MigrateError| BackupError::of(part.path(), error);
    let target = sqlite::make(part.path()).await.map_err(failed)?;
    let name = to.display().to_string().chars().take(NAME).collect::<String>();
    transfer::transfer(source, &target, &name, Becomes::Copy, report).await.map_err(|error| match error {
        // Nothing of it is kept.
        TransferError::Target(error) => BackupError::of(part.path(), error),
        other => BackupError::Transfer(other),
    })?;
    target.close().await;
    seal::seal(part.path(), begun, report).await?;
    part.keep()
}

fn begin(to: &Path) -> Result<Part, BackupError> {
    match to.symlink_metadata() {
        Ok(_) => Err(BackupError::Exists { path: to.to_owned() }),
        Err(_) => Part::begin(to),
    }
}

/// Bytes that the pages of a store take.
async fn size(store: &SqlStore) -> Result<u64, StoreError> {
    let sql = "SELECT (p.page_count - f.freelist_count) * s.page_size \
               FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s";
    let row = store.alone().row(sql, vec![]).await?;
    Ok(row.map_or(Ok(0), |row| row.int(0))?.try_into().unwrap_or(0))
}

/// Tells how large a file has become, until it is written.
async fn watch<T>(path: &Path, total: u64, report: Report<'_>, written: impl Future<Output = T>) -> T {
    let mut written = std::pin::pin!(written);
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            done = &mut written => return done,
            _ = ticks.tick() => {
                let done = std::fs::metadata(path).map_or(0, |file| file.len());
                report(Progress::Written { done, total: total.max(done) });
            }
        }
    }
}

/// How often a file's size is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Characters of a name that are kept.
const NAME: usize = 768;
