//! The feed's floor and commits, and the epoch.

use gogochat_proto::ids::LogId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::Db;
use crate::store::{
    FeedCommit, Millis, StoreError,
    entity::{
        Fixed, feed,
        history::{self, ROW},
        log,
    },
    feed::decode,
};

/// Makes the row of a store that has none.
pub(super) async fn begin<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    if db.ask(history::Entity::find_by_id(ROW).one(db.conn)).await?.is_none() {
        let row = history::ActiveModel::from(history::Model::begin());
        db.ask(history::Entity::insert(row).exec_without_returning(db.conn)).await?;
    }
    Ok(())
}

pub(in crate::store) async fn history<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<history::Model, StoreError> {
    let row = db.ask(history::Entity::find_by_id(ROW).one(db.conn)).await?;
    row.ok_or_else(|| StoreError::Failed("it has no history".into()))
}

/// Goes on with another store's history.
pub(in crate::store) async fn take_history<C: ConnectionTrait>(
    db: &Db<'_, C>,
    history: history::Model,
) -> Result<(), StoreError> {
    let taken = history::Entity::update_many()
        .col_expr(history::Column::Epoch, Expr::value(history.epoch))
        .col_expr(history::Column::Floor, Expr::value(history.floor))
        .filter(history::Column::Id.eq(ROW));
    db.ask(taken.exec(db.conn)).await.map(drop)
}

/// Begins another history: what clients know of the store is of none any more.
pub(super) async fn renew_epoch<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<Uuid, StoreError> {
    let epoch = Uuid::new_v4();
    let renewed = history::Entity::update_many()
        .col_expr(history::Column::Epoch, Expr::value(Fixed(epoch)))
        .filter(history::Column::Id.eq(ROW));
    db.ask(renewed.exec(db.conn)).await?;
    Ok(epoch)
}

/// The lock is got when no commit holds the row. Those that come meanwhile wait behind it, and get no
/// position before it is given back. So whatever has a position by now is committed, or never will be.
pub(super) async fn raise_floor<C: ConnectionTrait>(
    db: &Db<'_, C>,
    now: Millis,
    since: Millis,
) -> Result<i64, StoreError> {
    let row = history(db).await?;
    // A clock that was set back must not keep it down.
    if (since..=now).contains(&row.raised_ms) {
        return Ok(row.floor);
    }
    db.ask(history::Entity::find_by_id(ROW).lock_exclusive().one(db.conn)).await?;
    let floor = last(db).await?.unwrap_or(row.floor);
    let raised = history::Entity::update_many()
        .col_expr(history::Column::Floor, Expr::value(floor))
        .col_expr(history::Column::RaisedMs, Expr::value(now))
        .filter(history::Column::Id.eq(ROW));
    db.ask(raised.exec(db.conn)).await?;
    Ok(floor)
}

/// Commits behind a position. A number that is missing may be of one that is still under way, or was
/// taken back: below the floor it was, above it nothing is read that stands behind it.
pub(super) async fn commits<C: ConnectionTrait>(
    db: &Db<'_, C>,
    after: i64,
    limit: u32,
) -> Result<Vec<FeedCommit>, StoreError> {
    let floor = history(db).await?.floor;
    let rows = feed::Entity::find()
        .filter(feed::Column::Position.gt(after))
        .order_by_asc(feed::Column::Position)
        .limit(u64::from(limit));
    let (mut commits, mut next) = (Vec::new(), after.max(floor) + 1);
    for row in db.ask(rows.all(db.conn)).await? {
        if row.position > floor && row.position != next {
            break;
        }
        next = row.position.max(floor) + 1;
        let damaged = || StoreError::Failed(format!("the feed is damaged at {}", row.position));
        commits.push(FeedCommit { position: row.position, entries: decode(&row.entries).ok_or_else(damaged)? });
    }
    Ok(commits)
}

/// Drops the oldest commits up to a position; whether there are more.
pub(super) async fn trim<C: ConnectionTrait>(db: &Db<'_, C>, up_to: i64) -> Result<bool, StoreError> {
    let oldest = feed::Entity::find()
        .select_only()
        .column(feed::Column::Position)
        .filter(feed::Column::Position.gt(0))
        .order_by_asc(feed::Column::Position)
        .limit(1)
        .into_tuple::<i64>();
    let (Some(oldest), Some(newest)) = (db.ask(oldest.one(db.conn)).await?, last(db).await?) else { return Ok(false) };
    let up_to = up_to.min(newest - 1);
    let part = up_to.min(oldest + TRIMMED);
    let dropped = feed::Entity::delete_many().filter(feed::Column::Position.lte(part));
    db.ask(dropped.exec(db.conn)).await?;
    Ok(part < up_to)
}

/// Commits that are dropped at once.
const TRIMMED: i64 = 2_000;

/// Logs that have events which are not in the feed: a program wrote them that writes none.
pub(super) async fn unfed<C: ConnectionTrait>(db: &Db<'_, C>, limit: u64) -> Result<Vec<LogId>, StoreError> {
    let logs = log::Entity::find()
        .select_only()
        .column(log::Column::Id)
        .filter(Expr::cust(db.dialect.unfed))
        .limit(limit)
        .into_tuple::<Fixed<LogId>>();
    Ok(db.ask(logs.all(db.conn)).await?.into_iter().map(|log| log.0).collect())
}

/// The last position that was given.
pub(super) async fn last<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<Option<i64>, StoreError> {
    let last = feed::Entity::find()
        .select_only()
        .column(feed::Column::Position)
        .filter(feed::Column::Position.gt(0))
        .order_by_desc(feed::Column::Position)
        .limit(1)
        .into_tuple::<i64>();
    db.ask(last.one(db.conn)).await
}
