//! Checks before the first use: whether the server is fit, whether it keeps commits on disk, and
//! whether the database has the newest schema.

use std::time::{Duration, Instant};

use sea_orm::{
    ConnectionTrait, SqlxMySqlConnector, TransactionTrait as _,
    sqlx::{
        self, ConnectOptions as _, Connection as _, Row as _,
        mysql::{MySqlConnectOptions, MySqlConnection},
    },
};

use super::{
    OpenError,
    dialect::{DIALECT, TRANSFER},
    options::place,
    pool::{Use, pool},
    retirement::Retirement,
};
use crate::{
    clock,
    store::{
        StoreError,
        sql::{
            Db,
            migrate::{MigrateError, migrate},
        },
    },
};

/// Sees to it. Gives the bytes of values that the server takes in a statement.
pub(super) async fn prepare(options: &MySqlConnectOptions) -> Result<usize, OpenError> {
    let unusable = |error: sqlx::Error| OpenError::connecting(&error, place(options), options.get_username());
    let mut connection = connect(options).await?;
    check_version(&mut connection, options).await?;
    let packet = packet(&mut connection, options).await?;
    warn_of_durability(&mut connection).await.map_err(unusable)?;
    warn_of_clock(&mut connection).await.map_err(unusable)?;
    connection.close().await.map_err(unusable)?;
    migrate_alone(options).await?;
    Ok(packet)
}

/// Whether the server will do, for who leaves the database as it is.
pub(super) async fn check_server(options: &MySqlConnectOptions) -> Result<(), OpenError> {
    let mut connection = connect(options).await?;
    check_version(&mut connection, options).await?;
    connection.close().await.map_err(|error| OpenError::connecting(&error, place(options), options.get_username()))
}

/// Whether nobody else has a connection to the database. Those of a process that was killed go in a moment.
pub(super) async fn check_unused(options: &MySqlConnectOptions) -> Result<(), OpenError> {
    let unusable = |error: sqlx::Error| OpenError::connecting(&error, place(options), options.get_username());
    let mut connection = connect(options).await?;
    let until = Instant::now() + GOING;
    // Those of this user can be seen without a grant.
    let sql = "SELECT COUNT(*) FROM performance_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    loop {
        let others = sqlx::query(sql).fetch_one(&mut connection).await.and_then(|row| row.try_get::<i64, _>(0));
        let others = others.unwrap_or_else(|error| {
            // Before 8.0.22 there is no such table.
            tracing::warn!(%error, "core.store: whether others use the database cannot be seen: see to it that none does");
            0
        });
        if others == 0 {
            return connection.close().await.map_err(unusable);
        }
        if Instant::now() > until {
            return Err(OpenError::Used { place: place(options), others });
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn connect(options: &MySqlConnectOptions) -> Result<MySqlConnection, OpenError> {
    match tokio::time::timeout(CONNECT, options.connect()).await {
        Ok(connected) => {
            connected.map_err(|error| OpenError::connecting(&error, place(options), options.get_username()))
        }
        Err(_) => {
            let reason = format!("it does not answer within {} s", CONNECT.as_secs());
            Err(OpenError::Unreachable { place: place(options), reason })
        }
    }
}

async fn check_version(connection: &mut MySqlConnection, options: &MySqlConnectOptions) -> Result<(), OpenError> {
    let version =
        sqlx::query("SELECT VERSION()").fetch_one(connection).await.and_then(|row| row.try_get::<String, _>(0));
    let version = version.map_err(|error| OpenError::connecting(&error, place(options), options.get_username()))?;
    match is_new_enough(&version) {
        true => Ok(()),
        false => Err(OpenError::TooOld { place: place(options), found: version }),
    }
}

/// Whether the version, as "8.0.36-log", has what the statements use. MariaDB's versions are others,
/// with other SQL.
fn is_new_enough(version: &str) -> bool {
    let number = version.split(['-', '+', ' ']).next().unwrap_or_default();
    let parts: Vec<u32> = number.split('.').map_while(|part| part.parse().ok()).collect();
    !version.contains("MariaDB") && parts >= MINIMUM.to_vec()
}

/// How much a statement may have. A server closes the connection of a larger one, and says no more than that.
async fn packet(connection: &mut MySqlConnection, options: &MySqlConnectOptions) -> Result<usize, OpenError> {
    let asked = sqlx::query("SELECT CAST(@@max_allowed_packet AS SIGNED)").fetch_one(connection).await;
    let found = asked.and_then(|row| row.try_get::<i64, _>(0));
    let found = found.map_err(|error| OpenError::connecting(&error, place(options), options.get_username()))?;
    let found = u64::try_from(found).unwrap_or(0);
    if found < LEAST_PACKET {
        return Err(OpenError::Packet { place: place(options), found, least: LEAST_PACKET });
    }
    Ok(usize::try_from(found - AROUND).unwrap_or(usize::MAX))
}

/// A server may be told to answer before what it was given is on disk.
async fn warn_of_durability(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    let sql = "SELECT CAST(@@innodb_flush_log_at_trx_commit AS SIGNED), CAST(@@sync_binlog AS SIGNED), CAST(@@log_bin AS SIGNED)";
    let row = sqlx::query(sql).fetch_one(connection).await?;
    let (flush, sync, binlog): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    for warning in durability_warnings(flush, sync, binlog != 0) {
        tracing::warn!("core.store: {warning}");
    }
    Ok(())
}

/// All nodes have one database: who differs from it differs from the others.
async fn warn_of_clock(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    // Whole seconds, whatever the time zone: one with summer time has an hour twice.
    let sql = "SELECT CAST(UNIX_TIMESTAMP() * 1000 AS SIGNED)";
    let there: i64 = sqlx::query(sql).fetch_one(connection).await?.try_get(0)?;
    if let Some(skew) = clock::skew(clock::now_ms(), there) {
        tracing::warn!(
            "core.store: this machine's clock is {skew} MySQL's: keep both by NTP, or tokens expire at the wrong time"
        );
    }
    Ok(())
}

fn durability_warnings(flush: i64, sync: i64, binlog: bool) -> Vec<String> {
    let flush = (flush != 1).then(|| {
        format!(
            "MySQL runs with innodb_flush_log_at_trx_commit = {flush}: messages that were acknowledged are lost when its machine fails; \
             set it to 1"
        )
    });
    let sync = (binlog && sync != 1).then(|| {
        format!(
            "MySQL runs with sync_binlog = {sync}: replicas may miss messages that were acknowledged when its machine fails; set it to 1"
        )
    });
    flush.into_iter().chain(sync).collect()
}

/// Brings the schema to the newest version while no other node does. DDL commits by itself: after one
/// that was cut off, the next run passes over what is there.
async fn migrate_alone(options: &MySqlConnectOptions) -> Result<(), OpenError> {
    let failed = |error| OpenError::Migrate(MigrateError::Store((DIALECT.error)(error)));
    let retirement = Box::leak(Box::new(Retirement::new()));
    let pool = SqlxMySqlConnector::from_sqlx_mysql_pool(pool(1, Use::Writing, options.clone(), retirement));
    // The lock belongs to the connection, and a transaction keeps its connection.
    let transaction = pool.begin().await.map_err(failed)?;
    // A step may change all rows of a table.
    let result = migrate_locked(&Db::new(&transaction, &TRANSFER), options).await;
    // Closing the connection gives the lock back.
    drop(transaction);
    pool.close_by_ref().await.map_err(failed)?;
    result
}

async fn migrate_locked<C: ConnectionTrait>(db: &Db<'_, C>, options: &MySqlConnectOptions) -> Result<(), OpenError> {
    let lock = format!("SELECT GET_LOCK({LOCK_NAME}, {LOCK_STEP})");
    for _ in 0..LOCK_STEPS {
        let row = db.row(lock.as_str(), vec![]).await.map_err(MigrateError::from)?;
        let locked = row.map_or(Ok(None), |row| row.int_or_null(0)).map_err(MigrateError::from)?;
        if locked == Some(1) {
            migrate(db).await?;
            return Ok(key_version(db).await.map_err(MigrateError::from)?);
        }
    }
    Err(OpenError::Busy { place: place(options), seconds: LOCK_STEP * LOCK_STEPS })
}

/// Gives the table of the version the key that those of older programs lack. A server may want one of every
/// table before it takes a write (`sql_require_primary_key`, group replication).
async fn key_version<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    let sql = "SELECT COUNT(*) FROM information_schema.table_constraints \
               WHERE table_schema = DATABASE() AND table_name = 'schema_version' AND constraint_type = 'PRIMARY KEY'";
    let keys = db.row(sql, vec![]).await?.map_or(Ok(0), |row| row.int(0))?;
    if keys == 0 {
        db.execute("ALTER TABLE schema_version ADD PRIMARY KEY (version)", vec![]).await?;
    }
    Ok(())
}

/// Names of locks are the server's, at most 64 characters: a hash of the database's name makes it the
/// database's.
const LOCK_NAME: &str = "SHA2(CONCAT('gogochat.migrate.', DATABASE()), 224)";
/// Seconds that one statement waits for the lock, less than a statement may take.
const LOCK_STEP: u32 = 4;
/// How often it waits.
const LOCK_STEPS: u32 = 15;

/// How long the first connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// `max_allowed_packet` in which the largest row fits, a body of 64 KiB, with what goes around it.
/// Servers have 64 MiB unless they are told otherwise.
const LEAST_PACKET: u64 = 256 << 10;
/// What a statement has beside its values: their types and lengths, for up to 256 rows.
const AROUND: u64 = 64 << 10;
/// How long connections of a process that has ended may be there.
const GOING: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(200);

/// The first version with row aliases in INSERT ... ON DUPLICATE KEY UPDATE.
const MINIMUM: [u32; 3] = [8, 0, 19];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for version in ["8.0.19", "8.0.36-0ubuntu0.22.04.1", "8.4.0", "9.7.0", "10.0.1-cloud", "8.0.30-22"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["5.7.44-log", "8.0.18", "10.11.6-MariaDB-0+deb12u1", "5.5.5-10.4.0-MariaDB", "", "eight", "8"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }

    #[test]
    fn less_than_a_sync_a_commit_is_said() {
        assert!(durability_warnings(1, 1, true).is_empty());
        assert!(durability_warnings(1, 0, false).is_empty());
        let warnings = durability_warnings(2, 100, true);
        assert!(
            warnings[0].contains("innodb_flush_log_at_trx_commit = 2") && warnings[1].contains("sync_binlog = 100")
        );
        assert_eq!(durability_warnings(0, 0, false).len(), 1);
    }
}
