//! What was done to accounts, for ever: rows are added and never changed.

use gogochat_proto::ids::UserId;
use sea_orm::entity::prelude::*;

use super::Fixed;
use crate::store::{Act, AuditEntry, By, Millis};

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub(in crate::store) struct Model {
    /// Of version 7: it grows with the time.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) id: Fixed<uuid::Uuid>,
    pub(in crate::store) time_ms: Millis,
    /// [`Act::number`].
    pub(in crate::store) act: i64,
    /// NULL: the command line.
    pub(in crate::store) actor_id: Option<Fixed<UserId>>,
    pub(in crate::store) subject_id: Option<Fixed<UserId>>,
    #[sea_orm(column_type = "String(StringLen::N(45))")]
    pub(in crate::store) address: String,
    #[sea_orm(column_type = "String(StringLen::N(256))")]
    pub(in crate::store) detail: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<AuditEntry> for Model {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, act, by: By { actor, address, now }, subject, detail } = entry;
        let (actor_id, subject_id) = (actor.map(Fixed), subject.map(Fixed));
        Self { id: Fixed(id), time_ms: now, act: act.number(), actor_id, subject_id, address, detail }
    }
}

impl Model {
    /// `None`: an act of a newer program.
    pub(in crate::store) fn entry(self) -> Option<AuditEntry> {
        Some(AuditEntry {
            id: self.id.0,
            act: Act::numbered(self.act)?,
            by: By { actor: self.actor_id.map(|id| id.0), address: self.address, now: self.time_ms },
            subject: self.subject_id.map(|id| id.0),
            detail: self.detail,
        })
    }
}
