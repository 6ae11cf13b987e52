//! A connection or a transaction, and what databases do differently.

use std::{
    pin::pin,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, Insert, SqlErr, Statement, StatementBuilder, TransactionOptions, Value,
    sea_query::TableCreateStatement,
};

use super::Row;
use crate::store::StoreError;

/// How one database differs from the others.
#[derive(Debug)]
pub(in crate::store) struct Dialect {
    /// How a writing transaction begins.
    pub(in crate::store) write: TransactionOptions,
    /// How an INSERT of many rows begins.
    pub(in crate::store) insert: &'static str,
    /// What follows a SELECT whose rows the transaction will change.
    pub(in crate::store) lock: &'static str,
    /// The same, of logs joined with the row of `history`: that one is held, and not for itself alone.
    pub(in crate::store) lock_logs: &'static str,
    /// What follows a SELECT of logs joined with the row of `history`, that holds that row alone.
    pub(in crate::store) hold_floor: &'static str,
    /// The same as `lock_logs`, of those that nobody holds.
    pub(in crate::store) lock_free_logs: &'static str,
    /// Whether the database gives positions of the feed by itself.
    pub(in crate::store) numbers: bool,
    /// The last position that was given, where it does not.
    pub(in crate::store) last_position: &'static str,
    /// The condition that a log has events that are not in the feed, as an index serves it.
    pub(in crate::store) unfed: &'static str,
    /// That index.
    pub(in crate::store) unfed_index: &'static str,
    /// How a table is laid out.
    pub(in crate::store) table: fn(&mut TableCreateStatement),
    /// What turns an INSERT into an update of the named columns where the key columns exist already.
    pub(in crate::store) upsert: fn(keys: &[&str], update: &[&str]) -> String,
    /// The UPDATE of a table by rows: its name, the key columns, the columns to be set, and how many rows of
    /// placeholders there are, keys first.
    pub(in crate::store) update_rows: fn(table: &str, keys: &[&str], set: &[&str], rows: usize) -> String,
    /// The right side of `(a, b) IN`, for `rows` rows of `width` placeholders.
    pub(in crate::store) row_list: fn(rows: usize, width: usize) -> String,
    /// Bytes of values that a statement of several rows had better have at most.
    pub(in crate::store) statement_bytes: usize,
    /// Bytes of values that the server takes in a statement at all.
    pub(in crate::store) packet: usize,
    /// Who is told of each error.
    pub(in crate::store) observer: Option<&'static dyn Observer>,
    /// What an error means to the caller.
    pub(in crate::store) error: fn(DbErr) -> StoreError,
    /// Whether an error says that another transaction stood in the way of this one, which may be run again.
    pub(in crate::store) conflict: fn(&DbErr) -> bool,
    /// Whether an error says that a migration which was cut off has made this already.
    pub(in crate::store) done_before: fn(&DbErr) -> bool,
    /// How often a writing transaction is run at most, while others stand in its way.
    pub(in crate::store) attempts: u32,
    /// How long a statement may take.
    pub(in crate::store) patience: Option<Duration>,
}

/// Who draws conclusions from errors, beside what they mean to callers.
pub(in crate::store) trait Observer: std::fmt::Debug + Send + Sync {
    /// The database has answered so.
    fn saw(&self, error: &DbErr);
}

impl Dialect {
    /// What an error means to the caller.
    pub(in crate::store) fn meaning(&self, error: DbErr) -> StoreError {
        if let Some(observer) = self.observer {
            observer.saw(&error);
        }
        (self.error)(error)
    }

    /// Waits for the database, but not for ever.
    pub(in crate::store) async fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, DbErr>>,
        meaning: impl FnOnce(DbErr) -> StoreError,
    ) -> Result<T, StoreError> {
        let Some(patience) = self.patience else { return answer.await.map_err(meaning) };
        let mut answer = pin!(answer);
        // Dropped before the answer is, with which a connection may go back to its pool.
        let awaited = Awaited { answered: false };
        match tokio::time::timeout(patience, answer.as_mut()).await {
            Ok(answer) => {
                awaited.has_come();
                answer.map_err(meaning)
            }
            Err(_) => Err(StoreError::Unavailable(format!("no answer within {} s", patience.as_secs()))),
        }
    }

    /// What a transaction is run with: it has to be there still where the transaction may be run again.
    pub(in crate::store) fn lend<T: Clone + Default>(&self, value: &mut T) -> T {
        if self.attempts > 1 { value.clone() } else { std::mem::take(value) }
    }
}

/// An answer that is waited for. Where it has not come, because it took too long or its caller has gone,
/// that is remembered.
struct Awaited {
    answered: bool,
}

impl Awaited {
    fn has_come(mut self) {
        self.answered = true;
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if !self.answered {
            LAST_SILENCE.store(seconds_now(), Ordering::Relaxed);
        }
    }
}

/// Whether a database has left a statement without an answer within the last minute: connections may be
/// dead without a word.
#[cfg(feature = "cluster")]
pub(in crate::store) fn was_silent_lately() -> bool {
    seconds_now().saturating_sub(LAST_SILENCE.load(Ordering::Relaxed)) < SILENCE_SECONDS
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

static LAST_SILENCE: AtomicU64 = AtomicU64::new(0);
#[cfg(feature = "cluster")]
const SILENCE_SECONDS: u64 = 60;

/// Statements on a connection or in a transaction.
#[derive(Debug)]
pub(in crate::store) struct Db<'c, C> {
    pub(in crate::store) conn: &'c C,
    pub(in crate::store) dialect: &'static Dialect,
    conflict: AtomicBool,
}

impl<'c, C: ConnectionTrait> Db<'c, C> {
    pub(in crate::store) fn new(conn: &'c C, dialect: &'static Dialect) -> Self {
        Self { conn, dialect, conflict: AtomicBool::new(false) }
    }

    /// Whether another transaction stood in this one's way: what was asked failed for that alone.
    pub(in crate::store) fn met_a_conflict(&self) -> bool {
        self.conflict.load(Ordering::Relaxed)
    }

    /// Waits for what a statement of an entity gives, but not for ever.
    pub(in crate::store) async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, StoreError> {
        self.dialect.wait(answer, |error| self.meaning(error)).await
    }

    fn meaning(&self, error: DbErr) -> StoreError {
        if (self.dialect.conflict)(&error) {
            self.conflict.store(true, Ordering::Relaxed);
        }
        self.dialect.meaning(error)
    }

    fn statement(&self, sql: impl Into<String>, values: Vec<Value>) -> Statement {
        Statement::from_sql_and_values(self.conn.get_database_backend(), sql, values)
    }

    pub(in crate::store) async fn rows(
        &self,
        sql: impl Into<String>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.ask(self.conn.query_all_raw(self.statement(sql, values))).await?;
        Ok(rows.into_iter().map(Row::from).collect())
    }

    pub(in crate::store) async fn row(
        &self,
        sql: impl Into<String>,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        let row = self.ask(self.conn.query_one_raw(self.statement(sql, values))).await?;
        Ok(row.map(Row::from))
    }

    /// Inserts a row; the number that the database gave it.
    pub(in crate::store) async fn insert_numbered(
        &self,
        sql: impl Into<String>,
        values: Vec<Value>,
    ) -> Result<i64, StoreError> {
        let done = self.ask(self.conn.execute_raw(self.statement(sql, values))).await?;
        let number = done.last_insert_id();
        i64::try_from(number).map_err(|_| StoreError::Failed(format!("a row has the number {number}")))
    }

    /// How many rows it changed.
    pub(in crate::store) async fn execute(
        &self,
        sql: impl Into<String>,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        let done = self.ask(self.conn.execute_raw(self.statement(sql, values))).await?;
        Ok(done.rows_affected())
    }

    /// Inserts a row; `false` when a unique key has it already.
    pub(in crate::store) async fn insert_new<A: ActiveModelTrait + Send>(
        &self,
        insert: Insert<A>,
    ) -> Result<bool, StoreError> {
        let inserted = async {
            match insert.exec_without_returning(self.conn).await {
                Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => Ok(false),
                done => done.map(|_| true),
            }
        };
        self.ask(inserted).await
    }

    /// Changes the schema, however long it takes; a statement whose work is done already is passed over.
    pub(in crate::store) async fn define(&self, statement: &impl StatementBuilder) -> Result<(), StoreError> {
        let statement = self.conn.get_database_backend().build(statement);
        self.define_as(&statement.sql).await
    }

    /// The same, for what sea-query has no words for.
    pub(in crate::store) async fn define_as(&self, sql: &str) -> Result<(), StoreError> {
        match self.conn.execute_unprepared(sql).await {
            Err(error) if !(self.dialect.done_before)(&error) => Err(self.meaning(error)),
            _ => Ok(()),
        }
    }

    /// The rows whose `columns` are among `keys`: `SELECT ... WHERE` is `head`, `tail` follows the condition.
    pub(in crate::store) async fn rows_in<const N: usize>(
        &self,
        head: &str,
        columns: [&str; N],
        keys: Vec<[Value; N]>,
        tail: &str,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        for (condition, values) in self.keys_in(columns, keys) {
            rows.append(&mut self.rows(format!("{head} {condition} {tail}"), values).await?);
        }
        Ok(rows)
    }

    /// Changes the rows of a table whose `columns` are among `keys`: `SET` is `set`, of one value.
    pub(in crate::store) async fn update_in<const N: usize>(
        &self,
        table: &str,
        set: &str,
        value: Value,
        columns: [&str; N],
        keys: Vec<[Value; N]>,
    ) -> Result<(), StoreError> {
        for (condition, mut values) in self.keys_in(columns, keys) {
            values.insert(0, value.clone());
            self.execute(format!("UPDATE {table} SET {set} WHERE {condition}"), values).await?;
        }
        Ok(())
    }

    /// Changes many rows of a table, each in its own way: `rows` has the values of `keys`, then those of
    /// `set`. Those that are not there are passed over.
    pub(in crate::store) async fn update_rows<const K: usize, const S: usize, const N: usize>(
        &self,
        table: &str,
        keys: [&str; K],
        set: [&str; S],
        rows: Vec<[Value; N]>,
    ) -> Result<(), StoreError> {
        for part in self.parts(&rows, N) {
            let sql = (self.dialect.update_rows)(table, &keys, &set, part.len());
            self.execute(sql, part.into_iter().flatten().collect()).await?;
        }
        Ok(())
    }

    /// Deletes the rows of a table whose `columns` are among `keys`.
    pub(in crate::store) async fn delete_in<const N: usize>(
        &self,
        table: &str,
        columns: [&str; N],
        keys: Vec<[Value; N]>,
    ) -> Result<(), StoreError> {
        for (condition, values) in self.keys_in(columns, keys) {
            self.execute(format!("DELETE FROM {table} WHERE {condition}"), values).await?;
        }
        Ok(())
    }

    /// The most rows of so many bytes that a statement may have; one of [`CHUNKS`].
    fn largest(&self, row: usize) -> usize {
        let fitting = self.dialect.statement_bytes.min(self.dialect.packet) / row.max(1);
        CHUNKS.into_iter().find(|size| *size <= fitting).unwrap_or(1)
    }

    /// Keys of so many columns in parts, each for a statement. Their sizes are few, the last key
    /// repeated, so that the database finds the statement prepared.
    pub(in crate::store) fn parts<K: Clone>(&self, keys: &[K], columns: usize) -> Vec<Vec<K>> {
        let largest = self.largest(KEY_BYTES * columns);
        let part = |chunk: &[K]| {
            let size = CHUNKS.into_iter().rev().find(|size| *size >= chunk.len()).unwrap_or(largest);
            let last = chunk.last().into_iter().cycle().take(size - chunk.len());
            chunk.iter().chain(last).cloned().collect()
        };
        keys.chunks(largest).map(part).collect()
    }

    /// The condition that columns are among `keys`, in as many parts as it takes.
    fn keys_in<const N: usize>(&self, columns: [&str; N], keys: Vec<[Value; N]>) -> Vec<(String, Vec<Value>)> {
        let condition = |size| match N {
            1 => format!("{} IN ({})", columns.join(""), placeholders(size)),
            _ => format!("({}) IN {}", columns.join(", "), (self.dialect.row_list)(size, N)),
        };
        let parts = self.parts(&keys, N).into_iter();
        parts.map(|part| (condition(part.len()), part.into_iter().flatten().collect())).collect()
    }

    /// Inserts rows, many a statement. `tail` may be an upsert. As in `keys_in` few sizes of statement
    /// are used.
    pub(in crate::store) async fn insert<const N: usize>(
        &self,
        table: &str,
        columns: [&str; N],
        rows: Vec<[Value; N]>,
        tail: &str,
    ) -> Result<(), StoreError> {
        let columns = columns.join(", ");
        let row = format!("({})", placeholders(N));
        let verb = self.dialect.insert;
        let widest = rows.iter().map(|row| row.iter().map(bytes).sum()).max().unwrap_or(0);
        let largest = self.largest(widest);
        let mut rows = rows.into_iter();
        while let Some(size) = CHUNKS.into_iter().find(|size| *size <= rows.len().min(largest)) {
            let values = rows.by_ref().take(size).flatten().collect();
            let list = vec![row.as_str(); size].join(", ");
            self.execute(format!("{verb} INTO {table} ({columns}) VALUES {list} {tail}"), values).await?;
        }
        Ok(())
    }
}

/// Bytes that a value takes in a statement, more or less.
fn bytes(value: &Value) -> usize {
    match value {
        Value::Bytes(Some(bytes)) => bytes.len() + 1,
        Value::String(Some(text)) => text.len() + 1,
        _ => 8,
    }
}

/// `?, ?, ?`
pub(in crate::store) fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// Sizes of many-row statements, falling, the last 1. The largest times the widest row stays below
/// SQLite's 32,766 values.
const CHUNKS: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

/// Bytes of a key's column: an id or a number.
const KEY_BYTES: usize = 17;
