//! Followers of the change feed: each has a name, and reads all commits at least once, in a log's order.
//! Its work is divided into shards, by the partition of a log; of each shard one core at a time is the
//! owner, and how far it has got is kept here.

use async_trait::async_trait;
use gogochat_proto::ids::LogId;
use uuid::Uuid;

use super::StoreError;

/// Who follows the feed, and what the first follower checks.
#[async_trait]
pub trait Followers: Send + Sync + 'static {
    /// Takes a shard over: from here on notes of an earlier owner are refused. A follower that is new, or
    /// was away for so long that commits it has not read were dropped, begins with a walk through all
    /// logs.
    async fn follow(&self, name: &str, shard: u16, owner: Uuid) -> Result<Following, StoreError>;

    /// Notes how far an owner has got in its shards. `false`, for each: another has taken it over.
    async fn note(&self, name: &str, owner: Uuid, places: &[(u16, Place)]) -> Result<Vec<bool>, StoreError>;

    /// Logs in the order of their ids, behind one: at most `limit`. With the last seq; `None`: it is a
    /// user's own.
    async fn logs(&self, after: LogId, limit: u32) -> Result<Vec<(LogId, Option<i64>)>, StoreError>;

    /// Whether the numbers from which unread messages are calculated are right in a part of a log. What
    /// is wrong is counted anew, beside the work. It reads a row an event of the part.
    async fn check_counters(&self, log: LogId, from_seq: i64, to_seq: i64) -> Result<Counters, StoreError>;
}

/// How far a follower has got in a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Every commit up to here was handled, once there is no walk.
    pub position: i64,
    /// While all logs are walked through: the last one that was handled, at first the nil id.
    pub walked: Option<LogId>,
}

/// A shard that was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Following {
    /// Where it goes on.
    pub place: Place,
    /// How it goes on.
    pub begun: Begun,
}

/// How a follower goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Nobody has followed under this name.
    First,
    /// Where the owner before has left it.
    GoesOn,
    /// Commits that it had not read were dropped meanwhile: it walks through all logs.
    Anew,
}

/// What was found about the numbers of a part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counters {
    /// They are right.
    Right,
    /// They were wrong, and are counted anew.
    Wrong,
    /// They are not counted yet: another program wrote it. That is made up for without this.
    Uncounted,
}
