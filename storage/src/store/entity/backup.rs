//! What a file is a backup of: one row. Only backups have the table, and only once they are whole.

use sea_orm::entity::prelude::*;

use super::Fixed;
use crate::store::Millis;

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "backup")]
pub(in crate::store) struct Model {
    /// Drawn for this backup.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: Fixed<uuid::Uuid>,
    /// When it was begun: it has all that was committed before.
    pub(in crate::store) begun_ms: Millis,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
