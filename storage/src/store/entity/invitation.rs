//! Codes with which accounts can be registered.

use sea_orm::entity::prelude::*;

use super::Fixed;
use crate::store::{Hash, Millis};

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invitation")]
pub(in crate::store) struct Model {
    /// The hash of the code.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) code: Fixed<Hash>,
    pub(in crate::store) until_ms: Millis,
    pub(in crate::store) uses_left: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
