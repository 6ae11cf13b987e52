//! The steps by which the schema was brought to where it is, one row each.

use sea_orm::entity::prelude::*;

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "schema_step")]
pub(in crate::store) struct Model {
    /// The version that the step leads to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) version: i64,
    /// The oldest version of a program that may go on writing behind the step.
    pub(in crate::store) compatible_from: i64,
    /// 1 once the rows that were there before the step have what it added. That is done beside the
    /// running server.
    pub(in crate::store) filled: i16,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
