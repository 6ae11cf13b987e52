//! What logs in once in place of a second factor.

use gogochat_proto::ids::UserId;
use sea_orm::entity::prelude::*;

use super::{Fixed, account};
use crate::store::Hash;

/// A code that was not used yet.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recovery_code")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) user_id: Fixed<UserId>,
    /// The hash of the code.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) code: Fixed<Hash>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {
    #[sea_orm(
        belongs_to = "account::Entity",
        from = "Column::UserId",
        to = "account::Column::Id",
        on_delete = "Cascade"
    )]
    Account,
}

impl ActiveModelBehavior for ActiveModel {}
