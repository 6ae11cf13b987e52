//! Members of conversations.

use gogochat_proto::ids::{LogId, UserId};
use sea_orm::entity::prelude::*;

use super::{Fixed, account, log};
use crate::store::Millis;

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "member")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) log_id: Fixed<LogId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) user_id: Fixed<UserId>,
    pub(in crate::store) joined_ms: Millis,
    /// The first seq that they may read.
    pub(in crate::store) from_seq: i64,
    pub(in crate::store) delivered_seq: i64,
    pub(in crate::store) read_seq: i64,
    /// Where a commit stands in the feed that changed what the member sees of the conversation: the first
    /// behind each floor, and perhaps later ones.
    #[sea_orm(default_value = 0)]
    pub(in crate::store) moved: i64,
    /// 1 in a large group, whose commits are looked up in its log's row.
    #[sea_orm(default_value = 0)]
    pub(in crate::store) large: i16,
    /// [`crate::store::Role`]. A group that a program made which knows of no roles has no owner, until one is
    /// found.
    #[sea_orm(default_value = 0)]
    pub(in crate::store) role: i16,
    /// Until then they may not write.
    #[sea_orm(default_value = 0)]
    pub(in crate::store) muted_ms: Millis,
    /// When they last wrote, while there is a least time between two messages.
    #[sea_orm(default_value = 0)]
    pub(in crate::store) said_ms: Millis,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {
    #[sea_orm(belongs_to = "log::Entity", from = "Column::LogId", to = "log::Column::Id")]
    Log,
    #[sea_orm(belongs_to = "account::Entity", from = "Column::UserId", to = "account::Column::Id")]
    Account,
}

impl Related<log::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Log.def()
    }
}

impl Related<account::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Account.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
