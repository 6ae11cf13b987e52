//! What is MySQL's own.

use std::time::Duration;

use sea_orm::TransactionOptions;

use super::error;
use crate::store::sql::{Dialect, db::placeholders};

/// What is MySQL's own.
pub(super) static DIALECT: Dialect = PLAIN;

/// The same where TLS may be between. Its records hold 16 KiB; a statement that takes several is sent in
/// several pieces, and the driver leaves Nagle's algorithm on: the last piece would wait for the
/// server's delayed acknowledgement, for 40 ms.
pub(super) static DIALECT_OVER_TLS: Dialect = Dialect { statement_bytes: TLS_RECORD, ..PLAIN };

/// The same for moving a store: to count the rows of a large table takes its time.
pub(super) static TRANSFER: Dialect = Dialect { patience: Some(TRANSFER_PATIENCE), ..PLAIN };
pub(super) static TRANSFER_OVER_TLS: Dialect =
    Dialect { statement_bytes: TLS_RECORD, patience: Some(TRANSFER_PATIENCE), ..PLAIN };

const PLAIN: Dialect = Dialect {
    // The connections have the isolation that is wanted: said for each transaction, it would be a
    // statement more.
    write: TransactionOptions { isolation_level: None, access_mode: None, sqlite_transaction_mode: None },
    insert: "INSERT",
    lock: "FOR UPDATE",
    // The one row is found by its key, and so is locked before any log: whoever waits for it holds none.
    lock_logs: "FOR UPDATE OF log FOR SHARE OF history",
    hold_floor: "FOR SHARE OF history",
    lock_free_logs: "FOR UPDATE OF log SKIP LOCKED FOR SHARE OF history",
    unfed: "(CASE WHEN fed_seq < last_seq THEN 1 END) = 1",
    unfed_index: "CREATE INDEX log_unfed ON log ((CASE WHEN fed_seq < last_seq THEN 1 END))",
    numbers: true,
    last_position: "NULL",
    // Text is equal where its bytes are, trailing spaces and all, as on SQLite.
    table: |table| {
        table.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_0900_bin");
    },
    upsert,
    update_rows,
    row_list,
    statement_bytes: usize::MAX,
    // It is asked as it is opened.
    packet: usize::MAX,
    observer: None,
    error: error::meaning,
    conflict: error::is_conflict,
    done_before: error::is_done_before,
    attempts: ATTEMPTS,
    patience: Some(PATIENCE),
};

fn upsert(_keys: &[&str], update: &[&str]) -> String {
    let update: Vec<_> = update.iter().map(|column| format!("{column} = incoming.{column}")).collect();
    format!("AS incoming ON DUPLICATE KEY UPDATE {}", update.join(", "))
}

fn update_rows(table: &str, keys: &[&str], set: &[&str], rows: usize) -> String {
    let columns = [keys, set].concat();
    let row = format!("ROW({})", placeholders(columns.len()));
    let (incoming, rows) = (columns.join(", "), vec![row.as_str(); rows].join(", "));
    let set: Vec<_> = set.iter().map(|column| format!("{table}.{column} = incoming.{column}")).collect();
    let on: Vec<_> = keys.iter().map(|key| format!("{table}.{key} = incoming.{key}")).collect();
    format!(
        "UPDATE {table} JOIN (VALUES {rows}) AS incoming ({incoming}) ON {} SET {}",
        on.join(" AND "),
        set.join(", ")
    )
}

fn row_list(rows: usize, width: usize) -> String {
    let row = format!("({})", placeholders(width));
    format!("({})", vec![row.as_str(); rows].join(", "))
}

/// Bytes of a statement that fit into one record with what goes around them.
const TLS_RECORD: usize = 14 << 10;
/// How often a transaction is run that others' locks have kept from its end.
const ATTEMPTS: u32 = 4;
/// How long a statement may take.
const PATIENCE: Duration = Duration::from_secs(6);
const TRANSFER_PATIENCE: Duration = Duration::from_secs(1_800);
