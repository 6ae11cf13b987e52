//! Presence: who is connected. It may lose everything: heartbeats bring it back.

mod config;
pub mod memory;
#[cfg(feature = "cluster")]
pub mod redis;

use async_trait::async_trait;
use gogochat_proto::ids::UserId;
use tokio::sync::watch;

pub use self::config::RedisConfig;

/// Who is connected, over all nodes.
#[async_trait]
pub trait Presence: Send + Sync + 'static {
    /// These sessions are there, or still there: they count until `now + ttl_ms`. Says for each
    /// whether its user was offline before. One round trip: callers give some hundred at a time.
    async fn arrive(
        &self,
        sessions: &[(UserId, SessionKey)],
        now: i64,
        ttl_ms: i64,
    ) -> Result<Vec<bool>, PresenceError>;
    /// These sessions are gone. Says for each whether it was its user's last. One round trip, too.
    async fn leave(&self, sessions: &[(UserId, SessionKey)], now: i64) -> Result<Vec<bool>, PresenceError>;
    /// [`Self::arrive`] of one.
    async fn online(&self, user: UserId, session: SessionKey, now: i64, ttl_ms: i64) -> Result<bool, PresenceError> {
        Ok(self.arrive(&[(user, session)], now, ttl_ms).await? == [true])
    }
    /// [`Self::leave`] of one.
    async fn offline(&self, user: UserId, session: SessionKey, now: i64) -> Result<bool, PresenceError> {
        Ok(self.leave(&[(user, session)], now).await? == [true])
    }
    /// Where these users stand, in the order asked.
    async fn get(&self, users: &[UserId], now: i64) -> Result<Vec<Status>, PresenceError>;
    /// Whether it answers, and still has what it was told: see [`Self::emptied`].
    async fn check(&self) -> Result<(), PresenceError>;
    /// Rises when [`Self::check`] finds that it has lost what it was told. Callers then tell it
    /// again.
    fn emptied(&self) -> watch::Receiver<u64>;
}

/// A session, named by the attachment it came through (the number that an edge gives itself as it
/// starts) and its number there.
pub type SessionKey = (u64, u64);

/// Where a user stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Has a live session.
    pub online: bool,
    /// When the last session was last seen, milliseconds since 1970; 0 when never or unknown.
    pub last_seen_ms: i64,
}

/// Presence is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("presence is unavailable: {0}")]
pub struct PresenceError(pub String);
