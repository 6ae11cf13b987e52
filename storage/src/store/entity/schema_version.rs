//! The schema's version: one row, there from the beginning. Whoever locks it gives numbers to sign-outs;
//! writing it shows that the store can be written.

use sea_orm::entity::prelude::*;

/// The schema's version.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "schema_version")]
pub(in crate::store) struct Model {
    // A key, as a server may want one of every table. Stores made by older programs have none, and one
    // row all the same.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) version: i64,
    /// How often it was written to see whether that works.
    pub(in crate::store) checked_ms: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
