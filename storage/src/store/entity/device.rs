//! Devices that are signed in.

use gogochat_proto::ids::{DeviceId, UserId};
use sea_orm::entity::prelude::*;

use super::{Fixed, account, log, member};
use crate::store::{Device, Hash, Millis, NewDevice};

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "device")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: Fixed<DeviceId>,
    pub(in crate::store) user_id: Fixed<UserId>,
    #[sea_orm(column_type = "String(StringLen::N(256))")]
    pub(in crate::store) name: String,
    pub(in crate::store) created_ms: Millis,
    pub(in crate::store) last_seen_ms: Millis,
    #[sea_orm(unique)]
    pub(in crate::store) access_hash: Fixed<Hash>,
    pub(in crate::store) access_expires_ms: Millis,
    #[sea_orm(unique)]
    pub(in crate::store) refresh_hash: Fixed<Hash>,
    pub(in crate::store) refresh_expires_ms: Millis,
    /// How often its refresh token was exchanged.
    pub(in crate::store) generation: i64,
    #[sea_orm(column_type = "String(StringLen::N(45))", default_value = "")]
    pub(in crate::store) address: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {
    #[sea_orm(belongs_to = "account::Entity", from = "Column::UserId", to = "account::Column::Id")]
    Account,
    /// The log of its user.
    #[sea_orm(belongs_to = "log::Entity", from = "Column::UserId", to = "log::Column::Id", skip_fk)]
    OwnLog,
    /// Its user's.
    #[sea_orm(belongs_to = "member::Entity", from = "Column::UserId", to = "member::Column::UserId", skip_fk)]
    Memberships,
}

impl ActiveModelBehavior for ActiveModel {}

impl From<NewDevice> for Model {
    fn from(device: NewDevice) -> Self {
        let tokens = device.tokens;
        Self {
            id: Fixed(device.id),
            user_id: Fixed(device.user),
            name: device.name,
            created_ms: device.created_ms,
            last_seen_ms: device.created_ms,
            access_hash: Fixed(tokens.access),
            access_expires_ms: tokens.access_expires_ms,
            refresh_hash: Fixed(tokens.refresh),
            refresh_expires_ms: tokens.refresh_expires_ms,
            generation: 0,
            address: device.address,
        }
    }
}

impl From<Model> for Device {
    fn from(row: Model) -> Self {
        Self {
            id: row.id.0,
            user: row.user_id.0,
            name: row.name,
            created_ms: row.created_ms,
            last_seen_ms: row.last_seen_ms,
            access_expires_ms: row.access_expires_ms,
            address: row.address,
        }
    }
}
