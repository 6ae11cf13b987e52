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
mod retirement;
mod setup;

use std::path::PathBuf;

use sea_orm::{SqlxMySqlConnector, sqlx::mysql::MySqlSslMode};

pub use self::{
    alone::{Alone, AloneError},
    error::OpenError,
};
use self::{
    dialect::{DIALECT, DIALECT_OVER_TLS, TRANSFER, TRANSFER_OVER_TLS},
    pool::{READERS, WRITERS, pool},
    retirement::Retirement,
};
use super::{
    sql::{Dialect, SqlStore, migrate::MigrateError},
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

/// With the dialect of a connection in clear, or of one over TLS.
async fn connect(url: &str, [clear, over_tls]: [&'static Dialect; 2]) -> Result<SqlStore, OpenError> {
    let options = options::parse(url)?;
    let packet = setup::prepare(&options).await?;
    let dialect = if matches!(options.get_ssl_mode(), MySqlSslMode::Disabled) { clear } else { over_tls };
    // A process opens one store, and has it until it ends.
    let retirement: &Retirement = Box::leak(Box::new(Retirement::new()));
    let dialect = Box::leak(Box::new(Dialect { packet, observer: Some(retirement), ..*dialect }));
    let writer = pool(WRITERS, "READ-COMMITTED", options.clone(), retirement);
    let reader = pool(READERS, "REPEATABLE-READ", options, retirement);
    let [writer, reader] = [writer, reader].map(SqlxMySqlConnector::from_sqlx_mysql_pool);
    Ok(SqlStore::new(writer, reader, dialect, None))
}
