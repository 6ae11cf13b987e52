//! Positions for conversations that are older than the feed: in the order of their last events'
//! times.

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_MEMBERS_WITH_MARKS,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait as _, Query, SimpleExpr},
};

use super::Db;
use crate::store::{
    StoreError,
    entity::{
        Fixed,
        feed::FIRST,
        log::{self, LARGE},
        member,
    },
};

/// Gives them, some logs at a time. Done again it changes nothing.
pub(in crate::store) async fn by_time<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    let mut last: Option<Fixed<LogId>> = None;
    loop {
        let mut logs = log::Entity::find().select_only().columns([log::Column::Id, log::Column::MemberCount]);
        if let Some(last) = last {
            logs = logs.filter(log::Column::Id.gt(last));
        }
        let logs = logs.order_by_asc(log::Column::Id).limit(LOGS).into_tuple::<(Fixed<LogId>, i64)>();
        let logs = db.ask(logs.all(db.conn)).await?;
        let (Some((first, _)), Some((end, _))) = (logs.first(), logs.last()) else { return Ok(()) };
        of_logs(db, *first, *end).await?;
        of_members(db, &logs).await?;
        last = Some(*end);
    }
}

async fn of_logs<C: ConnectionTrait>(db: &Db<'_, C>, first: Fixed<LogId>, end: Fixed<LogId>) -> Result<(), StoreError> {
    let logs = || Condition::all().add(log::Column::Id.between(first, end)).add(log::Column::Moved.eq(0));
    let time = Expr::case(log::Column::LastMs.gte(FIRST), FIRST - 1).finally(Expr::col(log::Column::LastMs));
    let places = log::Entity::update_many()
        .col_expr(log::Column::Moved, time.into())
        .col_expr(log::Column::FedSeq, Expr::col(log::Column::LastSeq))
        .filter(logs());
    db.ask(places.exec(db.conn)).await?;
    let large = log::Column::MemberCount.gt(MAX_MEMBERS_WITH_MARKS as i64);
    let marked = log::Entity::update_many()
        .col_expr(log::Column::Marked, Expr::value(LARGE))
        .filter(log::Column::Id.between(first, end))
        .filter(large);
    db.ask(marked.exec(db.conn)).await.map(drop)
}

/// Of the members of logs, which have so many: some thousand rows a statement.
async fn of_members<C: ConnectionTrait>(db: &Db<'_, C>, logs: &[(Fixed<LogId>, i64)]) -> Result<(), StoreError> {
    let mut rest = logs;
    while let Some((first, count)) = rest.first().copied() {
        let mut rows = 0;
        let fitting = rest.iter().take_while(|(_, count)| {
            rows += count;
            rows <= MEMBERS as i64
        });
        let taken = fitting.count().max(1);
        let (run, behind) = rest.split_at(taken);
        rest = behind;
        if count > MEMBERS as i64 {
            of_large(db, first).await?;
        } else if let Some((last, _)) = run.last() {
            members(db, Condition::all().add(member::Column::LogId.between(first, *last))).await?;
        }
    }
    Ok(())
}

async fn of_large<C: ConnectionTrait>(db: &Db<'_, C>, log: Fixed<LogId>) -> Result<(), StoreError> {
    let mut after: Option<Fixed<UserId>> = None;
    loop {
        let mut which = Condition::all().add(member::Column::LogId.eq(log));
        if let Some(after) = after {
            which = which.add(member::Column::UserId.gt(after));
        }
        let end = member::Entity::find()
            .select_only()
            .column(member::Column::UserId)
            .filter(which.clone())
            .order_by_asc(member::Column::UserId)
            .offset(MEMBERS - 1)
            .limit(1)
            .into_tuple::<Fixed<UserId>>();
        let Some(end) = db.ask(end.one(db.conn)).await? else { return members(db, which).await };
        members(db, which.add(member::Column::UserId.lte(end))).await?;
        after = Some(end);
    }
}

async fn members<C: ConnectionTrait>(db: &Db<'_, C>, which: Condition) -> Result<(), StoreError> {
    let of_log = |column: log::Column| {
        let log = Query::select()
            .column((log::Entity, column))
            .from(log::Entity)
            .and_where(Expr::col((log::Entity, log::Column::Id)).equals((member::Entity, member::Column::LogId)))
            .take();
        SimpleExpr::SubQuery(None, Box::new(log.into()))
    };
    let members = member::Entity::update_many()
        .col_expr(member::Column::Moved, of_log(log::Column::Moved))
        .col_expr(member::Column::Large, Expr::case(of_log(log::Column::Marked).eq(LARGE), 1).finally(0).into())
        .filter(which)
        .filter(member::Column::Moved.eq(0));
    db.ask(members.exec(db.conn)).await.map(drop)
}

/// Logs of one statement.
const LOGS: u64 = 100;
/// Members of one.
const MEMBERS: u64 = 5_000;
