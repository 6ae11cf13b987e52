//! Conversations as their members see them.

use async_trait::async_trait;
use gogochat_proto::ids::{LogId, UserId};
use uuid::Uuid;

use super::{Event, GroupInvite, Millis, OpenGroup, Role, Settings, StoreError, User};

/// Conversations and their members, to be read: commands change them.
#[async_trait]
pub trait Conversations: Send + Sync + 'static {
    /// The conversations a user is in: for subscribing.
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>, StoreError>;
    /// What a user sees of these conversations, the most recently active first; those that they are
    /// not in are left out, one that is named twice comes once.
    async fn conversations(&self, user: UserId, only: &[LogId]) -> Result<Vec<Conversation>, StoreError>;
    /// A part of a user's conversations that have moved since a position ([`ALL`]: whenever): at
    /// most `limit`, the latest moved first. `walk` is where the part before ended; `None` begins a
    /// walk. What moves during a walk comes at its end, perhaps for the second time, so that none
    /// is missed.
    async fn walk(&self, user: UserId, since: i64, walk: Option<Walk>, limit: u32) -> Result<Walked, StoreError>;
    /// Members of a conversation by (joined_ms, user id), after `after`; both marks are 0 past
    /// `MAX_MEMBERS_WITH_MARKS`.
    async fn members(&self, log: LogId, after: Option<(Millis, UserId)>, limit: u32)
    -> Result<Vec<Member>, StoreError>;
    /// The same of a group's admins, the owner included.
    async fn admins(&self, log: LogId, after: Option<(Millis, UserId)>, limit: u32) -> Result<Vec<Member>, StoreError>;
    /// A user's membership in a conversation; `None` when they are not in it.
    async fn member(&self, log: LogId, user: UserId) -> Result<Option<Member>, StoreError>;
    /// Those of some conversations that take no messages: of two who are no contacts any more, and groups that
    /// were dismissed. In no order.
    async fn closed(&self, logs: &[LogId]) -> Result<Vec<LogId>, StoreError>;
    /// The invites of a group that are good at this moment, in no order; at most `MAX_INVITES`.
    async fn invites(&self, log: LogId, now: Millis) -> Result<Vec<GroupInvite>, StoreError>;
    /// An invite that is good at this moment, with the group that it leads to.
    async fn invite(&self, code: Uuid, now: Millis) -> Result<Option<OpenGroup>, StoreError>;
    /// Groups that anybody may join, by id, after `after`.
    async fn open_groups(&self, after: Option<LogId>, limit: u32) -> Result<Vec<OpenGroup>, StoreError>;
    /// The notice of a group, if it has one.
    async fn notice(&self, log: LogId) -> Result<Option<String>, StoreError>;
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
    /// Messages of others after `read`, counted up to 1,000. (Silent events do not count.)
    pub unread: u32,
    /// The first seq the member may read.
    pub from_seq: i64,
    /// False for a direct conversation of two who are not contacts any more, and for a group that was
    /// dismissed.
    pub writable: bool,
    /// The member's own.
    pub role: Role,
    /// Of a group.
    pub settings: Settings,
    /// Until when the member may not write.
    pub muted_ms: Millis,
    /// The last event.
    pub last_event: Option<Event>,
    /// Its place in lists, the greatest first: where the last event's commit stands in the feed.
    pub order: i64,
}

/// Where a walk through a user's conversations stands. It goes down from the conversation that
/// moved last. Then it goes up from `bound`, for what has moved meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// The floor as the walk began. Whoever has the whole walk has seen all that moved up to here.
    pub position: i64,
    /// Everything that had moved up to here was visible as the walk began.
    pub bound: i64,
    /// The conversation where it stands, by position and id; `None`: before the first.
    pub place: Option<(i64, LogId)>,
    /// It has been at the bottom, and goes up.
    pub upward: bool,
}

/// A part of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    /// Each with where the walk goes on behind it.
    pub conversations: Vec<(Conversation, Walk)>,
    /// There are no more.
    pub is_last: bool,
    /// As it stood before this part.
    pub walk: Walk,
    /// Which history the store tells.
    pub epoch: Uuid,
}

/// Before all that ever moved.
pub const ALL: i64 = -1;

impl Walk {
    pub(super) fn begin(position: i64, bound: i64) -> Self {
        Self { position, bound, place: None, upward: false }
    }

    pub(super) fn at(self, place: (i64, LogId)) -> Self {
        Self { place: Some(place), ..self }
    }

    pub(super) fn turned(self) -> Self {
        Self { place: None, upward: true, ..self }
    }

    /// Whether a place is still to come.
    pub(super) fn is_ahead(&self, place: (i64, LogId)) -> bool {
        self.place.is_none_or(|here| if self.upward { place > here } else { place < here })
    }
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
    /// Whether the conversation is a group.
    pub is_of_group: bool,
    /// What they may do in it.
    pub role: Role,
    /// Until when they may not write.
    pub muted_ms: Millis,
}
