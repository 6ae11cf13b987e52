//! A lock for what only one process may do with a database: a named lock of the server, on a
//! connection of its own.
//!
//! The lock goes with its connection
//! (<https://dev.mysql.com/doc/refman/8.4/en/locking-functions.html>). When its process is killed,
//! it is free at once; when the machine is gone, after [`QUIET`]. It is a lock of one server:
//! replicas know nothing of it.

use std::{io, time::Duration};

use sea_orm::sqlx::{
    self, AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _,
    mysql::{MySqlConnectOptions, MySqlConnection},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    super::Hold,
    OpenError,
    options::{parse, place},
};

/// What this process alone may do, for as long as this lives.
#[derive(Debug)]
pub struct Alone {
    state: watch::Receiver<Hold>,
    task: JoinHandle<()>,
}

/// Why the lock was not got.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AloneError {
    /// Another process has it.
    #[error("another process does so on database {place} (its connection to MySQL: {holder})")]
    Others {
        /// Database and server.
        place: String,
        /// What the server knows of its connection.
        holder: String,
    },
    /// The server cannot be used.
    #[error("core.store: {0}")]
    Open(#[from] OpenError),
}

impl Alone {
    /// Takes the lock of this name and of the URL's database. One whose holder's machine is gone is
    /// waited for.
    ///
    /// # Errors
    /// Another process has it; the server cannot be used.
    pub async fn take(url: &str, name: &str) -> Result<Self, AloneError> {
        let lock = Lock { options: parse(url)?, name: name.to_owned() };
        let until = Instant::now() + QUIET + LAPSE;
        let connection = loop {
            let failed = |error| OpenError::connecting(&error, place(&lock.options), lock.options.get_username());
            match lock.try_take().await.map_err(failed)? {
                Ok(connection) => break connection,
                Err(holder) if Instant::now() >= until => {
                    return Err(AloneError::Others { place: place(&lock.options), holder });
                }
                Err(_) => sleep(PAUSE).await,
            }
        };
        let (told, state) = watch::channel(Hold::Held);
        Ok(Self { state, task: tokio::spawn(lock.keep(connection, told)) })
    }

    /// How it stands, now and at every change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<Hold> {
        self.state.clone()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // The connection goes with the task, and the lock with the connection.
        self.task.abort();
    }
}

struct Lock {
    options: MySqlConnectOptions,
    name: String,
}

impl Lock {
    /// The connection that has it; or who has it.
    async fn try_take(&self) -> Result<Result<MySqlConnection, String>, sqlx::Error> {
        let mut connection = in_time(self.options.connect()).await?;
        if self.ask(&mut connection, "CAST(@@read_only AS SIGNED)").await? != Some(0) {
            let replica = io::Error::other("it takes no writes, as a replica does");
            return Err(sqlx::Error::Io(replica));
        }
        in_time(
            sqlx::query(AssertSqlSafe(format!("SET SESSION wait_timeout = {}", QUIET.as_secs())))
                .execute(&mut connection),
        )
        .await?;
        let got: Option<i64> = self.ask(&mut connection, "GET_LOCK({}, 0)").await?;
        if got == Some(1) {
            return Ok(Ok(connection));
        }
        let holder: Option<i64> = self.ask(&mut connection, "CAST(IS_USED_LOCK({}) AS SIGNED)").await?;
        let host = match holder {
            Some(id) => in_time(
                sqlx::query("SELECT host FROM performance_schema.processlist WHERE id = ?")
                    .bind(id)
                    .fetch_optional(&mut connection),
            )
            .await
            .ok()
            .flatten()
            .and_then(|row| row.try_get::<Option<String>, _>(0).ok().flatten()),
            None => None,
        };
        let _ = timeout(ANSWER, connection.close()).await;
        let id = holder.map_or_else(|| "gone by now".to_owned(), |id| format!("number {id}"));
        Ok(Err(host.map_or_else(|| id.clone(), |host| format!("{id}, from {host}"))))
    }

    /// Makes sure that the connection and the lock are there, again and again, and takes it again where
    /// they are not, or are those of a server that takes no writes any more: another one has the store now.
    async fn keep(self, mut connection: MySqlConnection, told: watch::Sender<Hold>) {
        loop {
            sleep(LOOK).await;
            let own = "CAST(IS_USED_LOCK({}) = CONNECTION_ID() AND NOT @@read_only AS SIGNED)";
            let own = self.ask(&mut connection, own).await;
            if own.is_ok_and(|own| own == Some(1)) {
                continue;
            }
            told.send_replace(Hold::Unsure);
            // What it may hold still would stand in this one's own way.
            drop(connection);
            connection = loop {
                match self.try_take().await {
                    Ok(Ok(connection)) => break connection,
                    // It may be the connection from before, of which the server does not know yet that
                    // it is gone.
                    Ok(Err(_)) if self.outlasts().await => {
                        told.send_replace(Hold::Lost);
                        return;
                    }
                    Ok(Err(_)) => {}
                    Err(error) => tracing::debug!(%error, "MySQL does not answer"),
                }
                sleep(LOOK).await;
            };
            told.send_replace(Hold::Held);
        }
    }

    /// Whether the lock's holder is there for longer than a connection that is gone.
    async fn outlasts(&self) -> bool {
        let until = Instant::now() + QUIET + LAPSE;
        while Instant::now() < until {
            sleep(PAUSE).await;
            match self.try_take().await {
                // Free again: it is taken in the next round, as this connection is let go.
                Ok(Ok(_)) | Err(_) => return false,
                Ok(Err(_)) => {}
            }
        }
        true
    }

    /// One value. `{}` stands for the lock's name: names are the server's, a hash of the database's name
    /// makes it the database's.
    async fn ask(&self, connection: &mut MySqlConnection, expression: &str) -> Result<Option<i64>, sqlx::Error> {
        let sql = format!("SELECT {}", expression.replace("{}", "SHA2(CONCAT('gogochat.', ?, '.', DATABASE()), 224)"));
        let query = sqlx::query(AssertSqlSafe(sql));
        let query = if expression.contains("{}") { query.bind(&self.name) } else { query };
        in_time(query.fetch_one(connection)).await?.try_get(0)
    }
}

async fn in_time<T>(asking: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = || sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "it takes too long"));
    timeout(ANSWER, asking).await.unwrap_or_else(|_| Err(late()))
}

/// How long the server keeps a connection that says nothing. Whole seconds.
const QUIET: Duration = Duration::from_secs(8);
/// How late it may notice.
const LAPSE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(3);
