//! The first follower: checks that what is unread is counted rightly. What is not is counted anew.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_storage::{
    log_throttle::LogThrottle,
    store::{Counters, FeedEntry, Followers, StoreError},
};
use parking_lot::Mutex;
use tonic::async_trait;

use super::Follower;
use crate::metrics::Metrics;

/// Checks counters, so many events a second.
pub(crate) struct UnreadCheck {
    store: Arc<dyn Followers>,
    metrics: Arc<Metrics>,
    /// When the next part may be looked at.
    next: Mutex<Instant>,
}

impl UnreadCheck {
    pub(crate) fn new(store: Arc<dyn Followers>, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics, next: Mutex::new(Instant::now()) }
    }

    /// Waits until so many events more may be looked at.
    async fn turn(&self, events: i64) {
        let now = Instant::now();
        let turn = {
            let mut next = self.next.lock();
            let turn = (*next).max(now);
            // A look costs something however few events it has.
            let cost = u32::try_from(events + PER_LOOK).unwrap_or(u32::MAX);
            *next = turn + EVENT * cost;
            turn
        };
        tokio::time::sleep_until(turn.into()).await;
    }
}

#[async_trait]
impl Follower for UnreadCheck {
    const NAME: &'static str = "unread";

    async fn handle(&self, entry: FeedEntry) -> Result<(), StoreError> {
        let FeedEntry { log, mut from_seq, to_seq } = entry;
        while from_seq <= to_seq {
            let end = to_seq.min(from_seq + PART - 1);
            self.turn(end - from_seq + 1).await;
            if self.store.check_counters(log, from_seq, end).await? == Counters::Wrong {
                self.metrics.unread_wrong.increment(1);
                if let Some(times) = WRONG.due() {
                    tracing::error!(%log, from_seq, times, "unread messages were counted wrongly: they are counted anew");
                }
                // From there on all is counted anew.
                return Ok(());
            }
            from_seq = end + 1;
        }
        Ok(())
    }
}

/// Events that are looked at at once.
const PART: i64 = 500;
/// What an event takes of a second: 4,000 are looked at in one.
const EVENT: Duration = Duration::from_micros(250);
/// What a look takes beside its events.
const PER_LOOK: i64 = 3;
static WRONG: LogThrottle = LogThrottle::new(Duration::from_secs(60));
