//! SQLite, in one file: the default, which needs no service.
//!
//! One connection writes, because SQLite has one writer at a time. Each kind of reading has
//! connections of its own, and each sees the last committed state. A commit is on disk when it
//! returns: WAL with synchronous=FULL syncs the log at every commit
//! (<https://www.sqlite.org/pragma.html#pragma_synchronous>).

mod checkpoint;
mod dialect;
mod reserve;

use std::{path::Path, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr, SqlxSqliteConnector, TransactionTrait,
    sqlx::{
        ConnectOptions, Connection,
        pool::PoolOptions,
        sqlite::{Sqlite, SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePool, SqliteSynchronous},
    },
};

use tokio::sync::Semaphore;

use self::dialect::{DIALECT, error};
use super::{
    Connections, StoreError,
    sql::{
        Db, SqlStore, Upkeep, Writers, migrate,
        readers::{Lane, ReadPool, Readers, Stops},
    },
};

pub use super::sql::migrate::MigrateError;

/// Opens the store in the file at `path`, which is made when it is not there (its folder is not), and
/// brings its schema to the newest version.
///
/// # Errors
/// The file cannot be used, or a newer program has written it.
pub async fn open(path: &Path) -> Result<SqlStore, MigrateError> {
    open_with(path, Connections::default()).await
}

/// [`open`], with as many connections.
///
/// # Errors
/// As [`open`].
pub async fn open_with(path: &Path, connections: Connections) -> Result<SqlStore, MigrateError> {
    let connections = connections.or(CONNECTIONS);
    let unavailable = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    prepare(path).map_err(unavailable)?;
    let store = match open_file(path, connections).await {
        Err(MigrateError::Store(StoreError::Full)) if reserve::give_up(path) => open_file(path, connections).await?,
        opened => opened?,
    };
    reserve::keep(path);
    Ok(store)
}

async fn open_file(path: &Path, connections: Connections) -> Result<SqlStore, MigrateError> {
    let writer = pool(1, options(path, WRITER_CACHE_KIB), None).await?;
    let writer = SqlxSqliteConnector::from_sqlx_sqlite_pool(writer);
    prepare_schema(&writer).await?;

    let limit = connections.read_limit;
    let readers = Readers {
        sessions: ReadPool::new("sessions", readers(path, connections.sessions, SESSIONS_CACHE_KIB).await?, limit),
        pages: ReadPool::new("pages", readers(path, connections.pages, PAGES_CACHE_KIB).await?, limit),
        heavy: ReadPool::new("heavy queries", readers(path, connections.heavy, HEAVY_CACHE_KIB).await?, limit),
    };
    let mover = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool(1, options(path, MOVER_CACHE_KIB), None).await?);
    let upkeep = Upkeep::spawn(checkpoint::run(mover.clone(), writer.clone()), mover);
    Ok(SqlStore::new(writers(writer), readers, &DIALECT, Some(upkeep)).catching_up())
}

/// Connections that read, each a pool of one, so that its statement can be stopped.
async fn readers(path: &Path, count: u32, cache_kib: i32) -> Result<Vec<Lane>, StoreError> {
    let mut lanes = Vec::new();
    for _ in 0..count {
        let stops = Stops::default();
        let options = options(path, cache_kib).pragma("query_only", "ON");
        let connection = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool(1, options, Some(stops.clone())).await?);
        lanes.push(Lane { connection, stops: Some(stops) });
    }
    Ok(lanes)
}

/// SQLite has one writer. Of all else that is written, one waits for it at a time: so a commit waits for
/// two of these at most.
fn writers(only: DatabaseConnection) -> Writers {
    let (turns, places) = (Semaphore::new(1), Semaphore::new(1));
    Writers { commits: only.clone(), turns, others: only, places }
}

/// Opens the store in a file that is there, for one connection, with nobody else having it open.
///
/// # Errors
/// There is no such file, it is in use, or a newer program has written it.
pub async fn open_alone(path: &Path) -> Result<SqlStore, MigrateError> {
    if !path.is_file() {
        return Err(StoreError::Unavailable(format!("there is no file {}", path.display())).into());
    }
    let options = options(path, WRITER_CACHE_KIB).locking_mode(SqliteLockingMode::Exclusive).busy_timeout(BUSY_ALONE);
    let in_use = |error| match error {
        StoreError::Unavailable(reason) if reason.contains("locked") => {
            StoreError::Unavailable(format!("{} is in use, stop the server first: {reason}", path.display()))
        }
        other => other,
    };
    let only = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool(1, options, None).await.map_err(in_use)?);
    prepare_schema(&only).await.map_err(|error| match error {
        MigrateError::Store(error) => in_use(error).into(),
        other => other,
    })?;
    Ok(SqlStore::on_one(only, &DIALECT))
}

async fn prepare_schema(writer: &DatabaseConnection) -> Result<(), MigrateError> {
    let transaction = writer.begin_with_options(DIALECT.write).await.map_err(error)?;
    let db = Db::new(&transaction, &DIALECT);
    if has_table(&db, "backup").await? {
        return Err(MigrateError::Backup);
    }
    migrate::migrate(&db).await?;
    Ok(transaction.commit().await.map_err(error)?)
}

/// Whether a file has this table.
pub(in crate::store) async fn has_table<C: ConnectionTrait>(db: &Db<'_, C>, name: &str) -> Result<bool, StoreError> {
    let row = db.row("SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", vec![name.into()]).await?;
    Ok(row.map_or(Ok(0), |row| row.int(0))? > 0)
}

/// Opens an empty file that is there, to make it a store that is of use once it is whole and synced.
///
/// # Errors
/// The file cannot be used, or is a store of a newer program.
pub(in crate::store) async fn make(path: &Path) -> Result<SqlStore, MigrateError> {
    let store = open_for(path, Purpose::Make).await?;
    migrate::migrate(&store.alone()).await?;
    Ok(store)
}

/// For what a file that is there is opened, by one connection and as it is: its schema is not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Purpose {
    /// To read it beside a server.
    Beside,
    /// To read it where nobody writes it.
    Read,
    /// To write what is of use once it is whole and synced.
    Make,
    /// To keep everybody else from it.
    Hold,
}

/// Opens a file that is there.
pub(in crate::store) async fn open_for(path: &Path, purpose: Purpose) -> Result<SqlStore, StoreError> {
    let options = plain(path, WRITER_CACHE_KIB);
    let options = match purpose {
        Purpose::Beside => options,
        Purpose::Read => options.read_only(true),
        Purpose::Make => options
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Memory)
            .synchronous(SqliteSynchronous::Off),
        Purpose::Hold => options
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Delete)
            .busy_timeout(BUSY_ALONE),
    };
    let only = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool(1, options, None).await?);
    if purpose == Purpose::Hold {
        // In this mode a lock that was taken is kept.
        only.execute_unprepared("BEGIN EXCLUSIVE; COMMIT").await.map_err(error)?;
    }
    Ok(SqlStore::on_one(only, &DIALECT))
}

/// Makes the file for nobody else to read: it holds password hashes and messages. The folder has to be
/// there: a mistyped one would be an empty store.
fn prepare(path: &Path) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new();
    file.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file.open(path).map(drop)
}

fn options(path: &Path, cache_kib: i32) -> SqliteConnectOptions {
    plain(path, cache_kib)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", MAX_LOG_PAGES.to_string())
        .pragma("journal_size_limit", (i64::from(MAX_LOG_PAGES) * 4_096).to_string())
}

/// What all connections have.
fn plain(path: &Path, cache_kib: i32) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .pragma("cache_size", (-cache_kib).to_string())
        // A statement of many rows keeps what it may have to take back: in memory, not in a file.
        .pragma("temp_store", "MEMORY")
        .statement_cache_capacity(STATEMENTS)
        .row_buffer_size(ROW_BUFFER)
        .disable_statement_logging()
}

/// With `stops`, a statement stops when that is due.
async fn pool(connections: u32, options: SqliteConnectOptions, stops: Option<Stops>) -> Result<SqlitePool, StoreError> {
    PoolOptions::<Sqlite>::new()
        .after_connect(move |connection, _| {
            let stops = stops.clone();
            Box::pin(async move {
                if let Some(stops) = stops {
                    connection.lock_handle().await?.set_progress_handler(STEPS, move || !stops.is_due());
                }
                Ok(())
            })
        })
        .max_connections(connections)
        .min_connections(connections)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // A transaction that SQLite itself took back (a full disk) leaves the driver counting it as
        // open: such a connection is replaced.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options)
        .await
        .map_err(|cause| error(DbErr::Conn(RuntimeErr::SqlxError(cause.into()))))
}

/// How long a connection waits for another process's lock.
const BUSY: Duration = Duration::from_secs(5);
/// The same, where nobody else should have one.
const BUSY_ALONE: Duration = Duration::from_secs(1);
/// How long a caller waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(10);
/// Those that it has unless it is told otherwise.
const CONNECTIONS: Connections =
    Connections { commits: 1, writes: 1, sessions: 2, pages: 4, heavy: 1, read_limit: Duration::ZERO };
/// Steps of SQLite's machine after which a statement is asked whether it is to stop: some 10 us.
const STEPS: i32 = 1_000;
/// Pages in the write-ahead log (4 KiB each) at which a commit moves them to the file itself, because
/// `checkpoint` has not.
const MAX_LOG_PAGES: u32 = 64_000;
/// Page cache of the writer.
const WRITER_CACHE_KIB: i32 = 64 * 1024;
/// Page cache of the connection that moves the log into the file.
const MOVER_CACHE_KIB: i32 = 256;
/// Page cache of each reader.
const SESSIONS_CACHE_KIB: i32 = 4 * 1024;
const PAGES_CACHE_KIB: i32 = 6 * 1024;
const HEAVY_CACHE_KIB: i32 = 4 * 1024;
/// Prepared statements of one connection.
const STATEMENTS: usize = 200;
/// Rows that may wait between SQLite's thread and the task.
const ROW_BUFFER: usize = 512;

#[cfg(test)]
mod tests;
