//! Databases of the tests' own on the server that `scripts/services mysql` starts.

use std::sync::Arc;

use gogochat_storage::store::{SqlStore, Store, mysql};
use parking_lot::Mutex;
use sea_orm::{ConnectOptions, ConnectionTrait, Database as Connector, DatabaseConnection};
use uuid::Uuid;

use crate::contract;

/// A database, dropped with this.
pub(crate) struct Database {
    name: String,
}

impl Database {
    /// An empty one.
    pub(crate) async fn create() -> Self {
        let name = format!("gogochat_test_{}", Uuid::new_v4().simple());
        run_on_server(&format!("CREATE DATABASE {name}")).await;
        Self { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        format!("mysql://root@{}/{}", address(), self.name)
    }

    pub(crate) async fn open(&self) -> Arc<SqlStore> {
        Arc::new(mysql::open(&self.url()).await.unwrap())
    }

    /// One connection to it, past the store.
    pub(crate) async fn raw(&self) -> DatabaseConnection {
        connect(self.url()).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE {}", self.name);
        // A thread of its own may wait where a test's runtime may not.
        let dropping = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run_on_server(&sql));
        });
        if dropping.join().is_err() && !std::thread::panicking() {
            panic!("{} is still there", self.name);
        }
    }
}

/// A store in a database of its own.
pub(crate) struct Opened {
    store: Arc<SqlStore>,
    pub(crate) database: Database,
}

impl contract::store::model::Opened for Opened {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }
}

pub(crate) async fn open() -> Opened {
    let database = Database::create().await;
    Opened { store: database.open().await, database }
}

/// Stores that are used again, emptied: making a database takes longer than most tests.
#[derive(Default)]
pub(crate) struct Reused {
    free: Arc<Mutex<Vec<Opened>>>,
}

/// One of them, given back when it is dropped.
pub(crate) struct Lent {
    opened: Option<Opened>,
    free: Arc<Mutex<Vec<Opened>>>,
}

impl Reused {
    pub(crate) async fn open(&self) -> Lent {
        let free = self.free.lock().pop();
        let opened = match free {
            Some(opened) => {
                let raw = opened.database.raw().await;
                for table in [
                    "spent_refresh",
                    "device",
                    "signed_out",
                    "follower",
                    "contact",
                    "block",
                    "member",
                    "event",
                    "silent_event",
                    "notice",
                    "invite",
                    "sent",
                    "log",
                    "audit",
                    "invitation",
                    "recovery_code",
                    "second_factor",
                    "name_word",
                    "account",
                ] {
                    raw.execute_unprepared(&format!("DELETE FROM {table}")).await.unwrap();
                }
                raw.close().await.unwrap();
                opened
            }
            None => open().await,
        };
        Lent { opened: Some(opened), free: Arc::clone(&self.free) }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.free.lock().extend(self.opened.take());
    }
}

impl contract::store::model::Opened for Lent {
    fn store(&self) -> Arc<dyn Store> {
        self.opened.as_ref().unwrap().store()
    }
}

/// HOST:PORT of the server.
pub(crate) fn address() -> String {
    std::env::var("GOGOCHAT_TEST_MYSQL").unwrap_or_else(|_| "127.0.0.1:33306".into())
}

/// Runs a statement as root, in no database.
pub(crate) async fn run_on_server(sql: &str) {
    let server = connect(format!("mysql://root@{}", address())).await;
    server.execute_unprepared("SET SESSION lock_wait_timeout = 20").await.unwrap();
    server.execute_unprepared(sql).await.unwrap();
    server.close().await.unwrap();
}

pub(crate) async fn connect(url: String) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    match Connector::connect(options).await {
        Ok(connection) => connection,
        Err(error) => panic!("no MySQL at {}: {error}; start it: scripts/services mysql", address()),
    }
}
