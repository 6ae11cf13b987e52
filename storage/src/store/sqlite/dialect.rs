//! What is SQLite's own.

use sea_orm::{DbErr, RuntimeErr, SqliteTransactionMode, TransactionOptions, sqlx};

use crate::store::{
    StoreError,
    sql::{Dialect, db::placeholders},
};

/// What is SQLite's own.
pub(super) static DIALECT: Dialect = Dialect {
    // A transaction that reads first and would write later could find that another has written: take the
    // write lock at once.
    write: TransactionOptions {
        isolation_level: None,
        access_mode: None,
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
    },
    // A commit writes rows whose keys it knows to be free. Where one is not, all of the transaction
    // goes: so SQLite need not keep, for each statement, what it would have to take back of that
    // statement alone.
    insert: "INSERT OR ROLLBACK",
    lock: "",
    lock_logs: "",
    hold_floor: "",
    lock_free_logs: "",
    // There is one writer: the next position is the next number.
    unfed: "fed_seq < last_seq",
    unfed_index: "CREATE INDEX IF NOT EXISTS log_unfed ON log (id) WHERE fed_seq < last_seq",
    numbers: false,
    last_position: "(SELECT MAX(position) FROM feed)",
    // The rows of a table lie in its key, without an index apart.
    table: |table| {
        table.extra("WITHOUT ROWID");
    },
    upsert,
    update_rows,
    row_list,
    statement_bytes: usize::MAX,
    packet: usize::MAX,
    observer: None,
    error,
    // There is one writer, which waits for nobody, and a schema changes in a transaction.
    conflict: |_| false,
    done_before: |_| false,
    attempts: 1,
    patience: None,
};

fn upsert(keys: &[&str], update: &[&str]) -> String {
    let update: Vec<_> = update.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    format!("ON CONFLICT ({}) DO UPDATE SET {}", keys.join(", "), update.join(", "))
}

fn update_rows(table: &str, keys: &[&str], set: &[&str], rows: usize) -> String {
    let columns = [keys, set].concat();
    let (incoming, rows) = (columns.join(", "), row_list(rows, columns.len()));
    let set: Vec<_> = set.iter().map(|column| format!("{column} = incoming.{column}")).collect();
    let on: Vec<_> = keys.iter().map(|key| format!("{table}.{key} = incoming.{key}")).collect();
    format!(
        "WITH incoming ({incoming}) AS {rows} UPDATE {table} SET {} FROM incoming WHERE {}",
        set.join(", "),
        on.join(" AND ")
    )
}

fn row_list(rows: usize, width: usize) -> String {
    let row = format!("({})", placeholders(width));
    format!("(VALUES {})", vec![row.as_str(); rows].join(", "))
}

pub(super) fn error(error: DbErr) -> StoreError {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause))
    | DbErr::Query(RuntimeErr::SqlxError(cause))
    | DbErr::Conn(RuntimeErr::SqlxError(cause))) = &error
    else {
        return match error {
            DbErr::ConnectionAcquire(_) => StoreError::Unavailable(error.to_string()),
            _ => StoreError::Failed(error.to_string()),
        };
    };
    let code = match &**cause {
        sqlx::Error::Database(database) => database.code().and_then(|code| code.parse::<i32>().ok()),
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            return StoreError::Unavailable(error.to_string());
        }
        _ => None,
    };
    match code {
        Some(IOERR_SHMSIZE) => StoreError::Full,
        Some(code) if code & 0xff == FULL => StoreError::Full,
        Some(code) if UNAVAILABLE.contains(&(code & 0xff)) => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Failed(error.to_string()),
    }
}

// Result codes: https://www.sqlite.org/rescode.html. The lowest byte of an extended code is the primary one.
const FULL: i32 = 13;
/// The shared memory beside the file could not be made larger.
const IOERR_SHMSIZE: i32 = 4874;
/// BUSY, LOCKED, READONLY, INTERRUPT (it took too long), IOERR, CANTOPEN, PROTOCOL.
const UNAVAILABLE: [i32; 7] = [5, 6, 8, 9, 10, 14, 15];
