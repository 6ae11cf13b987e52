//! What MySQL's errors mean
//! (<https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>).

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{self, mysql::MySqlDatabaseError},
};

use crate::{
    causes::causes,
    store::{StoreError, sql::migrate::MigrateError},
    tls,
};

/// Why a MySQL database could not be opened. No message has the password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be read.
    #[error("this is no mysql://user:password@host:port/database: {0}")]
    Url(String),
    /// The URL has an option of no known name.
    #[error("the URL has an option {option:?}, which there is not: there are {}", known.join(", "))]
    Option {
        /// Its name.
        option: String,
        /// Those that there are.
        known: &'static [&'static str],
    },
    /// The user may not come in.
    #[error(
        "MySQL lets nobody into {place} as {user:?}: check the user and the password, and what the user was granted ({reason})"
    )]
    Refused {
        /// Database and server.
        place: String,
        /// The user.
        user: String,
        /// What the server said.
        reason: String,
    },
    /// The server has no such database.
    #[error("MySQL has no database {place}: name another, or make it with CREATE DATABASE")]
    NoDatabase {
        /// Database and server.
        place: String,
    },
    /// There is no TLS as the URL wants it.
    #[error("no TLS to MySQL for {place}: {reason} (see ssl-mode, ssl-ca, ssl-cert and ssl-key in the URL)")]
    Tls {
        /// Database and server.
        place: String,
        /// Why.
        reason: String,
    },
    /// The server does not answer, or not as MySQL does.
    #[error("MySQL cannot be reached for {place}: {reason}")]
    Unreachable {
        /// Database and server.
        place: String,
        /// Why.
        reason: String,
    },
    /// The server's version is not one of those that have what is needed.
    #[error("the server of {place} is version {found}: MySQL 8.0.19 or newer is needed")]
    TooOld {
        /// Database and server.
        place: String,
        /// The server's version.
        found: String,
    },
    /// The server takes less in one statement than a message has.
    #[error(
        "the server of {place} takes {found} bytes in a statement, and a message may need {least}: set max_allowed_packet to {least} or more there"
    )]
    Packet {
        /// Database and server.
        place: String,
        /// Its `max_allowed_packet`.
        found: u64,
        /// What is needed.
        least: u64,
    },
    /// Another node is at it, for too long.
    #[error(
        "another node has been changing the schema of {place} for more than {seconds} s: wait for it, then start again"
    )]
    Busy {
        /// Database and server.
        place: String,
        /// How long it was waited for.
        seconds: u32,
    },
    /// Moving another store into it was cut off.
    #[error(
        "{place} has a part alone of a store that is being moved into it: run the same `gogochat move` again, to its end, \
         or the same `gogochat restore`"
    )]
    Unfinished {
        /// Database and server.
        place: String,
    },
    /// Somebody works with it who must not.
    #[error("{place} is in use, by {others} connections: stop every core, and whoever else uses this database")]
    Used {
        /// Database and server.
        place: String,
        /// How many connections.
        others: i64,
    },
    /// The schema could not be brought to this program's version.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

impl OpenError {
    /// Why the first connection was not made.
    pub(super) fn connecting(error: &sqlx::Error, place: String, user: &str) -> Self {
        let reason = causes(error);
        match number(error) {
            Some(1044 | 1045 | 1698 | 3118) => Self::Refused { place, user: user.to_owned(), reason },
            Some(1049) => Self::NoDatabase { place },
            _ if matches!(error, sqlx::Error::Tls(_)) || tls::is_untrusted(&reason) => Self::Tls { place, reason },
            _ => Self::Unreachable { place, reason },
        }
    }
}

/// What an error means to the store's caller.
pub(super) fn meaning(error: DbErr) -> StoreError {
    let Some(cause) = cause(&error) else {
        return match error {
            DbErr::ConnectionAcquire(_) => StoreError::Unavailable(error.to_string()),
            _ => StoreError::Failed(error.to_string()),
        };
    };
    match cause {
        sqlx::Error::Database(database) => match number(cause) {
            Some(number) if FULL.contains(&number) => StoreError::Full,
            Some(number) if ON_DISK.contains(&number) && database.message().contains("28") => StoreError::Full,
            Some(number) if READ_ONLY.contains(&number) || UNAVAILABLE.contains(&number) => {
                StoreError::Unavailable(error.to_string())
            }
            _ => StoreError::Failed(error.to_string()),
        },
        // The connection is of no more use, another one may be.
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Failed(error.to_string()),
    }
}

/// Whether the server takes no writes, as it is a replica, or is becoming one.
pub(super) fn is_read_only(error: &DbErr) -> bool {
    cause(error).and_then(number).is_some_and(|number| READ_ONLY.contains(&number))
}

/// Whether another transaction stood in the way of this one: run again, it may find that one gone.
pub(super) fn is_conflict(error: &DbErr) -> bool {
    cause(error).and_then(number).is_some_and(|number| CONFLICT.contains(&number))
}

/// Whether what a migration would make is there already: a table, a column, an index.
pub(super) fn is_done_before(error: &DbErr) -> bool {
    cause(error).and_then(number).is_some_and(|number| matches!(number, 1050 | 1060 | 1061))
}

fn cause(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause))
        | DbErr::Conn(RuntimeErr::SqlxError(cause)) => Some(cause),
        _ => None,
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let database = error.as_database_error()?;
    database.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// A lock was waited for too long; a deadlock.
const CONFLICT: [u16; 2] = [1205, 1213];

/// The disk, or the table, is full.
const FULL: [u16; 2] = [1021, 1114];

/// Full if the operating system's error is 28, ENOSPC: writing a file, writing a temporary file, the
/// storage engine's own error.
const ON_DISK: [u16; 4] = [3, 14, 1026, 1030];

/// Read only: a replica, or one that is becoming one.
const READ_ONLY: [u16; 3] = [1290, 1792, 1836];

/// What passes, or what an operator mends, while this program runs.
const UNAVAILABLE: [u16; 26] = [
    // The password or the grants were changed, the database is away.
    1044, 1045, 1049, 1698, 3118, // Too many connections, or of this user; too many prepared statements.
    1040, 1203, 1226, 1461,
    // Shutting down, this connection was killed, this host is locked out, idle for too long.
    1053, 1077, 1078, 1079, 1129, 1152, 1317, 1927, 3169, 4031, // The network.
    1158, 1159, 1160, 1161, // Locks; a statement's time.
    1205, 1213, 3024,
];
