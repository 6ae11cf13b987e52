//! Refresh tokens that were exchanged, until they would have lapsed: one that comes again is a
//! copy.

use gogochat_proto::ids::DeviceId;
use sea_orm::entity::prelude::*;

use super::{Fixed, device};
use crate::store::{Hash, Millis};

/// A refresh token that was exchanged.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "spent_refresh")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) refresh_hash: Fixed<Hash>,
    pub(in crate::store) device_id: Fixed<DeviceId>,
    /// The device's at that time; one behind the device's means that the exchange's answer may have been
    /// lost.
    pub(in crate::store) generation: i64,
    pub(in crate::store) spent_ms: Millis,
    pub(in crate::store) expires_ms: Millis,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {
    #[sea_orm(
        belongs_to = "device::Entity",
        from = "Column::DeviceId",
        to = "device::Column::Id",
        on_delete = "Cascade"
    )]
    Device,
}

impl ActiveModelBehavior for ActiveModel {}
