//! Restores a backup into a store.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
};

use sea_orm::sea_query::{Alias, Table};

use super::{BackupError, part::Part, seal, watch};
use crate::store::{
    SqlStore, Store as _, StoreError,
    sql::migrate,
    sqlite::{self, Purpose},
    transfer::{self, Becomes, Report, TransferError, Transferred},
};

/// A backup that has what it had when it was made.
#[derive(Debug)]
pub struct Backup {
    store: SqlStore,
    /// What it is known by, whatever the file is called.
    pub name: String,
}

impl Backup {
    /// Reads all of it.
    ///
    /// # Errors
    /// The file is no backup or is damaged, or a program of another version has made it.
    pub async fn open(path: &Path, report: Report<'_>) -> Result<Self, BackupError> {
        readable(path)?;
        let store = sqlite::open_for(path, Purpose::Read).await.map_err(|error| unopened(path, path, error))?;
        let id = seal::check(&store, path, report).await?;
        migrate::require_current(&store.alone()).await?;
        Ok(Self { store, name: format!("the backup {id}") })
    }

    /// Copies it into an empty store, or goes on where that was cut off.
    ///
    /// # Errors
    /// The store has something else, or one of them cannot be used.
    pub async fn restore_into(&self, target: &SqlStore, report: Report<'_>) -> Result<Transferred, BackupError> {
        let done = transfer::transfer(&self.store, target, &self.name, Becomes::Restored, report).await;
        done.map_err(|error| match error {
            TransferError::OtherData { table, rows } => BackupError::NotEmpty { table, rows },
            other => BackupError::Transfer(other),
        })
    }
}

/// Makes a backup the SQLite store at `to`, one of an earlier version too. `replace`: what is there is given
/// up. Until all of it is there, what was there is.
///
/// # Errors
/// The file is no backup or is damaged, or a newer program has made it; there is something and it is not to
/// be replaced, or it is in use; there is no room.
pub async fn into_sqlite(from: &Path, to: &Path, replace: bool, report: Report<'_>) -> Result<(), BackupError> {
    let backup = readable(from)?;
    let held = hold(to, replace).await?;
    let part = Part::begin(to)?;
    let unwritten = |error: io::Error| BackupError::file(part.path(), &error);
    let total = backup.metadata().map_or(0, |file| file.len());
    let mut file = part.file().map_err(unwritten)?;
    let copied = tokio::task::spawn_blocking(move || io::copy(&mut &backup, &mut file));
    watch(part.path(), total, report, copied).await.map_err(io::Error::other).flatten().map_err(unwritten)?;

    let failed = |error: StoreError| BackupError::of(part.path(), error);
    let store =
        sqlite::open_for(part.path(), Purpose::Make).await.map_err(|error| unopened(from, part.path(), error))?;
    seal::check(&store, from, report).await?;
    let db = store.alone();
    for own in seal::own() {
        db.define(&Table::drop().table(Alias::new(own)).take()).await.map_err(failed)?;
    }
    migrate::migrate(&db).await.map_err(|error| BackupError::of(part.path(), error))?;
    store.renew_epoch().await.map_err(failed)?;
    store.close().await;
    part.give_to_owner_of_folder()?;
    if held.is_none() {
        remove_log(to)?;
    }
    part.keep()?;
    // What is held was there before, and has no name any more.
    if let Some(held) = held {
        held.close().await;
    }
    Ok(())
}

/// Keeps everybody else from the store that is to be replaced. `None`: there is none, or none that SQLite
/// can read.
async fn hold(path: &Path, replace: bool) -> Result<Option<SqlStore>, BackupError> {
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let unknown = |reason: String| if replace { Ok(None) } else { Err(BackupError::Unknown { reason }) };
    let store = match sqlite::open_for(path, Purpose::Hold).await {
        Ok(store) => store,
        Err(StoreError::Unavailable(reason)) if reason.contains("locked") => {
            return Err(BackupError::InUse { path: path.to_owned(), reason });
        }
        Err(StoreError::Failed(reason)) => return unknown(reason),
        Err(error) => return Err(BackupError::of(path, error)),
    };
    if replace {
        return Ok(Some(store));
    }
    match transfer::data(&store).await {
        Ok(Some((table, rows))) => Err(BackupError::NotEmpty { table, rows }),
        Ok(None) => Ok(Some(store)),
        Err(error) => Err(BackupError::Unknown { reason: error.to_string() }),
    }
}

/// Why a backup is not opened, or the copy of one.
fn unopened(backup: &Path, copy: &Path, error: StoreError) -> BackupError {
    match error {
        StoreError::Failed(what) => BackupError::Damaged { path: backup.to_owned(), what },
        other => BackupError::of(copy, other),
    }
}

/// The log of a store that is gone would damage the next one.
fn remove_log(store: &Path) -> Result<(), BackupError> {
    for end in ["-wal", "-shm"] {
        let mut name = store.as_os_str().to_owned();
        name.push(end);
        let path = PathBuf::from(name);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(BackupError::file(&path, &error));
        }
    }
    Ok(())
}

fn readable(path: &Path) -> Result<File, BackupError> {
    let failed = |error: io::Error| BackupError::file(path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let mut begin = [0; BEGIN.len()];
    let is_database = path.is_file() && file.read_exact(&mut begin).is_ok() && begin == *BEGIN;
    file.rewind().map_err(failed)?;
    if is_database { Ok(file) } else { Err(BackupError::NoBackup { path: path.to_owned() }) }
}

/// What an SQLite database begins with (<https://www.sqlite.org/fileformat.html#the_database_header>).
const BEGIN: &[u8; 16] = b"SQLite format 3\0";
