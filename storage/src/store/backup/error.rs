//! Why a backup was not made, or not restored.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::store::{StoreError, sql::migrate::MigrateError, transfer::TransferError};

/// Why a backup was not made, or not restored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackupError {
    /// The file to write is there.
    #[error("{} is there already: name another file, or move it away", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else writes the file.
    #[error("another gogochat is writing {}: wait for it", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// There is no room for the file.
    #[error("{}: the disk is full", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file is something else.
    #[error("{} is no backup of gogochat, or none that was made to its end", path.display())]
    NoBackup {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what it was.
    #[error("{} is damaged: {what}. Take another backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The store to restore into has something.
    #[error("the store has data ({rows} rows in {table}): with --replace it is given up for what is in the backup")]
    NotEmpty {
        /// A table that has rows.
        table: String,
        /// How many.
        rows: i64,
    },
    /// The store to restore into is something that this program does not know.
    #[error("the store cannot be read ({reason}): with --replace it is given up for what is in the backup")]
    Unknown {
        /// Why not.
        reason: String,
    },
    /// A server works with the store.
    #[error("{} is in use, stop the server first: {reason}", path.display())]
    InUse {
        /// The store.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The store, or its schema, cannot be used.
    #[error(transparent)]
    Store(#[from] MigrateError),
    /// Rows were not copied, or not all of them.
    #[error(transparent)]
    Transfer(TransferError),
}

impl BackupError {
    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::File { path, reason: error.to_string() },
        }
    }

    /// What an error of the store in a file means.
    pub(super) fn of(path: &Path, error: impl Into<MigrateError>) -> Self {
        let path = path.to_owned();
        match error.into() {
            MigrateError::Store(StoreError::Full) => Self::Full { path },
            MigrateError::Store(StoreError::Unavailable(reason) | StoreError::Failed(reason)) => {
                Self::File { path, reason }
            }
            other => Self::Store(other),
        }
    }
}
