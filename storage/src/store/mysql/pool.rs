//! Connections, and how each is set up.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::sqlx::{
    Connection as _, Error, Executor as _,
    mysql::{MySql, MySqlConnectOptions, MySqlPool},
    pool::PoolOptions,
};

use crate::store::sql::db::was_silent_lately;

/// Connections that are made when they are needed, each set up alike.
pub(super) fn pool(connections: u32, isolation: &'static str, options: MySqlConnectOptions) -> MySqlPool {
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
        // The pool itself asks each connection that comes back, and waits for its answer without an end:
        // all its places could wait for a machine that is gone.
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

/// One connection, which sees the state of the moment when it is made, for as long as it lives.
pub(super) fn snapshot(options: MySqlConnectOptions) -> MySqlPool {
    let made = Arc::new(AtomicBool::new(false));
    PoolOptions::<MySql>::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            // Another one would see another state.
            let again = made.swap(true, Ordering::Relaxed);
            Box::pin(async move {
                if again {
                    return Err(Error::Protocol(SNAPSHOT_LOST.to_owned()));
                }
                connection.execute("SET transaction_isolation = 'REPEATABLE-READ'").await?;
                connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await.map(drop)
            })
        })
        .connect_lazy_with(options)
}

const SNAPSHOT_LOST: &str = "the connection broke, and what it saw is gone with it: begin again";

/// Connections that write. What waits for the disk in one of them leaves room for the others.
pub(super) const WRITERS: u32 = 8;
/// Connections that read.
pub(super) const READERS: u32 = 8;
/// Seconds that a statement waits for another transaction's lock.
const LOCK_WAIT: u32 = 2;
/// How long a caller waits for a connection, which includes making one. While the server is away the
/// pool tries at longer and longer intervals, and begins anew for the next caller: so this is also how
/// late it may notice that the server is back.
const ACQUIRE: Duration = Duration::from_secs(1);
/// How long a connection may take to say that it lives.
const ANSWER: Duration = Duration::from_secs(1);
/// A connection that was used this long ago is asked whether it still lives.
const TRUSTED: Duration = Duration::from_millis(500);
