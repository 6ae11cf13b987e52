//! Which programs may open the store: one row, there from the beginning. Whoever locks it gives
//! numbers to sign-outs; writing it shows that the store can be written.

use sea_orm::entity::prelude::*;

/// Which programs may open the store.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "schema_version")]
pub(in crate::store) struct Model {
    /// The oldest version of a program that may. Every program refuses a store whose number is higher than
    /// its own; how far the schema has really come is in `schema_step`.
    // A key, as a server may want one of every table. SQLite stores made by older programs have none, and
    // one row all the same.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) version: i64,
    /// How often it was written to see whether that works.
    pub(in crate::store) checked_ms: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
