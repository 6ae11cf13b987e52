//! Picks a page of a user's conversations, the latest moved first, by an index.
//!
//! A member's row in a small conversation says where it moved. Rows in large groups do not: the
//! rows of all the user's large groups' logs are looked at.

use std::{
    cmp::Reverse,
    sync::atomic::{AtomicU32, Ordering},
};

use gogochat_proto::ids::{LogId, UserId};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::Expr,
};

use uuid::Uuid;

use super::{Db, feed, keyset::behind};
use crate::store::{
    ALL, StoreError, Walk,
    entity::{Fixed, log, member},
};

type Row = (member::Model, log::Model);

/// Whether a program of the release before writes to the store as well. What it changes and is no event, marks
/// and whether one may write, has no position: so while it may do so, all is told.
#[derive(Debug, Default)]
pub(in crate::store) struct Older {
    /// Floors until it is taken to be gone.
    floors: AtomicU32,
}

impl Older {
    /// It has written something.
    pub(super) fn seen(&self) {
        self.floors.store(GONE_AFTER, Ordering::Relaxed);
    }

    /// A floor was raised, and nothing of it was found.
    pub(super) fn not_seen(&self) {
        // Both orders of two at once are as good.
        self.floors.store(self.floors.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }

    fn may_write(&self) -> bool {
        self.floors.load(Ordering::Relaxed) > 0
    }
}

/// A part of a walk.
#[derive(Debug)]
pub(super) struct Part {
    /// Each with where the walk stands behind it.
    pub(super) rows: Vec<(Row, Walk)>,
    /// As it stood before.
    pub(super) walk: Walk,
    pub(super) epoch: Uuid,
    pub(super) is_last: bool,
}

/// The next rows of a walk; of a new one where there is no place yet.
pub(super) async fn next<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    since: i64,
    walk: Option<Walk>,
    limit: u32,
    older: &Older,
) -> Result<Part, StoreError> {
    let history = feed::history(db).await?;
    // What another program wrote is on no member's row, until it is brought into the feed.
    let since = if since != ALL && (older.may_write() || is_unfed(db, user, older).await?) { ALL } else { since };
    let begin = walk.is_none();
    let walk = match walk {
        Some(walk) => walk,
        // Where several write, one that got its position earlier may still end.
        None if db.dialect.numbers => Walk::begin(history.floor, history.floor),
        None => Walk::begin(history.floor, feed::last(db).await?.unwrap_or(history.floor)),
    };
    let size = limit as usize;
    let mut rows = Vec::new();
    let mut end = walk;
    if !walk.upward {
        rows = pick(db, user, since, &walk, limit).await?;
        end = rows.last().map_or(walk, |row| walk.at(place(row)));
        if rows.len() < size {
            end = end.turned();
        }
    }
    let mut rows: Vec<_> = rows.into_iter().map(|row| (row.clone(), walk.at(place(&row)))).collect();
    // What moved while the walk went down is above it now. One page of all is of one moment.
    let is_one_page = begin && end.upward;
    if end.upward && !is_one_page {
        let left = limit - u32::try_from(rows.len()).unwrap_or(limit);
        let above = pick(db, user, since.max(end.bound), &end, left).await?;
        rows.extend(above.into_iter().map(|row| (row.clone(), end.at(place(&row)))));
    }
    let is_last = rows.len() < size;
    Ok(Part { rows, walk, epoch: history.epoch.0, is_last })
}

/// Whether something was written without a feed that the user may see.
async fn is_unfed<C: ConnectionTrait>(db: &Db<'_, C>, user: UserId, older: &Older) -> Result<bool, StoreError> {
    let logs = feed::unfed(db, UNFED).await?;
    if !logs.is_empty() {
        older.seen();
    }
    Ok(logs.len() == UNFED as usize || !of_logs(db, user, &logs).await?.is_empty())
}

/// Those of some logs that a user is in.
pub(super) async fn of_logs<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    logs: &[LogId],
) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    for part in db.parts(logs, 1) {
        let part = member::Entity::find()
            .filter(member::Column::UserId.eq(Fixed(user)))
            .filter(member::Column::LogId.is_in(part.into_iter().map(Fixed)))
            .find_also_related(log::Entity);
        rows.extend(db.ask(part.all(db.conn)).await?.into_iter().filter_map(|(member, log)| Some((member, log?))));
    }
    Ok(rows)
}

/// Where a conversation stands in the walk.
fn place((member, log): &Row) -> (i64, LogId) {
    let moved = if member.large == 0 { member.moved } else { member.moved.max(log.moved) };
    (moved, log.id.0)
}

/// Rows that lie above `since` and behind the walk's place, nearest first.
async fn pick<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    since: i64,
    walk: &Walk,
    limit: u32,
) -> Result<Vec<Row>, StoreError> {
    let order = if walk.upward { Order::Asc } else { Order::Desc };
    let mut small = of(user, 0).filter(member::Column::Moved.gt(since));
    if let Some((moved, log)) = walk.place {
        let key = vec![
            (Expr::col((member::Entity, member::Column::Moved)), moved.into()),
            (Expr::col((member::Entity, member::Column::LogId)), Fixed(log).into()),
        ];
        small = small.filter(behind(db.conn.get_database_backend(), key, &order));
    }
    let small = small
        .order_by(member::Column::Moved, order.clone())
        .order_by(member::Column::LogId, order)
        .limit(u64::from(limit));
    let moved = Condition::any().add(member::Column::Moved.gt(since)).add(log::Column::Moved.gt(since));
    let large = of(user, 1).find_also_related(log::Entity).filter(moved);
    let joined = |rows: Vec<(member::Model, Option<log::Model>)>| {
        rows.into_iter().filter_map(|(member, log)| Some((member, log?)))
    };
    let mut rows: Vec<Row> = joined(db.ask(small.find_also_related(log::Entity).all(db.conn)).await?).collect();
    let before = rows.len();
    rows.extend(joined(db.ask(large.all(db.conn)).await?).filter(|row| walk.is_ahead(place(row))));
    if rows.len() > before {
        match walk.upward {
            true => rows.sort_by_key(place),
            false => rows.sort_by_key(|row| Reverse(place(row))),
        }
    }
    rows.truncate(limit as usize);
    Ok(rows)
}

fn of(user: UserId, large: i16) -> Select<member::Entity> {
    member::Entity::find().filter(member::Column::UserId.eq(Fixed(user))).filter(member::Column::Large.eq(large))
}

/// Floors that are raised without a trace of a program until it is taken to be gone: ten minutes of them.
const GONE_AFTER: u32 = 10;

/// Of more logs that were written without a feed it is not looked whose they are.
const UNFED: u64 = 200;
