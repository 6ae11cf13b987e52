//! The task that has logs counted which are not: first those that somebody has read, then all that
//! a step of the schema has left.

use std::time::{Duration, Instant};

use gogochat_proto::ids::LogId;
use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait as _};
use tokio::{sync::mpsc, task::AbortHandle};

use super::{
    Db, Dialect,
    counting::{self, Part},
};
use crate::store::StoreError;

/// The task, which ends with this.
#[derive(Debug)]
pub(super) struct CatchUp {
    asked: mpsc::Sender<LogId>,
    task: AbortHandle,
}

/// Where there may be some, and how it is reached.
#[derive(Debug)]
pub(super) struct Uncounted {
    pub(super) writer: DatabaseConnection,
    pub(super) reader: DatabaseConnection,
    pub(super) dialect: &'static Dialect,
}

impl Uncounted {
    async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        self.dialect.wait(self.writer.begin_with_options(self.dialect.write), |error| self.dialect.meaning(error)).await
    }

    async fn commit(&self, transaction: DatabaseTransaction) -> Result<(), StoreError> {
        self.dialect.wait(transaction.commit(), |error| self.dialect.meaning(error)).await
    }
}

impl CatchUp {
    /// Runs it.
    pub(super) fn spawn(store: Uncounted) -> Self {
        let (asked, logs) = mpsc::channel(MAX_ASKED);
        Self { asked, task: tokio::spawn(run(store, logs)).abort_handle() }
    }

    /// Has a log counted. Where very many wait, it waits for somebody to read it again.
    pub(super) fn ask(&self, log: LogId) {
        let _ = self.asked.try_send(log);
    }

    /// Ends it.
    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for CatchUp {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn run(store: Uncounted, mut asked: mpsc::Receiver<LogId>) {
    let mut left = Left::default();
    loop {
        let next = match asked.try_recv() {
            Ok(log) => Some(log),
            Err(_) => match left.next(&store).await {
                Ok(None) => asked.recv().await,
                Ok(log) => log,
                Err(error) => {
                    tracing::debug!(%error, "logs are counted later");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let Some(log) = next else { return };
        count(&store, log).await;
    }
}

/// What a step of the schema has left uncounted.
#[derive(Debug, Default)]
struct Left {
    part: Part,
    begun: bool,
    done: bool,
}

impl Left {
    /// The next log; `None`: all are counted.
    async fn next(&mut self, store: &Uncounted) -> Result<Option<LogId>, StoreError> {
        if !self.begun {
            self.done = !counting::is_pending(&Db::new(&store.reader, store.dialect)).await?;
            self.begun = true;
        }
        while !self.done {
            if let Some(log) = self.part.uncounted.pop() {
                return Ok(Some(log));
            }
            self.part = counting::look(&Db::new(&store.reader, store.dialect), self.part.last).await?;
            if self.part.last.is_none() {
                finish(store).await?;
                self.done = true;
            }
        }
        Ok(None)
    }
}

/// Counts a log to its end. Commits go on in between, and have most of the time.
async fn count(store: &Uncounted, log: LogId) {
    loop {
        let began = Instant::now();
        match count_some(store, log).await {
            Ok(true) => tokio::time::sleep(began.elapsed() * REST).await,
            Ok(false) => return,
            // Whoever reads it next asks for it again.
            Err(error) => {
                tracing::warn!(%log, %error, "unread messages are counted one by one: the log's numbers could not be made");
                return tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn count_some(store: &Uncounted, log: LogId) -> Result<bool, StoreError> {
    let transaction = store.begin().await?;
    let more = counting::count(&Db::new(&transaction, store.dialect), log).await?;
    store.commit(transaction).await?;
    Ok(more)
}

async fn finish(store: &Uncounted) -> Result<(), StoreError> {
    let transaction = store.begin().await?;
    counting::finish(&Db::new(&transaction, store.dialect)).await?;
    store.commit(transaction).await
}

/// Logs that wait because somebody has read them.
const MAX_ASKED: usize = 1_024;
/// How long a part of a log is left alone after a part was counted, times what that took.
const REST: u32 = 3;
/// How long it waits for a store that does not answer.
const PAUSE: Duration = Duration::from_secs(1);
