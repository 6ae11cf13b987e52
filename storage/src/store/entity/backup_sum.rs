//! The sum of each table of a backup, as it was made: damage shows by them.

use sea_orm::entity::prelude::*;

use super::Fixed;
use crate::store::Hash;

/// What a table had.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "backup_sum")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) name: String,
    pub(in crate::store) row_count: i64,
    /// SHA-256 of its rows, in the order of their keys.
    pub(in crate::store) hash: Fixed<Hash>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
