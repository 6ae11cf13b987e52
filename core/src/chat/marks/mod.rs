//! Marks on their way into the store, beside the order of their logs: they only grow, so it does not
//! matter when each is committed, nor by which core, nor how often.
//!
//! Of each member only the highest waits. The first mark of a log goes at once; those that come within
//! [`INTERVAL`] of that wait for its end and go together. What was committed is told as one item for
//! each edge that hears the log.

mod told;
mod waiting;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gogochat_proto::{error::ErrorCode, ids::LogId, v1};
use gogochat_storage::{
    bus::ReplyTo,
    store::{Committed, Done, LowestMarks, Mark, Marks, Outcome, Refusal, StoreError},
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::{
    told::Told,
    waiting::{Call, Taken, Waiting},
};
use super::commands;
use crate::{
    command::{Ordered as _, encode},
    failure,
    fanout::{Fanout, MarkMoved},
    metrics::Metrics,
};

/// Collects marks and commits them.
pub(crate) struct MarkCollector {
    waiting: Mutex<Waiting>,
    added: Notify,
    store: Arc<dyn Marks>,
    fanout: Arc<Fanout>,
    metrics: Arc<Metrics>,
}

impl MarkCollector {
    /// `most`: members' marks and calls that may wait.
    pub(crate) fn new(store: Arc<dyn Marks>, fanout: Arc<Fanout>, metrics: Arc<Metrics>, most: usize) -> Self {
        Self { waiting: Mutex::new(Waiting::new(most)), added: Notify::new(), store, fanout, metrics }
    }

    /// Takes a mark; it is answered at `from` once it is committed, if an answer is wanted.
    ///
    /// # Errors
    /// `overloaded`: too many wait.
    pub(crate) fn add(&self, mark: Mark, from: &ReplyTo) -> Result<(), v1::Error> {
        let added = self.waiting.lock().add(mark, from, Instant::now());
        if !added {
            self.metrics.marks_refused.increment(1);
            return Err(ErrorCode::Overloaded.with("too many marks wait for their commit"));
        }
        self.added.notify_one();
        Ok(())
    }

    /// Commits what is due, until `stop`; or, once `closing`, until nothing waits any more.
    pub(crate) async fn run(self: Arc<Self>, closing: CancellationToken, stop: CancellationToken) {
        let mut told = Told::default();
        stop.run_until_cancelled(async {
            loop {
                let due = self.waiting.lock().due();
                if closing.is_cancelled() {
                    return self.finish(&mut told).await;
                }
                tokio::select! {
                    () = closing.cancelled() => continue,
                    () = self.added.notified() => {}
                    () = until(due) => {}
                }
                while self.slice(&mut told, Instant::now()).await {}
                // What comes meanwhile goes together.
                closing.run_until_cancelled(tokio::time::sleep(PACE)).await;
            }
        })
        .await;
    }

    /// Commits all that waits, whether it is due or not; what the store does not take is lost.
    async fn finish(&self, told: &mut Told) {
        let begun = Instant::now();
        while self.slice(told, begun + INTERVAL * 2).await {
            if begun.elapsed() > FINISH {
                return tracing::warn!("marks that waited are lost: the store did not take them");
            }
        }
    }

    /// Commits a slice of what is due by `now`. `false`: nothing is.
    async fn slice(&self, told: &mut Told, now: Instant) -> bool {
        let taken = {
            let mut waiting = self.waiting.lock();
            self.metrics.marks_waiting.set(waiting.len() as f64);
            waiting.take(SLICE, now, now + INTERVAL)
        };
        if taken.is_empty() {
            return false;
        }
        let mut moved = Vec::new();
        self.commit(taken, &mut moved).await;
        self.metrics.marks.increment(moved.len() as u64);
        self.tell(told, moved).await;
        true
    }

    async fn commit(&self, taken: Vec<Taken>, moved: &mut Vec<MarkMoved>) {
        let marks: Vec<_> = taken.iter().map(|taken| taken.mark).collect();
        let result = self.store.mark(&marks).await;
        self.metrics.mark_commits.increment(1);
        match result {
            Ok(outcomes) => {
                for (taken, outcome) in taken.into_iter().zip(outcomes) {
                    match outcome {
                        Some(outcome) => self.settle(taken, outcome, moved).await,
                        None => self.put_back(taken, HELD),
                    }
                }
            }
            Err(StoreError::Failed(reason)) if taken.len() > 1 => {
                tracing::error!(reason, count = taken.len(), "marks failed together; they go one by one");
                for one in taken {
                    Box::pin(self.commit(vec![one], moved)).await;
                }
            }
            Err(error) => {
                let told = failure::stored(&error);
                tracing::debug!(%error, count = taken.len(), "marks were not committed");
                for mut one in taken {
                    self.answer(one.calls.drain(..), &Err(told.clone()));
                    if told.retryable() {
                        self.put_back(one, AWAY);
                    }
                }
            }
        }
    }

    /// Nobody has been told yet: the answers, and what is to be told to others.
    async fn settle(&self, taken: Taken, outcome: Outcome, moved: &mut Vec<MarkMoved>) {
        if outcome == Err(Refusal::SeqFromFuture) && taken.calls.len() > 1 {
            // It need not be true of each of those that went together.
            for call in taken.calls {
                let alone = Taken { mark: call.mark, from: taken.from, calls: vec![call] };
                Box::pin(self.commit(vec![alone], moved)).await;
            }
            return;
        }
        match outcome {
            Ok(Committed { done, mark, .. }) => {
                moved.extend(mark.map(|mark| MarkMoved { mark, from: taken.from }));
                self.answer(taken.calls.into_iter(), &reply(&done));
            }
            Err(refusal) => self.answer(taken.calls.into_iter(), &Err(failure::refusal(refusal))),
        }
    }

    fn put_back(&self, taken: Taken, pause: Duration) {
        let now = Instant::now();
        let given_up = self.waiting.lock().put_back(taken, now + pause, now);
        let held = ErrorCode::Unavailable.with("others hold what it needs: repeat it");
        self.answer(given_up.into_iter(), &Err(held));
    }

    fn answer(&self, calls: impl Iterator<Item = Call>, answer: &Result<Bytes, v1::Error>) {
        calls.for_each(|call| self.fanout.answer(&call.reply_to, answer.clone()));
    }

    /// Tells what was committed, a log at a time.
    async fn tell(&self, told: &mut Told, moved: Vec<MarkMoved>) {
        let mut logs: BTreeMap<LogId, Vec<MarkMoved>> = BTreeMap::new();
        let mut alone: BTreeMap<LogId, Vec<MarkMoved>> = BTreeMap::new();
        for one in moved {
            if one.mark.shared { &mut logs } else { &mut alone }.entry(one.mark.log).or_default().push(one);
        }
        for (log, moved) in alone {
            self.fanout.publish_own_marks(log, &moved);
        }
        let heard: Vec<_> = logs.keys().copied().filter(|log| self.fanout.is_heard(*log)).collect();
        for part in heard.chunks(LOGS_AT_ONCE) {
            let lowest = self.store.lowest_marks(part).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "how far all have got is told with the next mark");
                Vec::new()
            });
            let lowest: BTreeMap<LogId, LowestMarks> = lowest.into_iter().map(|lowest| (lowest.log, lowest)).collect();
            for log in part {
                let (now, moved) = (lowest.get(log), logs.remove(log).unwrap_or_default());
                let before = told.replace(*log, now.copied());
                self.fanout.publish_marks(*log, &moved, now, before.as_ref());
            }
        }
    }
}

fn reply(done: &Done) -> Result<Bytes, v1::Error> {
    let wrong = || failure::fault("the store has moved a mark and says otherwise", &format_args!("{done:?}"));
    commands::Mark::reply(done).map(|reply| encode(&reply)).ok_or_else(wrong)
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// From one commit of a log's marks to the next.
pub(super) const INTERVAL: Duration = Duration::from_millis(900);
/// Between two commits of marks, where no more are due.
const PACE: Duration = Duration::from_millis(20);
/// Marks of one transaction: what others wait for where a store has one writer.
const SLICE: usize = 256;
/// Until a mark comes again for which somebody else held a row.
const HELD: Duration = Duration::from_millis(100);
/// Until marks come again that the store did not take.
const AWAY: Duration = Duration::from_millis(500);
/// How long the end of a core waits for the store to take marks.
const FINISH: Duration = Duration::from_secs(5);
/// Logs of which it is read at once how far all have got.
const LOGS_AT_ONCE: usize = 32;
