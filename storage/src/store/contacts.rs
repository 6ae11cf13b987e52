//! Contacts, as their two sides see them.

use async_trait::async_trait;
use gogochat_proto::ids::{LogId, UserId};

use super::{Millis, StoreError, User};

/// Contacts, to be read: commands change them.
#[async_trait]
pub trait Contacts: Send + Sync + 'static {
    /// Contacts of a user in all states, by person id, after `after`.
    async fn contacts(&self, user: UserId, after: Option<UserId>, limit: u32) -> Result<Vec<Contact>, StoreError>;
    /// Those of `others` who are accepted contacts of `user`.
    async fn accepted_contacts(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError>;
    /// Whom a user blocks, by their ids, after `after`.
    async fn blocks(&self, user: UserId, after: Option<UserId>, limit: u32) -> Result<Vec<Block>, StoreError>;
}

/// Somebody who is blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Who.
    pub peer: User,
    /// Since when.
    pub since_ms: Millis,
}

/// A contact as one side sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The other.
    pub peer: User,
    /// How the two stand.
    pub state: ContactState,
    /// The note on the request.
    pub note: String,
    /// Since when they stand so.
    pub since_ms: Millis,
    /// When accepted.
    pub conversation: Option<LogId>,
}

/// How two users stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactState {
    /// This side asked.
    Requested,
    /// The other side asked.
    Incoming,
    /// Contacts.
    Accepted,
}
