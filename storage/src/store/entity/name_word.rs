//! Words of display names, by which a search finds users.

use gogochat_proto::ids::UserId;
use sea_orm::entity::prelude::*;

use super::{Fixed, account};

/// A display name from one of its words on, as [`crate::store::sql::name_words`] makes it.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "name_word")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(64))")]
    pub(in crate::store) word: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) user_id: Fixed<UserId>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {
    #[sea_orm(belongs_to = "account::Entity", from = "Column::UserId", to = "account::Column::Id")]
    Account,
}

impl ActiveModelBehavior for ActiveModel {}
