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
    Connection as _, Error, Executor as _, Row as _,
    mysql::{MySql, MySqlConnectOptions, MySqlPool},
    pool::PoolOptions,
};

use super::retirement::Retirement;
use crate::store::sql::db::was_silent_lately;

/// What connections are for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use {
    /// Transactions that write.
    Writing,
    /// Statements that read, each for so long at most.
    Reading(Duration),
}

/// Connections that are made when they are needed, each set up alike, and used until they are retired.
/// `users`: how many use one at once.
pub(super) fn pool(users: u32, use_: Use, options: MySqlConnectOptions, retirement: &'static Retirement) -> MySqlPool {
    let (isolation, limit) = match use_ {
        Use::Writing => ("READ-COMMITTED", 0),
        Use::Reading(limit) => ("REPEATABLE-READ", limit.as_millis()),
    };
    let setup = format!(
        "SET transaction_isolation = '{isolation}', innodb_lock_wait_timeout = {LOCK_WAIT}, \
         max_execution_time = {limit}, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
    );
    PoolOptions::<MySql>::new()
        // One that goes back to the pool is asked by that whether it lives, without an end to the wait: where
        // its machine has fallen silent at this moment, it keeps its place.
        .max_connections(users.saturating_mul(2))
        .min_connections(0)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // A connection that lay idle may be gone, with the server or for its `wait_timeout`.
        .before_acquire(move |connection, seen| {
            Box::pin(async move {
                if retirement.is_of(seen.age) {
                    return Ok(false);
                }
                if seen.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        // Of those that have no answer to what they were last asked, none keeps a place.
        .after_release(move |connection, seen| {
            Box::pin(async move {
                if retirement.is_of(seen.age) {
                    return Ok(false);
                }
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
            Box::pin(async move {
                connection.execute(sqlx::AssertSqlSafe(setup)).await?;
                if retirement.is_looking() {
                    let row =
                        connection.fetch_one("SELECT @@read_only OR @@super_read_only OR @@innodb_read_only").await?;
                    if row.try_get::<i64, _>(0)? == 0 {
                        retirement.found();
                    }
                }
                Ok(())
            })
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

/// Seconds that a statement waits for another transaction's lock.
const LOCK_WAIT: u32 = 2;
/// How long a caller waits for a connection, which is to say for one to be made: whoever would wait for
/// another's stands in line before that. While the server is away the pool tries at longer and longer
/// intervals, and begins anew for the next caller: so this is also how late it may notice that the
/// server is back.
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long a connection may take to say that it lives.
const ANSWER: Duration = Duration::from_secs(1);
/// A connection that was used this long ago is asked whether it still lives.
const TRUSTED: Duration = Duration::from_millis(500);
