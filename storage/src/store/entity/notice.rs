//! The notices of groups: apart from their logs' rows, which every commit loads.

use gogochat_proto::ids::LogId;
use sea_orm::entity::prelude::*;

use super::Fixed;

/// The notice of a group that has one.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notice")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) log_id: Fixed<LogId>,
    #[sea_orm(column_type = "String(StringLen::N(8192))")]
    pub(in crate::store) text: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
