//! The change feed: what was committed, one row a commit, in the order in which commits reached the
//! store.

use sea_orm::entity::prelude::*;

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "feed")]
pub(in crate::store) struct Model {
    /// Where it stands in the feed. The store gives these; behind `FIRST`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) position: i64,
    /// The logs that it wrote to, and the seqs: see `store::feed`.
    #[sea_orm(column_type = "custom(\"mediumblob\")")]
    pub(in crate::store) entries: Vec<u8>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Positions begin behind this. What was there before there was a feed has places below it, in the order
/// of its times in milliseconds; two bits are left for the numbers of JavaScript.
pub(in crate::store) const FIRST: i64 = 1 << 41;
