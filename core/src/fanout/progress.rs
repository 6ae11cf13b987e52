//! How far the workers' batches have got: begun (about to be committed), told (acknowledged and fanned out), and how many commands are on
//! their way.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// The count of batches and commands.
pub(crate) struct Progress {
    begun: AtomicU64,
    told: watch::Sender<u64>,
    in_flight: watch::Sender<i64>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { begun: AtomicU64::new(0), told: watch::Sender::new(0), in_flight: watch::Sender::new(0) }
    }
}

impl Progress {
    /// A batch is about to be committed: its number.
    pub(crate) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// A batch was acknowledged and fanned out. Batches come in order.
    pub(crate) fn told(&self, batch: u64) {
        self.told.send_replace(batch);
    }

    /// Waits until every batch that has begun was fanned out: what a reader of the store saw a moment ago was published by then, with
    /// everything that was committed before it.
    pub(crate) async fn fence(&self) {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut told = self.told.subscribe();
        // The sender lives as long as `self`.
        let _ = told.wait_for(|told| *told >= begun).await;
    }

    /// Commands went on the bus (or, below 0, were answered).
    pub(crate) fn moved(&self, commands: i64) {
        self.in_flight.send_modify(|n| *n += commands);
    }

    /// Waits until nothing is on the bus.
    pub(crate) async fn idle(&self) {
        let _ = self.in_flight.subscribe().wait_for(|n| *n <= 0).await;
    }

    /// Commands on the bus.
    pub(crate) fn in_flight(&self) -> i64 {
        *self.in_flight.borrow()
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
    async fn idle_when_all_is_answered() {
        let progress = Progress::default();
        progress.moved(2);
        progress.moved(-1);
        assert!(tokio::time::timeout(Duration::from_secs(1), progress.idle()).await.is_err());
        progress.moved(-1);
        progress.idle().await;
        assert_eq!(progress.in_flight(), 0);
    }
}
