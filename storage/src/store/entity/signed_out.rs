//! Devices that were signed out, noted by the transaction that deletes them: cores read what is new
//! here. The newest one stays, as the next number follows it.

use gogochat_proto::ids::{DeviceId, UserId};
use sea_orm::entity::prelude::*;

use super::Fixed;
use crate::store::{Millis, SignOut};

/// A device that was signed out.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "signed_out")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) number: i64,
    pub(in crate::store) device_id: Fixed<DeviceId>,
    pub(in crate::store) user_id: Fixed<UserId>,
    /// When whatever the device could still do has ended.
    pub(in crate::store) until_ms: Millis,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for SignOut {
    fn from(row: Model) -> Self {
        Self { number: row.number, user: row.user_id.0, device: row.device_id.0 }
    }
}
