//! How far the workers' batches have got: begun (about to be committed), told (acknowledged and fanned out), and how many commands are on
//! their way.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicI64, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::watch;

/// The count of batches and commands.
pub(crate) struct Progress {
    batches: Mutex<Batches>,
    /// Every batch up to this one was told.
    told: watch::Sender<u64>,
    in_flight: AtomicI64,
}

/// Batches that were begun. Workers are several, so they are not told in this order.
#[derive(Default)]
struct Batches {
    begun: u64,
    untold: BTreeSet<u64>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { batches: Mutex::default(), told: watch::Sender::new(0), in_flight: AtomicI64::new(0) }
    }
}

impl Progress {
    /// A batch is about to be committed: its number.
    pub(crate) fn begin(&self) -> u64 {
        let mut batches = self.batches.lock();
        batches.begun += 1;
        let batch = batches.begun;
        batches.untold.insert(batch);
        batch
    }

    /// A batch was acknowledged and fanned out.
    pub(crate) fn told(&self, batch: u64) {
        let mut batches = self.batches.lock();
        batches.untold.remove(&batch);
        let told = batches.untold.first().map_or(batches.begun, |first| first - 1);
        // Under the lock, so that it never goes back.
        self.told.send_replace(told);
    }

    /// Waits until every batch that has begun was fanned out: what a reader of the store saw a moment ago was published by then, with
    /// everything that was committed before it.
    pub(crate) async fn fence(&self) {
        let begun = self.batches.lock().begun;
        let mut told = self.told.subscribe();
        // The sender lives as long as `self`.
        let _ = told.wait_for(|told| *told >= begun).await;
    }

    /// Workers took commands (or, below 0, have answered them).
    pub(crate) fn moved(&self, commands: i64) {
        self.in_flight.fetch_add(commands, Ordering::Relaxed);
    }

    /// Commands that workers have taken and not answered.
    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fence_waits_for_what_has_begun_and_for_no_more() {
        let progress = Progress::default();
        progress.fence().await;
        let first = progress.begin();
        assert!(tokio::time::timeout(Duration::from_secs(1), progress.fence()).await.is_err());
        progress.told(first);
        progress.fence().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_batch_that_is_told_first_does_not_open_the_fence() {
        let progress = Progress::default();
        let (first, second) = (progress.begin(), progress.begin());
        progress.told(second);
        assert!(tokio::time::timeout(Duration::from_secs(1), progress.fence()).await.is_err());
        progress.told(first);
        progress.fence().await;
    }
}
