//! Presence: who is connected. It may lose everything: heartbeats bring it back.

mod config;
pub mod memory;
#[cfg(feature = "cluster")]
pub mod redis;

use async_trait::async_trait;
use gogochat_proto::ids::UserId;

pub use self::config::RedisConfig;

/// Who is connected, over all nodes.
#[async_trait]
pub trait Presence: Send + Sync + 'static {
    /// A session of the user is there, or still there: it counts until `now + ttl_ms`. True when the
    /// user was offline before.
    async fn online(&self, user: UserId, session: SessionKey, now: i64, ttl_ms: i64) -> Result<bool, PresenceError>;
    /// A session is gone. True when it was the user's last.
    async fn offline(&self, user: UserId, session: SessionKey, now: i64) -> Result<bool, PresenceError>;
    /// Where these users stand, in the order asked.
    async fn get(&self, users: &[UserId], now: i64) -> Result<Vec<Status>, PresenceError>;
    /// Whether it answers.
    async fn check(&self) -> Result<(), PresenceError>;
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
