//! MySQL 8, shared by any number of nodes.
//!
//! Several connections write at once, each a batch in a transaction of its own. A batch first locks the rows of its logs, in the order of
//! their ids, and reads everything else after that; at READ COMMITTED what it reads then is what the last holder of those locks has
//! written (at REPEATABLE READ it would be what was there before the wait). A commit is on disk when it returns, as long as the server
//! runs with `innodb_flush_log_at_trx_commit` and `sync_binlog` at 1, their defaults.

mod alone;
mod error;
mod options;
mod setup;

use std::{io, path::PathBuf, time::Duration};

use sea_orm::{
    SqlxMySqlConnector, TransactionOptions,
    sqlx::{
        Connection as _, Error, Executor as _,
        mysql::{MySql, MySqlConnectOptions, MySqlPool, MySqlSslMode},
        pool::PoolOptions,
    },
};

pub use self::{
    alone::{Alone, AloneError},
    error::OpenError,
};
use super::{
    sql::{Dialect, SqlStore, db::was_silent_lately, migrate::MigrateError},
    transfer,
};

/// Opens the store in the database that a URL names, `mysql://user:password@host:port/database`, and brings its schema to the newest version.
///
/// The URL takes the driver's parameters: `ssl-mode` (`DISABLED`, `PREFERRED`, `REQUIRED`, `VERIFY_CA`, `VERIFY_IDENTITY`; on this
/// machine `DISABLED` unless said otherwise), `ssl-ca`, `ssl-cert`, `ssl-key`, `socket`.
///
/// # Errors
/// The URL is not of this form, the server cannot be used, a newer program has written the database, or it has a part alone of a store that
/// was to be moved into it.
pub async fn open(url: &str) -> Result<SqlStore, OpenError> {
    let store = connect(url, [&DIALECT, &DIALECT_OVER_TLS]).await?;
    match transfer::is_unfinished(&store).await.map_err(MigrateError::from)? {
        false => Ok(store),
        true => Err(OpenError::Unfinished { place: options::place(&options::parse(url)?) }),
    }
}

/// Whether a URL is one to open, as far as this machine knows: nothing is connected. The files for TLS that it names.
///
/// # Errors
/// It is not of this form, or its settings of TLS do not hold.
pub fn check(url: &str) -> Result<Vec<PathBuf>, OpenError> {
    options::parse(url)?;
    Ok(options::files(url))
}

/// Opens it to move another store into it, which may have been begun already.
///
/// # Errors
/// As [`open`], but for the last.
pub async fn open_for_transfer(url: &str) -> Result<SqlStore, OpenError> {
    connect(url, [&TRANSFER, &TRANSFER_OVER_TLS]).await
}

/// With the dialect of a connection in clear, or of one over TLS.
async fn connect(url: &str, [clear, over_tls]: [&'static Dialect; 2]) -> Result<SqlStore, OpenError> {
    let options = options::parse(url)?;
    setup::prepare(&options).await?;
    let dialect = if matches!(options.get_ssl_mode(), MySqlSslMode::Disabled) { clear } else { over_tls };
    let writer = pool(WRITERS, "READ-COMMITTED", options.clone());
    let reader = pool(READERS, "REPEATABLE-READ", options);
    let [writer, reader] = [writer, reader].map(SqlxMySqlConnector::from_sqlx_mysql_pool);
    Ok(SqlStore::new(writer, reader, dialect, None))
}

/// Connections that are made when they are needed, each set up alike.
fn pool(connections: u32, isolation: &'static str, options: MySqlConnectOptions) -> MySqlPool {
    let setup = format!(
        "SET transaction_isolation = '{isolation}', innodb_lock_wait_timeout = {LOCK_WAIT}, \
         sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
    );
    PoolOptions::<MySql>::new()
        .max_connections(connections)
        .min_connections(0)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // A connection that lay idle may be gone, with the server or for its `wait_timeout`.
        .before_acquire(|connection, seen| {
            Box::pin(async move {
                if seen.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        // The pool itself asks each connection that comes back, and waits for its answer without an end: all its places could wait for a
        // machine that is gone.
        .after_release(|connection, _| {
            Box::pin(async move {
                if was_silent_lately() {
                    tokio::time::timeout(ANSWER, connection.ping())
                        .await
                        .map_err(|_| Error::Io(io::ErrorKind::TimedOut.into()))??;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            let setup = setup.clone();
            Box::pin(async move { connection.execute(sqlx::AssertSqlSafe(setup)).await.map(drop) })
        })
        .connect_lazy_with(options)
}

/// What is MySQL's own.
static DIALECT: Dialect = PLAIN;

/// The same where TLS may be between. Its records hold 16 KiB; a statement that takes several is sent in several pieces, and the driver leaves
/// Nagle's algorithm on: the last piece would wait for the server's delayed acknowledgement, for 40 ms.
static DIALECT_OVER_TLS: Dialect = Dialect { statement_bytes: TLS_RECORD, ..PLAIN };

/// The same for moving a store: to count the rows of a large table takes its time.
static TRANSFER: Dialect = Dialect { patience: Some(TRANSFER_PATIENCE), ..PLAIN };
static TRANSFER_OVER_TLS: Dialect = Dialect { statement_bytes: TLS_RECORD, patience: Some(TRANSFER_PATIENCE), ..PLAIN };

const PLAIN: Dialect = Dialect {
    // The connections have the isolation that is wanted: said for each transaction, it would be a statement more.
    write: TransactionOptions { isolation_level: None, access_mode: None, sqlite_transaction_mode: None },
    insert: "INSERT",
    lock: "FOR UPDATE",
    // Text is equal where its bytes are, trailing spaces and all, as on SQLite.
    table: "ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin",
    upsert,
    row_list,
    statement_bytes: usize::MAX,
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

fn row_list(rows: usize, width: usize) -> String {
    let row = format!("({})", super::sql::db::placeholders(width));
    format!("({})", vec![row.as_str(); rows].join(", "))
}

/// Bytes of a statement that fit into one record with what goes around them.
const TLS_RECORD: usize = 14 << 10;
/// Connections that write. What waits for the disk in one of them leaves room for the others.
const WRITERS: u32 = 8;
/// Connections that read.
const READERS: u32 = 8;
/// How often a transaction is run that others' locks have kept from its end.
const ATTEMPTS: u32 = 4;
/// Seconds that a statement waits for another transaction's lock.
const LOCK_WAIT: u32 = 2;
/// How long a caller waits for a connection, which includes making one. While the server is away the pool tries at longer and longer intervals,
/// and begins anew for the next caller: so this is also how late it may notice that the server is back.
const ACQUIRE: Duration = Duration::from_secs(1);
/// How long a connection may take to say that it lives.
const ANSWER: Duration = Duration::from_secs(1);
/// How long a statement may take.
const PATIENCE: Duration = Duration::from_secs(6);
const TRANSFER_PATIENCE: Duration = Duration::from_secs(1_800);
/// A connection that was used this long ago is asked whether it still lives.
const TRUSTED: Duration = Duration::from_millis(500);
