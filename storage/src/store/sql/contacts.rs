//! Reading contacts.

use gogochat_proto::ids::UserId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Db;
use crate::store::{
    Block, Contact, StoreError,
    entity::{
        Fixed, account, block,
        contact::{self, State},
    },
};

pub(super) async fn page<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<Contact>, StoreError> {
    let mut page = contact::Entity::find().filter(contact::Column::UserId.eq(Fixed(user)));
    if let Some(after) = after {
        page = page.filter(contact::Column::PeerId.gt(Fixed(after)));
    }
    let page = page.order_by_asc(contact::Column::PeerId).limit(u64::from(limit)).find_also_related(account::Entity);
    let contact = |(row, peer): (contact::Model, Option<account::Model>)| {
        let (state, conversation) = (row.state.into(), row.log_id.map(|log| log.0));
        Some(Contact { peer: peer?.into(), state, note: row.note, since_ms: row.since_ms, conversation })
    };
    Ok(db.ask(page.all(db.conn)).await?.into_iter().filter_map(contact).collect())
}

pub(super) async fn blocks<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<Block>, StoreError> {
    let mut page = block::Entity::find().filter(block::Column::UserId.eq(Fixed(user)));
    if let Some(after) = after {
        page = page.filter(block::Column::PeerId.gt(Fixed(after)));
    }
    let page = page.order_by_asc(block::Column::PeerId).limit(u64::from(limit)).find_also_related(account::Entity);
    let block = |(row, peer): (block::Model, Option<account::Model>)| {
        Some(Block { peer: peer?.into(), since_ms: row.since_ms })
    };
    Ok(db.ask(page.all(db.conn)).await?.into_iter().filter_map(block).collect())
}

pub(super) async fn accepted<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    others: &[UserId],
) -> Result<Vec<UserId>, StoreError> {
    let mut accepted = Vec::new();
    for part in db.parts(others, 1) {
        let part = contact::Entity::find()
            .select_only()
            .column(contact::Column::PeerId)
            .filter(contact::Column::UserId.eq(Fixed(user)))
            .filter(contact::Column::PeerId.is_in(part.into_iter().map(Fixed)))
            .filter(contact::Column::State.eq(State::Accepted))
            .into_tuple::<Fixed<UserId>>();
        accepted.extend(db.ask(part.all(db.conn)).await?.into_iter().map(|id| id.0));
    }
    Ok(accepted)
}
