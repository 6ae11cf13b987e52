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
    #[sea_orm(column_type = "String(StringLen::N(256))", default_value = "")]
    pub(in crate::store) signature: String,
    #[sea_orm(column_type = "String(StringLen::N(10))", default_value = "")]
    pub(in crate::store) birthday: String,
    #[sea_orm(default_value = 0)]
    pub(in crate::store) gender: i64,
    pub(in crate::store) administrator_ms: Option<Millis>,
    pub(in crate::store) disabled_ms: Option<Millis>,
    pub(in crate::store) one_time_until_ms: Option<Millis>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<User> for Model {
    fn from(user: User) -> Self {
        Self {
            id: Fixed(user.id),
            name: user.name,
            display_name: user.display_name,
            password_hash: user.password_hash,
            created_ms: user.created_ms,
            signature: user.signature,
            birthday: user.birthday,
            gender: user.gender,
            administrator_ms: user.administrator_ms,
            disabled_ms: user.disabled_ms,
            one_time_until_ms: user.one_time_until_ms,
        }
    }
}

impl From<Model> for User {
    fn from(row: Model) -> Self {
        Self {
            id: row.id.0,
            name: row.name,
            display_name: row.display_name,
            signature: row.signature,
            birthday: row.birthday,
            password_hash: row.password_hash,
            created_ms: row.created_ms,
            gender: row.gender,
            administrator_ms: row.administrator_ms,
            disabled_ms: row.disabled_ms,
            one_time_until_ms: row.one_time_until_ms,
        }
    }
}
