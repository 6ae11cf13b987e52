//! What a call of the store reads: rows on MySQL, as the server counts them, and steps of SQLite's virtual
//! machine.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gogochat_storage::store::{SqlStore, StoreError};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};

/// Measures calls, and keeps what is wrong with them.
pub(super) struct Meter {
    counter: Counter,
    called: BTreeSet<String>,
    wrong: Vec<String>,
}

enum Counter {
    Steps(Arc<AtomicU64>),
    /// A connection past the store.
    Server(DatabaseConnection),
}

/// What has been counted so far.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    /// Rows, or steps.
    read: u64,
    /// Rows that were given and written; on SQLite nobody counts them.
    given: u64,
    statements: u64,
}

impl Meter {
    pub(super) async fn of_sqlite(store: &SqlStore) -> Self {
        let steps = Arc::new(AtomicU64::new(0));
        for connection in store.connections() {
            let mut connection = connection.get_sqlite_connection_pool().acquire().await.unwrap();
            let steps = Arc::clone(&steps);
            connection.lock_handle().await.unwrap().set_progress_handler(1, move || {
                steps.fetch_add(1, Ordering::Relaxed);
                true
            });
        }
        Self::new(Counter::Steps(steps))
    }

    pub(super) fn of_mysql(raw: DatabaseConnection) -> Self {
        Self::new(Counter::Server(raw))
    }

    fn new(counter: Counter) -> Self {
        Self { counter, called: BTreeSet::new(), wrong: Vec::new() }
    }

    /// Makes a call. It may read twice the rows that it gives and writes, and 50. `rows`: how many those are.
    pub(super) async fn call<T>(
        &mut self,
        name: &str,
        call: impl Future<Output = Result<T, StoreError>>,
        rows: impl FnOnce(&T) -> usize,
    ) -> T {
        self.call_with(name, None, 0, call, rows).await
    }

    /// The same, which takes so many statements at most, and may read so many rows more.
    pub(super) async fn call_with<T>(
        &mut self,
        name: &str,
        statements: Option<u64>,
        more: u64,
        call: impl Future<Output = Result<T, StoreError>>,
        rows: impl FnOnce(&T) -> usize,
    ) -> T {
        let before = self.reading().await;
        let answer = call.await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let after = self.reading().await;
        self.called.insert(name.split(' ').next().unwrap_or_default().to_owned());
        let rows = rows(&answer) as u64;
        // A connection that was closed takes its numbers with it.
        let since = |now: u64, then: u64| now.saturating_sub(then);
        let (read, asked) = (since(after.read, before.read), since(after.statements, before.statements));
        let (given, unit) = match self.counter {
            Counter::Steps(_) => (rows, STEPS),
            // Those that the caller is not given, but that were read for it, are given to the store.
            Counter::Server(_) => (since(after.given, before.given), 1),
        };
        let most = (2 * given + 50 * asked.max(1) + more) * unit;
        println!("{name}: {read} read of {most}, {given} rows, {asked} statements");
        if read > most {
            self.wrong.push(format!("{name}: reads {read}, and may read {most} for {given} rows"));
        }
        if let Some(limit) = statements.filter(|limit| asked > *limit) {
            self.wrong.push(format!("{name}: {asked} statements, and may take {limit}"));
        }
        answer
    }

    async fn reading(&self) -> Reading {
        match &self.counter {
            Counter::Steps(steps) => Reading { read: steps.load(Ordering::Relaxed), ..Reading::default() },
            Counter::Server(raw) => {
                let ask = async |sql: &str| {
                    let sql = sql.replace("THREADS", OF_STORE);
                    let asked = Statement::from_string(raw.get_database_backend(), sql);
                    raw.query_one_raw(asked).await.unwrap().unwrap()
                };
                let read = ask(HANDLERS).await.try_get_by_index::<i64>(0).unwrap();
                let row = ask(STATEMENTS).await;
                let [given, statements] = [0, 1].map(|column| row.try_get_by_index::<i64>(column).unwrap() as u64);
                Reading { read: read as u64, given, statements }
            }
        }
    }

    /// Fails where something was wrong, or one of these has not been called.
    pub(super) fn finish(self, all: &BTreeSet<String>) {
        let missing: Vec<_> = all.difference(&self.called).collect();
        assert!(missing.is_empty(), "nobody has measured {missing:?}: add them to storage/tests/backends/rows");
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
    }
}

/// Of each connection to this database but the one that asks.
const OF_STORE: &str = "(SELECT thread_id FROM performance_schema.threads \
     WHERE processlist_db = DATABASE() AND processlist_id <> CONNECTION_ID())";
const HANDLERS: &str = "SELECT CAST(COALESCE(SUM(variable_value), 0) AS SIGNED) FROM performance_schema.status_by_thread \
     WHERE variable_name LIKE 'Handler_read%' AND thread_id IN THREADS";
/// What a pool asks its connections is none.
const STATEMENTS: &str = "SELECT CAST(COALESCE(SUM(sum_rows_sent + sum_rows_affected), 0) AS SIGNED), \
     CAST(COALESCE(SUM(IF(event_name IN ('statement/com/Ping', 'statement/com/Prepare', 'statement/com/Close stmt'), 0, count_star)), 0) AS SIGNED) \
     FROM performance_schema.events_statements_summary_by_thread_by_event_name WHERE thread_id IN THREADS";

/// Steps of SQLite's machine that a row may take: one for each column that is read, and what goes around it.
const STEPS: u64 = 40;
