//! Users.

use gogochat_proto::ids::UserId;
use sea_orm::entity::prelude::*;

use super::Fixed;
use crate::store::{Millis, User};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: Fixed<UserId>,
    #[sea_orm(unique, column_type = "String(StringLen::N(32))")]
    pub(in crate::store) name: String,
    #[sea_orm(column_type = "String(StringLen::N(256))")]
    pub(in crate::store) display_name: String,
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub(in crate::store) password_hash: String,
    pub(in crate::store) created_ms: Millis,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<User> for Model {
    fn from(user: User) -> Self {
        let User { id, name, display_name, password_hash, created_ms } = user;
        Self { id: Fixed(id), name, display_name, password_hash, created_ms }
    }
}

impl From<Model> for User {
    fn from(row: Model) -> Self {
        let Model { id, name, display_name, password_hash, created_ms } = row;
        Self { id: id.0, name, display_name, password_hash, created_ms }
    }
}
