//! How far the workers' batches have got: begun (about to be committed), sent (acknowledged and
//! fanned out), and how many commands are on their way.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::watch;

/// The count of batches and commands.
pub(crate) struct CommitProgress {
    batches: Mutex<Batches>,
    /// Every batch up to this one was sent.
    sent: watch::Sender<u64>,
    in_flight: AtomicI64,
}

/// Batches that were begun. Workers are several, so they are not sent in this order.
#[derive(Default)]
struct Batches {
    begun: u64,
    unsent: BTreeSet<u64>,
    /// When the store last gave no answer to a commit: it may have been carried out, and its events
    /// were sent to nobody.
    unanswered: Option<Instant>,
}

impl Default for CommitProgress {
    fn default() -> Self {
        Self { batches: Mutex::default(), sent: watch::Sender::new(0), in_flight: AtomicI64::new(0) }
    }
}

impl CommitProgress {
    /// A batch is about to be committed: its number.
    pub(crate) fn begin(&self) -> u64 {
        let mut batches = self.batches.lock();
        batches.begun += 1;
        let batch = batches.begun;
        batches.unsent.insert(batch);
        batch
    }

    /// A batch was acknowledged and fanned out.
    pub(crate) fn sent(&self, batch: u64) {
        let mut batches = self.batches.lock();
        batches.unsent.remove(&batch);
        let sent = batches.unsent.first().map_or(batches.begun, |first| first - 1);
        // Under the lock, so that it never goes back.
        self.sent.send_replace(sent);
    }

    /// Waits until every batch that has begun was fanned out. By then, what a reader of the store saw a
    /// moment ago was published, with everything that was committed before it.
    pub(crate) async fn fence(&self) {
        let begun = self.batches.lock().begun;
        let mut sent = self.sent.subscribe();
        // The sender lives as long as `self`.
        let _ = sent.wait_for(|sent| *sent >= begun).await;
    }

    /// The store gave no answer to a commit.
    pub(crate) fn unanswered(&self, now: Instant) {
        self.batches.lock().unanswered = Some(now);
    }

    /// Whether everything that was committed here was sent: nothing is under way or was given up half
    /// done, and a commit that got no answer is at least `certain` ago.
    pub(crate) fn is_all_sent(&self, now: Instant, certain: Duration) -> bool {
        let batches = self.batches.lock();
        let long_ago = |at| now.saturating_duration_since(at) >= certain;
        batches.unsent.is_empty() && batches.unanswered.is_none_or(long_ago)
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
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fence_waits_for_what_has_begun_and_for_no_more() {
        let progress = CommitProgress::default();
        progress.fence().await;
        let first = progress.begin();
        assert!(tokio::time::timeout(Duration::from_secs(1), progress.fence()).await.is_err());
        progress.sent(first);
        progress.fence().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_batch_that_is_sent_first_does_not_open_the_fence() {
        let progress = CommitProgress::default();
        let (first, second) = (progress.begin(), progress.begin());
        progress.sent(second);
        assert!(tokio::time::timeout(Duration::from_secs(1), progress.fence()).await.is_err());
        progress.sent(first);
        progress.fence().await;
    }

    #[test]
    fn all_is_sent_when_nothing_is_left_and_every_answer_came() {
        let (progress, now, certain) = (CommitProgress::default(), Instant::now(), Duration::from_secs(9));
        let is_all_sent = |after: Duration| progress.is_all_sent(now + after, certain);
        assert!(is_all_sent(Duration::ZERO));
        let (first, second) = (progress.begin(), progress.begin());
        progress.sent(second);
        assert!(!is_all_sent(Duration::ZERO), "one is left");
        progress.sent(first);
        assert!(is_all_sent(Duration::ZERO));
        progress.unanswered(now);
        assert!(!is_all_sent(certain - Duration::from_millis(1)));
        assert!(is_all_sent(certain));
    }
}
