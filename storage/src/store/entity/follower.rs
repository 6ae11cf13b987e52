//! Who follows the feed, and how far each has got, a row for each shard.

use gogochat_proto::ids::LogId;
use sea_orm::entity::prelude::*;
use uuid::Uuid;

use super::Fixed;

/// How far a follower has got in a shard of the feed.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "follower")]
pub(in crate::store) struct Model {
    /// What it is called.
    #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(64))")]
    pub(in crate::store) name: String,
    /// The partition whose logs these are.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) shard: i16,
    /// Everything up to this position was handled.
    pub(in crate::store) position: i64,
    /// While all logs are walked through: the last one that was handled.
    pub(in crate::store) walked: Option<Fixed<LogId>>,
    /// Drawn by whoever handles it. Notes of an earlier owner are refused.
    pub(in crate::store) owner: Fixed<Uuid>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
