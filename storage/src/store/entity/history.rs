//! Which history the store tells, and how far its feed is complete: one row.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

use super::{Fixed, feed::FIRST};
use crate::store::Millis;

/// Which history the store tells.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "history")]
pub(in crate::store) struct Model {
    /// [`ROW`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: i16,
    /// Drawn when the store was made, and again when a backup was restored.
    pub(in crate::store) epoch: Fixed<Uuid>,
    /// Up to here nothing appears in the feed any more. Commits read it, and hold it until they end.
    pub(in crate::store) floor: i64,
    /// When it was last raised: cores take turns by it, and nothing else hangs on it.
    pub(in crate::store) raised_ms: Millis,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The row of a new store.
    pub(in crate::store) fn begin() -> Self {
        Self { id: ROW, epoch: Fixed(Uuid::new_v4()), floor: FIRST, raised_ms: 0 }
    }
}

/// The one row there is.
pub(in crate::store) const ROW: i16 = 1;
