//! Positions for conversations that are older than the feed: in the order of their last events'
//! times.

use gogochat_proto::{ids::LogId, limits::MAX_MEMBERS_WITH_MARKS};
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
pub(super) async fn by_time<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    let mut last: Option<Fixed<LogId>> = None;
    loop {
        let mut logs = log::Entity::find().select_only().column(log::Column::Id);
        if let Some(last) = last {
            logs = logs.filter(log::Column::Id.gt(last));
        }
        let logs = logs.order_by_asc(log::Column::Id).limit(LOGS).into_tuple::<Fixed<LogId>>();
        let logs = db.ask(logs.all(db.conn)).await?;
        let (Some(first), Some(end)) = (logs.first(), logs.last()) else { return Ok(()) };
        part(db, *first, *end).await?;
        last = Some(*end);
    }
}

async fn part<C: ConnectionTrait>(db: &Db<'_, C>, first: Fixed<LogId>, end: Fixed<LogId>) -> Result<(), StoreError> {
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
    db.ask(marked.exec(db.conn)).await?;

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
        .filter(member::Column::LogId.between(first, end))
        .filter(member::Column::Moved.eq(0));
    db.ask(members.exec(db.conn)).await.map(drop)
}

/// Logs of one statement.
const LOGS: u64 = 100;
