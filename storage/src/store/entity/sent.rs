//! What was committed under which `client_msg_id`, for ever: by this a repeat is recognised.

use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use sea_orm::entity::prelude::*;

use super::Fixed;
use crate::store::{Hash, Millis};

/// What a device committed under a name. A contact command is remembered, too: under the name that the
/// server gave it, in the sender's own log, its target the direct conversation that it came to.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sent")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) client_msg_id: Fixed<ClientMsgId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) log_id: Fixed<LogId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) sender_id: Fixed<UserId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) device_id: Fixed<DeviceId>,
    pub(in crate::store) request_hash: Fixed<Hash>,
    /// 0 where the command appended nothing.
    pub(in crate::store) seq: i64,
    pub(in crate::store) time_ms: Millis,
    /// How many members it added.
    pub(in crate::store) added: i64,
    /// The conversation that it made.
    pub(in crate::store) target: Option<Fixed<LogId>>,
    #[sea_orm(default_value = 0)]
    pub(in crate::store) refused: Refused,
}

/// Whether it was carried out, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub(in crate::store) enum Refused {
    #[sea_orm(num_value = 0)]
    No,
    #[sea_orm(num_value = 1)]
    NotFound,
    #[sea_orm(num_value = 2)]
    AlreadyContact,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
