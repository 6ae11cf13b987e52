//! Connections that read. Each kind of reading has its own, so that none takes another's, and a
//! statement has a limit of time.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sea_orm::DatabaseConnection;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::store::StoreError;

/// The kinds of reading.
#[derive(Debug)]
pub(in crate::store) struct Readers {
    /// Who it is: for a log-in, a session that opens, a refresh.
    pub(in crate::store) sessions: ReadPool,
    /// Pages of history, of conversations and the like.
    pub(in crate::store) pages: ReadPool,
    /// What may read very many rows.
    pub(in crate::store) heavy: ReadPool,
}

/// Connections for one kind of reading.
#[derive(Debug)]
pub(in crate::store) struct ReadPool {
    kind: &'static str,
    lanes: Arc<Lanes>,
    permits: Arc<Semaphore>,
    limit: Duration,
}

#[derive(Debug)]
struct Lanes {
    all: Vec<Lane>,
    free: Mutex<Vec<usize>>,
}

/// A connection, or a place in a pool of connections.
#[derive(Debug, Clone)]
pub(in crate::store) struct Lane {
    /// The connection.
    pub(in crate::store) connection: DatabaseConnection,
    /// When its statement is to stop, where it is this program that has to stop it.
    pub(in crate::store) stops: Option<Stops>,
}

/// The moment at which the statement of a connection stops.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Stops(Arc<AtomicU64>);

/// A connection that is lent out.
#[derive(Debug)]
pub(in crate::store) struct Reading {
    lanes: Arc<Lanes>,
    lane: Lane,
    index: usize,
    permit: Option<OwnedSemaphorePermit>,
    done: bool,
}

impl ReadPool {
    /// `limit`: how long a statement may take. A caller waits [`PATIENCE`] times as long for a connection:
    /// refused sooner, those of a crowd that comes back at once would only ask again.
    pub(in crate::store) fn new(kind: &'static str, lanes: Vec<Lane>, limit: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(lanes.len()));
        let free = Mutex::new((0..lanes.len()).collect());
        Self { kind, lanes: Arc::new(Lanes { all: lanes, free }), permits, limit }
    }

    /// A connection, when there is one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: all were busy for too long.
    pub(in crate::store) async fn take(&self) -> Result<Reading, StoreError> {
        let busy = || StoreError::Unavailable(format!("all connections for {} are busy", self.kind));
        let permit = tokio::time::timeout(self.limit * PATIENCE, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        let index = self.lanes.free.lock().pop().ok_or_else(busy)?;
        let lane = self.lanes.all.get(index).ok_or_else(busy)?.clone();
        if let Some(stops) = &lane.stops {
            stops.after(self.limit);
        }
        Ok(Reading { lanes: Arc::clone(&self.lanes), lane, index, permit: Some(permit), done: false })
    }

    /// Its connections.
    pub(in crate::store) fn connections(&self) -> impl Iterator<Item = &DatabaseConnection> {
        self.lanes.all.iter().map(|lane| &lane.connection)
    }

    #[cfg(test)]
    pub(in crate::store) fn connections_mut(&mut self) -> impl Iterator<Item = &mut DatabaseConnection> {
        let lanes = Arc::get_mut(&mut self.lanes).map(|lanes| lanes.all.iter_mut());
        lanes.into_iter().flatten().map(|lane| &mut lane.connection)
    }
}

impl Reading {
    /// The connection.
    pub(in crate::store) fn connection(&self) -> &DatabaseConnection {
        &self.lane.connection
    }

    /// Its statements have had their answers.
    pub(in crate::store) fn finish(mut self) {
        self.done = true;
    }
}

impl Drop for Reading {
    /// A statement that nobody waits for any more stops; until it has, nobody is lent its connection.
    fn drop(&mut self) {
        let (lanes, index, permit) = (Arc::clone(&self.lanes), self.index, self.permit.take());
        if !self.done
            && let Some(stops) = &self.lane.stops
            && let Ok(runtime) = Handle::try_current()
        {
            stops.after(Duration::ZERO);
            let connection = self.lane.connection.clone();
            runtime.spawn(async move {
                // It has the connection once the statement has ended.
                let ended = connection.ping().await;
                tracing::debug!(?ended, "a statement was given up");
                lanes.free.lock().push(index);
                drop(permit);
            });
        } else {
            lanes.free.lock().push(index);
        }
    }
}

impl Stops {
    /// It stops when this much time has passed.
    fn after(&self, time: Duration) {
        self.0.store(millis().saturating_add(time.as_millis() as u64), Ordering::Relaxed);
    }

    /// Whether the time has come.
    pub(in crate::store) fn is_due(&self) -> bool {
        millis() > self.0.load(Ordering::Relaxed)
    }
}

const PATIENCE: u32 = 6;

/// By a clock of this process.
fn millis() -> u64 {
    BEGUN.elapsed().as_millis() as u64
}

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
