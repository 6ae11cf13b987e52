//! Codes by which groups are joined.

use gogochat_proto::ids::{LogId, UserId};
use sea_orm::entity::prelude::*;
use uuid::Uuid;

use super::Fixed;
use crate::store::Millis;

/// An invite to a group.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invite")]
pub(in crate::store) struct Model {
    /// Drawn at random.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) code: Fixed<Uuid>,
    pub(in crate::store) log_id: Fixed<LogId>,
    pub(in crate::store) creator_id: Fixed<UserId>,
    pub(in crate::store) until_ms: Millis,
    /// [`UNLIMITED`]: as many as like.
    pub(in crate::store) uses_left: i64,
}

/// In `uses_left`.
pub(in crate::store) const UNLIMITED: i64 = -1;

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
