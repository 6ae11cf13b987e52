//! Second factors of log-ins.

use gogochat_proto::ids::UserId;
use sea_orm::entity::prelude::*;

use super::{Fixed, account};
use crate::store::{FactorSecret, Millis, SecondFactor};

/// A user's second factor.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "second_factor")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) user_id: Fixed<UserId>,
    pub(in crate::store) secret: Fixed<FactorSecret>,
    /// NULL: it was begun, and nothing asks for it.
    pub(in crate::store) on_ms: Option<Millis>,
    /// Of the code that was used last: none of its step or before is taken again.
    pub(in crate::store) step: i64,
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

impl From<Model> for SecondFactor {
    fn from(row: Model) -> Self {
        Self { secret: row.secret.0, on_ms: row.on_ms, step: row.step }
    }
}
