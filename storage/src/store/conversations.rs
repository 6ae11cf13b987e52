//! Conversations as their members see them.

use async_trait::async_trait;
use gogochat_proto::ids::{LogId, UserId};

use super::{Event, Millis, StoreError, User};

/// Conversations and their members, to be read: commands change them.
#[async_trait]
pub trait Conversations: Send + Sync + 'static {
    /// The conversations a user is in: for subscribing.
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>, StoreError>;
    /// What a user sees of their conversations, the most recently active first (last event's time, then
    /// id), after `after`. With `only`, just those of these ids.
    async fn conversations(
        &self,
        user: UserId,
        only: Option<&[LogId]>,
        after: Option<(Millis, LogId)>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError>;
    /// Members of a conversation by (joined_ms, user id), after `after`; both marks are 0 past
    /// `MAX_MEMBERS_WITH_MARKS`.
    async fn members(&self, log: LogId, after: Option<(Millis, UserId)>, limit: u32)
    -> Result<Vec<Member>, StoreError>;
    /// A user's membership in a conversation; `None` when they are not in it.
    async fn member(&self, log: LogId, user: UserId) -> Result<Option<Member>, StoreError>;
}

/// A conversation a user is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The conversation.
    pub log: LogId,
    /// Its last_seq.
    pub last_seq: i64,
    /// For a direct conversation, the other.
    pub peer: Option<UserId>,
}

/// A conversation as one member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The id.
    pub log: LogId,
    /// The title of a group; `None` for a direct conversation.
    pub title: Option<String>,
    /// For a direct conversation, the other.
    pub peer: Option<User>,
    /// How many members.
    pub member_count: u32,
    /// The end of the log.
    pub last_seq: i64,
    /// The member's own marks.
    pub delivered: i64,
    /// The member's own marks.
    pub read: i64,
    /// The lowest among the others; 0 past `MAX_MEMBERS_WITH_MARKS`.
    pub others_delivered: i64,
    /// The lowest among the others; 0 past `MAX_MEMBERS_WITH_MARKS`.
    pub others_read: i64,
    /// Messages of others after `read`, counted up to 1,000. (System events do not count.)
    pub unread: u32,
    /// The first seq the member may read.
    pub from_seq: i64,
    /// False for a direct conversation of two who are not contacts any more.
    pub writable: bool,
    /// The last event.
    pub last_event: Option<Event>,
}

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: User,
    /// Since when.
    pub joined_ms: Millis,
    /// The first seq they may read.
    pub from_seq: i64,
    /// Delivered mark; 0 past `MAX_MEMBERS_WITH_MARKS`.
    pub delivered: i64,
    /// Read mark.
    pub read: i64,
}
