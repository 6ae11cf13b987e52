//! How far a move has come, and why it did not come to its end.

use crate::store::StoreError;

/// Whom to tell how far it has come.
pub type Report<'r> = &'r mut (dyn FnMut(Progress) + Send);

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The target has a part from a run that was cut off.
    Continues,
    /// Rows of a table are in the target.
    Copied {
        /// The table.
        table: String,
        /// Rows that are there.
        done: i64,
        /// Rows to be there.
        total: i64,
    },
    /// Bytes of the file are written.
    Written {
        /// Bytes that are there.
        done: u64,
        /// Bytes to be there, more or less.
        total: u64,
    },
    /// A table's rows were read and their sum is known, or is what it was.
    Checked {
        /// The table.
        table: String,
        /// Its rows.
        rows: i64,
    },
    /// A table was compared, and is the same in both.
    Verified {
        /// The table.
        table: String,
        /// Its rows.
        rows: i64,
        /// Its parts, each of which was counted and hashed: of events the logs, else 1.
        parts: usize,
    },
}

/// Why it was not done, or not to the end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransferError {
    /// The target is not empty.
    #[error("the target has data of its own ({rows} rows in {table}): name an empty database")]
    OtherData {
        /// A table that has rows.
        table: String,
        /// How many.
        rows: i64,
    },
    /// The target has a part of something else.
    #[error(
        "the target has a part of {found}, from a run that was cut off: finish that one, or name an empty database"
    )]
    OtherSource {
        /// The source of that part.
        found: String,
    },
    /// The two are not the same after all.
    #[error(
        "source and target differ in {what}: {source_rows} rows with hash {source_hash} against {target_rows} rows with hash {target_hash}. \
         Was the source used since the move began? Start again with an empty database"
    )]
    Differs {
        /// The table, or the log.
        what: String,
        /// In the source.
        source_rows: i64,
        /// In the source.
        source_hash: String,
        /// In the target.
        target_rows: i64,
        /// In the target.
        target_hash: String,
    },
    /// Reading the source failed.
    #[error("the source: {0}")]
    Source(StoreError),
    /// Reading or writing the target failed.
    #[error("the target: {0}. What was copied is kept: run the same command again to go on")]
    Target(StoreError),
}
