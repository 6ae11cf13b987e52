//! MySQL 8, shared by any number of nodes.
//!
//! Several connections write at once, each a batch in a transaction of its own. A batch first locks
//! the rows of its logs, in the order of their ids, and reads everything else after that; at READ
//! COMMITTED what it reads then is what the last holder of those locks has written (at REPEATABLE
//! READ it would be what was there before the wait). A commit is on disk when it returns, as long
//! as the server runs with `innodb_flush_log_at_trx_commit` and `sync_binlog` at 1, their defaults.

mod alone;
mod dialect;
mod error;
mod options;
mod pool;
mod retirement;
mod setup;

use std::{path::PathBuf, time::Duration};

use sea_orm::{
    SqlxMySqlConnector,
    sqlx::mysql::{MySqlConnectOptions, MySqlSslMode},
};
use tokio::sync::Semaphore;

pub use self::{
    alone::{Alone, AloneError},
    error::OpenError,
};
use self::{
    dialect::{DIALECT, DIALECT_OVER_TLS, TRANSFER, TRANSFER_OVER_TLS},
    pool::{Use, pool},
    retirement::Retirement,
};
use super::{
    Connections, Store as _,
    sql::{
        Dialect, SqlStore, Writers,
        migrate::{self, MigrateError},
        readers::{Lane, ReadPool, Readers},
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
    open_with(url, Connections::default()).await
}

/// [`open`], with as many connections.
///
/// # Errors
/// As [`open`].
pub async fn open_with(url: &str, connections: Connections) -> Result<SqlStore, OpenError> {
    let store = connect(url, [&DIALECT, &DIALECT_OVER_TLS], connections.or(CONNECTIONS)).await?;
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
    let connections = Connections::default().or(CONNECTIONS);
    connect(url, [&TRANSFER, &TRANSFER_OVER_TLS], connections).await
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
    let store = SqlStore::on_one(only, dialect);
    if transfer::is_unfinished(&store).await.map_err(MigrateError::from)? {
        return Err(OpenError::Unfinished { place: options::place(&options) });
    }
    migrate::require_current(&store.alone()).await?;
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
    transfer::mark(&store).await.map_err(MigrateError::from)?;
    store.close().await;
    // Who has opened it before the mark was there has it still.
    setup::check_unused(&options).await?;
    let store = open_for_transfer(url).await?;
    transfer::empty(&store).await?;
    Ok(store)
}

/// With the dialect of a connection in clear, or of one over TLS.
async fn connect(url: &str, dialects: [&'static Dialect; 2], connections: Connections) -> Result<SqlStore, OpenError> {
    let options = options::parse(url)?;
    let packet = setup::prepare(&options).await?;
    let dialect = dialect_for(&options, dialects);
    // A process opens one store, and has it until it ends.
    let retirement: &Retirement = Box::leak(Box::new(Retirement::new()));
    let dialect = Box::leak(Box::new(Dialect { packet, observer: Some(retirement), ..*dialect }));
    let pool = |count, use_| SqlxMySqlConnector::from_sqlx_mysql_pool(pool(count, use_, options.clone(), retirement));
    let limit = connections.read_limit;
    // The server itself stops a statement that takes too long.
    let reader = |kind, count: u32| {
        let connection = pool(count, Use::Reading(limit));
        ReadPool::new(kind, vec![Lane { connection, stops: None }; count as usize], limit)
    };
    let writers = Writers {
        commits: pool(connections.commits, Use::Writing),
        turns: Semaphore::new(connections.commits as usize),
        others: pool(connections.writes, Use::Writing),
        places: Semaphore::new(connections.writes as usize),
    };
    let readers = Readers {
        sessions: reader("sessions", connections.sessions),
        pages: reader("pages", connections.pages),
        heavy: reader("heavy queries", connections.heavy),
    };
    Ok(SqlStore::new(writers, readers, dialect, None))
}

fn dialect_for(options: &MySqlConnectOptions, [clear, over_tls]: [&'static Dialect; 2]) -> &'static Dialect {
    if matches!(options.get_ssl_mode(), MySqlSslMode::Disabled) { clear } else { over_tls }
}

/// Those that it has unless it is told otherwise. What waits for the disk in one that commits leaves room
/// for the others.
const CONNECTIONS: Connections =
    Connections { commits: 8, writes: 2, sessions: 3, pages: 3, heavy: 2, read_limit: Duration::ZERO };
