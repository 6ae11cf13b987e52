//! Numbers the silent events of logs that were written without numbers, by the release before or
//! before there were any. It takes some events at a time, beside the running server.

use std::collections::BTreeMap;

use gogochat_proto::ids::{LogId, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use super::{Db, owners, schema::COUNTED};
use crate::store::{
    StoreError,
    entity::{
        Fixed,
        event::{self, MESSAGE},
        log::{self, Kind},
        member, schema_step, silent_event,
    },
};

/// Whether the logs that were there before the schema's step are not known to be counted yet.
pub(super) async fn is_pending<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<bool, StoreError> {
    let step = db.ask(schema_step::Entity::find_by_id(COUNTED).one(db.conn)).await?;
    Ok(step.is_some_and(|step| step.filled == 0))
}

/// They are.
pub(super) async fn finish<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    let filled = schema_step::Entity::update_many()
        .col_expr(schema_step::Column::Filled, Expr::value(1))
        .filter(schema_step::Column::Version.eq(COUNTED));
    db.ask(filled.exec(db.conn)).await.map(drop)
}

/// A part of the logs, in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// The last that was looked at; `None`: there are no more.
    pub(super) last: Option<LogId>,
    /// Those of them in which not all is counted.
    pub(super) uncounted: Vec<LogId>,
}

/// Looks at the logs behind one.
pub(super) async fn look<C: ConnectionTrait>(db: &Db<'_, C>, after: Option<LogId>) -> Result<Part, StoreError> {
    let mut logs = log::Entity::find().select_only().columns([
        log::Column::Id,
        log::Column::Kind,
        log::Column::LastSeq,
        log::Column::CountedSeq,
    ]);
    if let Some(after) = after {
        logs = logs.filter(log::Column::Id.gt(Fixed(after)));
    }
    let logs = logs.order_by_asc(log::Column::Id).limit(LOGS).into_tuple::<(Fixed<LogId>, Kind, i64, i64)>();
    let logs = db.ask(logs.all(db.conn)).await?;
    let uncounted = |(id, kind, last, counted): &(Fixed<LogId>, Kind, i64, i64)| {
        (*kind != Kind::Own && counted < last).then_some(id.0)
    };
    Ok(Part { last: logs.last().map(|log| log.0.0), uncounted: logs.iter().filter_map(uncounted).collect() })
}

/// Counts the next events of a log, inside a transaction. `true`: there are more.
pub(super) async fn count<C: ConnectionTrait>(db: &Db<'_, C>, log: LogId) -> Result<bool, StoreError> {
    let row = log::Entity::find_by_id(Fixed(log)).lock_exclusive();
    let Some(row) = db.ask(row.one(db.conn)).await? else { return Ok(false) };
    if row.kind == Kind::Own || row.counted_seq >= row.last_seq {
        return Ok(false);
    }
    if row.kind == Kind::Group {
        // The program that wrote it notes no owners either.
        owners::note(db, log).await?;
    }
    let events = event::Entity::find()
        .select_only()
        .columns([event::Column::Seq, event::Column::Body, event::Column::SenderId])
        .filter(event::Column::LogId.eq(row.id))
        .filter(event::Column::Seq.gt(row.counted_seq))
        .order_by_asc(event::Column::Seq)
        .limit(EVENTS)
        .into_tuple::<(i64, i16, Fixed<UserId>)>();
    let events = db.ask(events.all(db.conn)).await?;
    let Some((end, ..)) = events.last().copied() else { return Ok(false) };

    let (mut silent, mut senders) = (Vec::new(), BTreeMap::new());
    for (seq, body, sender) in events {
        match body {
            MESSAGE => drop(senders.insert(sender.0, seq)),
            _ => silent.push(seq),
        }
    }
    let numbered = |(seq, number)| silent_event::Model { log_id: row.id, seq, number };
    let silent: Vec<_> = silent.into_iter().zip(row.silent_events + 1..).map(numbered).collect();
    for part in silent.chunks(ROWS) {
        let rows = part.iter().cloned().map(silent_event::ActiveModel::from);
        db.ask(silent_event::Entity::insert_many(rows).exec_without_returning(db.conn)).await?;
    }
    mark(db, row.id, &senders).await?;
    let counted = log::Entity::update_many()
        .col_expr(log::Column::CountedSeq, Expr::value(end))
        .col_expr(log::Column::SilentEvents, Expr::value(row.silent_events + silent.len() as i64))
        .filter(log::Column::Id.eq(row.id));
    db.ask(counted.exec(db.conn)).await?;
    Ok(end < row.last_seq)
}

/// Moves the marks of those who have sent up to what they sent.
async fn mark<C: ConnectionTrait>(
    db: &Db<'_, C>,
    log: Fixed<LogId>,
    senders: &BTreeMap<UserId, i64>,
) -> Result<(), StoreError> {
    let ids: Vec<_> = senders.keys().copied().map(Fixed).collect();
    for part in db.parts(&ids, 1) {
        let members =
            member::Entity::find().filter(member::Column::LogId.eq(log)).filter(member::Column::UserId.is_in(part));
        // Marks move beside the log's commits: without the lock one could be taken back.
        let members = db.ask(members.lock_exclusive().all(db.conn)).await?.into_iter().filter_map(|member| {
            let seq = *senders.get(&member.user_id.0)?;
            let moved = member::Model { delivered_seq: member.delivered_seq.max(seq), read_seq: seq, ..member };
            (member.read_seq < seq).then(|| member::ActiveModel::from(moved))
        });
        let members: Vec<_> = members.collect();
        if members.is_empty() {
            continue;
        }
        let marks = OnConflict::columns([member::Column::LogId, member::Column::UserId])
            .update_columns([member::Column::DeliveredSeq, member::Column::ReadSeq])
            .to_owned();
        db.ask(member::Entity::insert_many(members).on_conflict(marks).exec_without_returning(db.conn)).await?;
    }
    Ok(())
}

/// Logs that are looked at at once.
const LOGS: u64 = 1_000;
/// Events that one transaction counts.
const EVENTS: u64 = 2_000;
/// Rows of one statement.
const ROWS: usize = 100;
