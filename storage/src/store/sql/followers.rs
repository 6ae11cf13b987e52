//! The followers of the feed: who handles which shard, and how far each has got.

use gogochat_proto::ids::LogId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::{Db, feed};
use crate::store::{
    Begun, Following, Place, StoreError,
    entity::{
        Fixed, feed as commit, follower,
        log::{self, Kind},
    },
};

/// Takes a shard over, inside a transaction.
pub(super) async fn follow<C: ConnectionTrait>(
    db: &Db<'_, C>,
    name: &str,
    shard: u16,
    owner: Uuid,
) -> Result<Following, StoreError> {
    let key = (name.to_owned(), number(shard));
    let row = db.ask(follower::Entity::find_by_id(key).lock_exclusive().one(db.conn)).await?;
    let floor = feed::history(db).await?.floor;
    let anew = || Place { position: floor, walked: Some(LogId::from(Uuid::nil())) };
    let Some(row) = row else {
        let place = anew();
        let row = follower::Model {
            name: name.to_owned(),
            shard: number(shard),
            position: place.position,
            walked: place.walked.map(Fixed),
            owner: Fixed(owner),
        };
        db.ask(follower::Entity::insert(follower::ActiveModel::from(row)).exec_without_returning(db.conn)).await?;
        return Ok(Following { place, begun: Begun::First });
    };
    let (place, begun) = match is_there(db, row.position).await? {
        true => (Place { position: row.position, walked: row.walked.map(|log| log.0) }, Begun::GoesOn),
        false => (anew(), Begun::Anew),
    };
    write(db, name, shard, place, None, owner).await?;
    Ok(Following { place, begun })
}

/// Notes how far an owner has got. `false`: another has taken the shard over.
pub(super) async fn note<C: ConnectionTrait>(
    db: &Db<'_, C>,
    name: &str,
    shard: u16,
    owner: Uuid,
    place: Place,
) -> Result<bool, StoreError> {
    Ok(write(db, name, shard, place, Some(owner), owner).await? > 0)
}

async fn write<C: ConnectionTrait>(
    db: &Db<'_, C>,
    name: &str,
    shard: u16,
    place: Place,
    expected: Option<Uuid>,
    owner: Uuid,
) -> Result<u64, StoreError> {
    // MySQL counts rows that are there, whether or not they change.
    let mut noted = follower::Entity::update_many()
        .col_expr(follower::Column::Position, Expr::value(place.position))
        .col_expr(follower::Column::Walked, Expr::value(place.walked.map(Fixed)))
        .col_expr(follower::Column::Owner, Expr::value(Fixed(owner)))
        .filter(follower::Column::Name.eq(name))
        .filter(follower::Column::Shard.eq(number(shard)));
    if let Some(expected) = expected {
        noted = noted.filter(follower::Column::Owner.eq(Fixed(expected)));
    }
    Ok(db.ask(noted.exec(db.conn)).await?.rows_affected)
}

/// Whether the feed still has all behind a position: the row of that position, or an earlier one, was not
/// dropped. Of an empty feed nothing was.
async fn is_there<C: ConnectionTrait>(db: &Db<'_, C>, position: i64) -> Result<bool, StoreError> {
    let oldest = commit::Entity::find()
        .select_only()
        .column(commit::Column::Position)
        .filter(commit::Column::Position.gt(0))
        .order_by_asc(commit::Column::Position)
        .limit(1)
        .into_tuple::<i64>();
    let oldest = db.ask(oldest.one(db.conn)).await?;
    Ok(oldest.is_none_or(|oldest| oldest <= position || oldest == commit::FIRST + 1))
}

/// How far the one that is behind the most has got, if anybody follows.
pub(super) async fn slowest<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<Option<i64>, StoreError> {
    let slowest = follower::Entity::find()
        .select_only()
        .column(follower::Column::Position)
        .filter(follower::Column::Position.gt(0))
        .order_by_asc(follower::Column::Position)
        .limit(1)
        .into_tuple::<i64>();
    db.ask(slowest.one(db.conn)).await
}

/// The conversations behind one, in the order of their ids, with their last seqs.
pub(super) async fn logs<C: ConnectionTrait>(
    db: &Db<'_, C>,
    after: LogId,
    limit: u32,
) -> Result<Vec<(LogId, Option<i64>)>, StoreError> {
    let logs = log::Entity::find()
        .select_only()
        .columns([log::Column::Id, log::Column::LastSeq, log::Column::Kind])
        .filter(log::Column::Id.gt(Fixed(after)))
        .order_by_asc(log::Column::Id)
        .limit(u64::from(limit))
        .into_tuple::<(Fixed<LogId>, i64, Kind)>();
    let logs = db.ask(logs.all(db.conn)).await?;
    Ok(logs.into_iter().map(|(log, seq, kind)| (log.0, (kind != Kind::Own).then_some(seq))).collect())
}

fn number(shard: u16) -> i16 {
    i16::try_from(shard).unwrap_or(i16::MAX)
}
