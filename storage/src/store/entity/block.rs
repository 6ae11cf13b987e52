//! Who blocks whom.

use gogochat_proto::ids::UserId;
use sea_orm::entity::prelude::*;

use super::{Fixed, account};
use crate::store::Millis;

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "block")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) user_id: Fixed<UserId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) peer_id: Fixed<UserId>,
    pub(in crate::store) since_ms: Millis,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {
    #[sea_orm(belongs_to = "account::Entity", from = "Column::PeerId", to = "account::Column::Id")]
    Peer,
}

impl Related<account::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Peer.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
