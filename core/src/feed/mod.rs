//! Following the change feed: each follower reads all commits at least once, in a log's order, from a
//! position that the store keeps for each shard. Whoever is given a partition's commands follows its shard.

mod shards;
mod unread;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_storage::store::{Begun, FeedEntry, Place, Store, StoreError};
use tokio::sync::watch;
use tonic::async_trait;
use uuid::Uuid;

use self::shards::Shards;
pub(crate) use self::unread::UnreadCheck;
use crate::metrics::Metrics;

/// Who follows the feed.
#[async_trait]
pub(crate) trait Follower: Send + Sync + 'static {
    /// Its name: by it the store knows how far it has got.
    const NAME: &'static str;

    /// Handles a part of a log. It comes at least once, behind the parts before it; on a walk through all
    /// logs a part is a whole log. Parts that were handled may come again.
    ///
    /// # Errors
    /// It is to come again.
    async fn handle(&self, entry: FeedEntry) -> Result<(), StoreError>;
}

/// Has a follower follow the shards of this core.
pub(crate) struct Following<F: Follower> {
    follower: F,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    /// The partitions of this core: a hint, by which shards are taken over.
    assigned: watch::Receiver<Vec<u32>>,
    /// Drawn at each start.
    owner: Uuid,
    shards: Shards,
    /// What was noted last, and when.
    noted: (Vec<(u16, Place)>, Instant),
}

impl<F: Follower> Following<F> {
    pub(crate) fn new(
        follower: F,
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        assigned: watch::Receiver<Vec<u32>>,
    ) -> Self {
        let (owner, shards) = (Uuid::new_v4(), Shards::default());
        Self { follower, store, metrics, assigned, owner, shards, noted: (Vec::new(), Instant::now()) }
    }

    /// Follows until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let more = match self.round().await {
                Ok(more) => more,
                Err(error) => {
                    tracing::debug!(follower = F::NAME, %error, "the feed is followed later");
                    false
                }
            };
            if !more {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    /// Handles what there is, some of it. Whether there may be more.
    async fn round(&mut self) -> Result<bool, StoreError> {
        self.take_over().await?;
        let walked = self.walk().await?;
        let read = self.read().await?;
        if self.noted.1.elapsed() >= NOTE {
            self.note().await?;
        }
        Ok(walked || read)
    }

    /// Takes the shards over that have come to this core, and lets go of those that have left it.
    async fn take_over(&mut self) -> Result<(), StoreError> {
        let assigned = self.assigned.borrow_and_update().clone();
        if self.shards.has_lost(&assigned) {
            self.note().await?;
        }
        for shard in self.shards.assign(&assigned, Instant::now()) {
            let following = self.store.follow(F::NAME, shard, self.owner).await?;
            match following.begun {
                Begun::First => {
                    tracing::info!(follower = F::NAME, shard, "a follower begins: it walks through all logs")
                }
                Begun::GoesOn => tracing::debug!(follower = F::NAME, shard, "a shard is followed here"),
                Begun::Anew => tracing::warn!(
                    follower = F::NAME,
                    shard,
                    "a follower was away for so long that commits it had not read were dropped: it walks through all logs"
                ),
            }
            self.shards.take(shard, following.place);
        }
        Ok(())
    }

    /// Goes on walking through all logs, in the shards that do.
    async fn walk(&mut self) -> Result<bool, StoreError> {
        let Some(after) = self.shards.walked() else { return Ok(false) };
        let logs = self.store.logs(after, LOGS).await?;
        let is_last = logs.len() < LOGS as usize;
        for (log, last_seq) in logs {
            if let Some(to_seq) = last_seq.filter(|seq| *seq > 0 && self.shards.walks(log)) {
                self.follower.handle(FeedEntry { log, from_seq: 1, to_seq }).await?;
            }
            self.shards.walked_to(log);
        }
        if is_last {
            self.shards.end_walk();
        }
        Ok(true)
    }

    /// Goes on reading commits, in the shards that do not walk.
    async fn read(&mut self) -> Result<bool, StoreError> {
        let Some(after) = self.shards.position() else { return Ok(false) };
        let commits = self.store.commits(after, COMMITS).await?;
        let more = commits.len() == COMMITS as usize;
        for commit in commits {
            for entry in commit.entries {
                if self.shards.reads(entry.log, commit.position) {
                    self.follower.handle(entry).await?;
                }
            }
            self.shards.read_to(commit.position);
        }
        Ok(more)
    }

    /// Notes how far it has got; what another has taken over is followed here no more.
    async fn note(&mut self) -> Result<(), StoreError> {
        self.noted.1 = Instant::now();
        let places = self.shards.places();
        // Where nothing happens, nothing is written.
        if places != self.noted.0 {
            let noted = self.store.note(F::NAME, self.owner, &places).await?;
            self.noted.0.clone_from(&places);
            for ((shard, _), _) in places.iter().zip(noted).filter(|(_, noted)| !noted) {
                tracing::debug!(follower = F::NAME, shard, "a shard is followed by another core");
                self.shards.lose(*shard, Instant::now());
            }
        }
        if let Some(last) = self.store.last_position().await? {
            self.metrics.feed_lag(F::NAME, self.shards.behind(last));
        }
        Ok(())
    }
}

/// How often a look is taken whether there is more.
const POLL: Duration = Duration::from_millis(500);
/// How often it is noted how far a follower has got: so much comes again where a core was killed.
const NOTE: Duration = Duration::from_secs(2);
/// Commits that are read at once.
const COMMITS: u32 = 200;
/// Logs that are read at once.
const LOGS: u32 = 200;

#[cfg(test)]
mod tests;
