//! Contacts, one row a side.

use gogochat_proto::ids::{LogId, UserId};
use sea_orm::entity::prelude::*;

use super::{Fixed, account};
use crate::store::{ContactState, Millis};

/// One side of a contact.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contact")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) user_id: Fixed<UserId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::store) peer_id: Fixed<UserId>,
    pub(in crate::store) state: State,
    #[sea_orm(column_type = "String(StringLen::N(1024))")]
    pub(in crate::store) note: String,
    pub(in crate::store) since_ms: Millis,
    /// Their direct conversation, once they are contacts.
    pub(in crate::store) log_id: Option<Fixed<LogId>>,
}

/// How the two stand, as this side sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub(in crate::store) enum State {
    #[sea_orm(num_value = 1)]
    Requested,
    #[sea_orm(num_value = 2)]
    Incoming,
    #[sea_orm(num_value = 3)]
    Accepted,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {
    #[sea_orm(belongs_to = "account::Entity", from = "Column::UserId", to = "account::Column::Id")]
    User,
    #[sea_orm(belongs_to = "account::Entity", from = "Column::PeerId", to = "account::Column::Id")]
    Peer,
}

impl Related<account::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Peer.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl From<State> for ContactState {
    fn from(state: State) -> Self {
        match state {
            State::Requested => Self::Requested,
            State::Incoming => Self::Incoming,
            State::Accepted => Self::Accepted,
        }
    }
}

impl From<ContactState> for State {
    fn from(state: ContactState) -> Self {
        match state {
            ContactState::Requested => Self::Requested,
            ContactState::Incoming => Self::Incoming,
            ContactState::Accepted => Self::Accepted,
        }
    }
}
