//! Whose move into this store is under way: one row. The table is there as long as the move is not
//! finished.

use sea_orm::entity::prelude::*;

/// A move that is under way.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "move_progress")]
pub(in crate::store) struct Model {
    // Within what a key may have: 3,072 bytes.
    #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(768))")]
    pub(in crate::store) source: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
