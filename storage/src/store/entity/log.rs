//! Logs: one for each conversation, and one for each user.

use gogochat_proto::ids::{LogId, UserId};
use sea_orm::entity::prelude::*;

use super::Fixed;
use crate::store::{History, Joining, Millis, Posting, Settings};

/// A log, without its events.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "log")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: Fixed<LogId>,
    pub(in crate::store) kind: Kind,
    pub(in crate::store) last_seq: i64,
    /// When the last event was committed; of a log without one, when it was made.
    pub(in crate::store) last_ms: Millis,
    pub(in crate::store) member_count: i64,
    /// 1; of a direct conversation 0 while the two are no contacts, of a group 0 once it was dismissed.
    pub(in crate::store) writable: i16,
    #[sea_orm(column_type = "String(StringLen::N(1024))", nullable)]
    pub(in crate::store) title: Option<String>,
    /// Of a direct conversation the two, the lower id first.
    pub(in crate::store) user_a: Option<Fixed<UserId>>,
    pub(in crate::store) user_b: Option<Fixed<UserId>>,
    /// How many events up to `counted_seq` are no messages.
    #[sea_orm(default_value = 0)]
    pub(in crate::store) silent_events: i64,
    /// Up to here events were counted: `last_seq`, unless a program wrote that does not count. Nobody
    /// counts in a user's own log.
    #[sea_orm(default_value = 0)]
    pub(in crate::store) counted_seq: i64,
    /// Where the commit of its latest event stands in the feed: its place in lists.
    #[sea_orm(default_value = 0)]
    pub(in crate::store) moved: i64,
    /// Up to here the feed has its events: `last_seq`, unless a program wrote that writes no feed.
    #[sea_orm(default_value = 0)]
    pub(in crate::store) fed_seq: i64,
    /// The commit that last said `moved` of its members' rows; [`LARGE`]: none does.
    #[sea_orm(default_value = 0)]
    pub(in crate::store) marked: i64,
    /// What new members may read: [`crate::store::History`].
    #[sea_orm(default_value = 0)]
    pub(in crate::store) history: i16,
    /// Who may write: [`crate::store::Posting`].
    #[sea_orm(default_value = 0)]
    pub(in crate::store) posting: i16,
    /// The least time between two messages of a member.
    #[sea_orm(default_value = 0)]
    pub(in crate::store) slow_ms: Millis,
    /// How one comes in: [`crate::store::Joining`].
    #[sea_orm(default_value = 0)]
    pub(in crate::store) joining: i16,
}

/// In `marked`, of a group that has had more members than have marks: its commits write no row a member.
pub(in crate::store) const LARGE: i64 = i64::MAX;

/// What a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub(in crate::store) enum Kind {
    /// A user's own.
    #[sea_orm(num_value = 0)]
    Own,
    #[sea_orm(num_value = 1)]
    Direct,
    #[sea_orm(num_value = 2)]
    Group,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// How a group is.
    pub(in crate::store) fn settings(&self) -> Settings {
        let (history, posting) = (History::numbered(self.history), Posting::numbered(self.posting));
        Settings { history, posting, slow_ms: self.slow_ms, joining: Joining::numbered(self.joining) }
    }

    /// The log of a user who begins.
    pub(in crate::store) fn own(user: UserId, now: Millis) -> Self {
        Self {
            id: Fixed(user.into()),
            kind: Kind::Own,
            last_seq: 0,
            last_ms: now,
            member_count: 0,
            writable: 0,
            title: None,
            user_a: None,
            user_b: None,
            silent_events: 0,
            counted_seq: 0,
            moved: 0,
            fed_seq: 0,
            marked: 0,
            history: 0,
            posting: 0,
            slow_ms: 0,
            joining: 0,
        }
    }
}

/// Of the two of a direct conversation, the one who is not `user`.
pub(in crate::store) fn peer(pair: [Option<Fixed<UserId>>; 2], user: UserId) -> Option<UserId> {
    pair.into_iter().flatten().map(|one| one.0).find(|one| *one != user)
}
