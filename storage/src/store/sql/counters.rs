//! Whether the numbers from which unread messages are calculated are right, and their repair.

use gogochat_proto::ids::LogId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

use super::Db;
use crate::store::{
    Counters, StoreError,
    entity::{
        Fixed,
        event::{self, MESSAGE},
        log::{self, Kind},
        silent_event,
    },
};

/// Looks at the numbers of a part of a log, inside a snapshot. It reads a row an event.
pub(super) async fn check<C: ConnectionTrait>(
    db: &Db<'_, C>,
    log: LogId,
    from_seq: i64,
    to_seq: i64,
) -> Result<Counters, StoreError> {
    let row = log::Entity::find_by_id(Fixed(log));
    let Some(row) = db.ask(row.one(db.conn)).await? else { return Ok(Counters::Right) };
    if row.kind == Kind::Own {
        return Ok(Counters::Right);
    }
    if row.counted_seq < to_seq.min(row.last_seq) {
        return Ok(Counters::Uncounted);
    }
    let events = event::Entity::find()
        .select_only()
        .columns([event::Column::Seq, event::Column::Body])
        .filter(event::Column::LogId.eq(row.id))
        .filter(event::Column::Seq.between(from_seq, to_seq))
        .order_by_asc(event::Column::Seq)
        .into_tuple::<(i64, i16)>();
    let events = db.ask(events.all(db.conn)).await?;
    let numbered = silent_event::Entity::find()
        .filter(silent_event::Column::LogId.eq(row.id))
        .filter(silent_event::Column::Seq.between(from_seq, to_seq))
        .order_by_asc(silent_event::Column::Seq);
    let numbered: Vec<_> =
        db.ask(numbered.all(db.conn)).await?.into_iter().map(|silent| (silent.seq, silent.number)).collect();
    let before = number_below(db, row.id, from_seq).await?;
    let silent = events.into_iter().filter(|(_, body)| *body != MESSAGE);
    let expected: Vec<_> = silent.zip(before + 1..).map(|((seq, _), number)| (seq, number)).collect();
    let is_whole = row.counted_seq < row.last_seq || row.silent_events == number_below(db, row.id, i64::MAX).await?;
    Ok(if numbered == expected && is_whole { Counters::Right } else { Counters::Wrong })
}

/// Takes the numbers of a log from a seq on back, inside a transaction: so they are counted anew, and
/// until then messages are counted one by one.
pub(super) async fn take_back<C: ConnectionTrait>(db: &Db<'_, C>, log: LogId, from_seq: i64) -> Result<(), StoreError> {
    let row = log::Entity::find_by_id(Fixed(log)).lock_exclusive();
    let Some(row) = db.ask(row.one(db.conn)).await? else { return Ok(()) };
    let wrong = silent_event::Entity::delete_many()
        .filter(silent_event::Column::LogId.eq(row.id))
        .filter(silent_event::Column::Seq.gte(from_seq));
    db.ask(wrong.exec(db.conn)).await?;
    let number = number_below(db, row.id, from_seq).await?;
    let counted = log::Entity::update_many()
        .col_expr(log::Column::CountedSeq, Expr::value(row.counted_seq.min(from_seq - 1)))
        .col_expr(log::Column::SilentEvents, Expr::value(number))
        .filter(log::Column::Id.eq(row.id));
    db.ask(counted.exec(db.conn)).await.map(drop)
}

/// The number of the last silent event below a seq; 0 where there is none.
async fn number_below<C: ConnectionTrait>(db: &Db<'_, C>, log: Fixed<LogId>, seq: i64) -> Result<i64, StoreError> {
    let last = silent_event::Entity::find()
        .filter(silent_event::Column::LogId.eq(log))
        .filter(silent_event::Column::Seq.lt(seq))
        .order_by_desc(silent_event::Column::Seq);
    Ok(db.ask(last.one(db.conn)).await?.map_or(0, |silent| silent.number))
}
