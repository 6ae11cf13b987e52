//! Events of logs. No foreign key: the transaction that writes an event takes its seq from the
//! log's row.

use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use sea_orm::entity::prelude::*;

use super::Fixed;
use crate::store::{Event, Millis};

/// An event of a log.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) log_id: Fixed<LogId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) seq: i64,
    /// The number of the field that the payload has set.
    pub(in crate::store) body: i16,
    pub(in crate::store) time_ms: Millis,
    pub(in crate::store) sender_id: Fixed<UserId>,
    pub(in crate::store) device_id: Option<Fixed<DeviceId>>,
    pub(in crate::store) client_msg_id: Option<Fixed<ClientMsgId>>,
    /// An encoded `gogochat.v1.Event` with nothing but its body.
    #[sea_orm(column_type = "custom(\"mediumblob\")")]
    pub(in crate::store) payload: Vec<u8>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What `body` is of a message.
pub(in crate::store) const MESSAGE: i16 = 10;

impl From<Model> for Event {
    fn from(row: Model) -> Self {
        Self {
            log: row.log_id.0,
            seq: row.seq,
            time_ms: row.time_ms,
            sender: row.sender_id.0,
            device: row.device_id.map(|device| device.0),
            client_msg_id: row.client_msg_id.map(|name| name.0),
            payload: row.payload.into(),
            subscription: None,
        }
    }
}
