//! MySQL 8, shared by any number of nodes.
//!
//! Several connections write at once, each a batch in a transaction of its own. A batch first locks the
//! rows of its logs, in the order of their ids, and reads everything else after that; at READ COMMITTED
//! what it reads then is what the last holder of those locks has written (at REPEATABLE READ it would be
//! what was there before the wait). A commit is on disk when it returns, as long as the server runs with
//! `innodb_flush_log_at_trx_commit` and `sync_binlog` at 1, their defaults.

mod alone;
mod dialect;
mod error;
mod options;
mod pool;
mod setup;

use std::path::PathBuf;

use sea_orm::{
    SqlxMySqlConnector,
    sqlx::mysql::{MySqlConnectOptions, MySqlSslMode},
};

pub use self::{
    alone::{Alone, AloneError},
    error::OpenError,
};
use self::{
    dialect::{DIALECT, DIALECT_OVER_TLS, TRANSFER, TRANSFER_OVER_TLS},
    pool::{READERS, WRITERS, pool},
};
use super::{
    sql::{
        Dialect, SqlStore,
        migrate::{self, MigrateError},
    },
    transfer,
};

/// Opens the store in the database that a URL names, `mysql://user:password@host:port/database`, and
/// brings its schema to the newest version.
///
/// The URL takes the driver's parameters: `ssl-mode` (`DISABLED`, `PREFERRED`, `REQUIRED`, `VERIFY_CA`,
/// `VERIFY_IDENTITY`; on this machine `DISABLED` unless said otherwise), `ssl-ca`, `ssl-cert`,
/// `ssl-key`, `socket`.
///
/// # Errors
/// The URL is not of this form, the server cannot be used, a newer program has written the database, or
/// it has a part alone of a store that was to be moved into it.
pub async fn open(url: &str) -> Result<SqlStore, OpenError> {
    let store = connect(url, [&DIALECT, &DIALECT_OVER_TLS]).await?;
    match transfer::is_unfinished(&store).await.map_err(MigrateError::from)? {
        false => Ok(store.catching_up()),
        true => Err(OpenError::Unfinished { place: options::place(&options::parse(url)?) }),
    }
}

/// Whether a URL is one to open, as far as this machine knows: nothing is connected. The files for TLS
/// that it names.
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

/// Opens it as it is at this moment, to be read: its schema is not touched, and what others write from
/// here on is not seen.
///
/// # Errors
/// As [`open`], and where the database's schema is not this program's.
pub async fn open_snapshot(url: &str) -> Result<SqlStore, OpenError> {
    let options = options::parse(url)?;
    setup::check_server(&options).await?;
    let dialect = dialect_for(&options, [&TRANSFER, &TRANSFER_OVER_TLS]);
    let only = SqlxMySqlConnector::from_sqlx_mysql_pool(pool::snapshot(options.clone()));
    let store = SqlStore::new(only.clone(), only, dialect, None);
    if transfer::is_unfinished(&store).await.map_err(MigrateError::from)? {
        return Err(OpenError::Unfinished { place: options::place(&options) });
    }
    migrate::require_current(&store.read()).await?;
    Ok(store)
}

/// Opens it to restore the backup of this name into it, which may have been begun already. `replace`: what
/// else it has is given up.
///
/// # Errors
/// As [`open_for_transfer`]; and where somebody else has a connection to it.
pub async fn open_for_restore(url: &str, name: &str, replace: bool) -> Result<SqlStore, OpenError> {
    let options = options::parse(url)?;
    setup::check_unused(&options).await?;
    let store = open_for_transfer(url).await?;
    if !replace || transfer::has_begun(&store, name).await.map_err(MigrateError::from)? {
        return Ok(store);
    }
    transfer::empty(&store).await?;
    Ok(store)
}

/// With the dialect of a connection in clear, or of one over TLS.
async fn connect(url: &str, dialects: [&'static Dialect; 2]) -> Result<SqlStore, OpenError> {
    let options = options::parse(url)?;
    setup::prepare(&options).await?;
    let dialect = dialect_for(&options, dialects);
    let writer = pool(WRITERS, "READ-COMMITTED", options.clone());
    let reader = pool(READERS, "REPEATABLE-READ", options);
    let [writer, reader] = [writer, reader].map(SqlxMySqlConnector::from_sqlx_mysql_pool);
    Ok(SqlStore::new(writer, reader, dialect, None))
}

fn dialect_for(options: &MySqlConnectOptions, [clear, over_tls]: [&'static Dialect; 2]) -> &'static Dialect {
    if matches!(options.get_ssl_mode(), MySqlSslMode::Disabled) { clear } else { over_tls }
}
