//! The silent events of conversations, which are no messages, numbered within their log. With these
//! numbers unread messages are calculated without looking at messages. There are few of them, and a
//! message writes no row here.

use gogochat_proto::ids::LogId;
use sea_orm::entity::prelude::*;

use super::Fixed;

/// An event that nobody counts as unread.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "silent_event")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) log_id: Fixed<LogId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) seq: i64,
    /// How many of them its log has, up to this one.
    pub(in crate::store) number: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
