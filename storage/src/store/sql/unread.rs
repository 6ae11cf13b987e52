//! How many messages are unread, calculated from numbers that are kept, whatever the number of
//! messages.
//!
//! A log's events are messages, except for a few silent ones, which have numbers. Between two seqs
//! there are as many messages as seqs, less the difference of the silent events' numbers. None of
//! them is the reader's own, because sending moves the sender's own mark.

use std::collections::HashMap;

use gogochat_proto::ids::LogId;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, Order, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Asterisk, Expr, ExprTrait as _, Query, SelectStatement, UnionType},
};

use super::{Db, Row};
use crate::store::{
    StoreError,
    entity::{
        Fixed,
        event::{self, MESSAGE},
        log, member, silent_event,
    },
};

/// How many messages each member of a page has not read, in the page's order.
pub(super) async fn unread<C: ConnectionTrait>(
    db: &Db<'_, C>,
    page: &[(member::Model, log::Model)],
) -> Result<Vec<u32>, StoreError> {
    let behind = page.iter().filter(|(member, log)| member.read_seq < log.last_seq && is_counted(log));
    let marks: Vec<_> = behind.map(|(member, log)| (log.id, member.read_seq)).collect();
    let numbers = numbers_at(db, &marks).await?;
    let mut unread = Vec::with_capacity(page.len());
    for (member, log) in page {
        let events = log.last_seq - member.read_seq;
        let messages = match (events, is_counted(log)) {
            (..=0, _) => 0,
            (_, true) => events - log.silent_events + numbers.get(&log.id.0).copied().unwrap_or(0),
            (_, false) => look_through(db, member).await?,
        };
        unread.push(u32::try_from(messages.clamp(0, MAX_UNREAD)).unwrap_or(0));
    }
    Ok(unread)
}

/// Whether a log's silent events are all numbered. They are not where a program has written that does
/// not count, until that is made up for.
pub(super) fn is_counted(log: &log::Model) -> bool {
    log.counted_seq == log.last_seq
}

/// The number of the last silent event up to each mark; none where there is none.
async fn numbers_at<C: ConnectionTrait>(
    db: &Db<'_, C>,
    marks: &[(Fixed<LogId>, i64)],
) -> Result<HashMap<LogId, i64>, StoreError> {
    let mut numbers = HashMap::new();
    for part in marks.chunks(AT_ONCE).flat_map(|chunk| db.parts(chunk, 2)) {
        let mut looks = part.into_iter().map(|(log, seq)| number_at(log, seq));
        let Some(mut look) = looks.next() else { continue };
        look.unions(looks.map(|look| (UnionType::All, look)));
        for row in db.ask(db.conn.query_all(&look)).await?.into_iter().map(Row::from) {
            numbers.insert(row.id(0)?, row.int(1)?);
        }
    }
    Ok(numbers)
}

/// One look for each: as conditions of one statement, or within a join, MySQL would read all that is
/// before the mark or behind it.
fn number_at(log: Fixed<LogId>, seq: i64) -> SelectStatement {
    let columns = [silent_event::Column::LogId, silent_event::Column::Number];
    let last = Query::select()
        .columns(columns)
        .from(silent_event::Entity)
        .and_where(silent_event::Column::LogId.eq(log))
        .and_where(silent_event::Column::Seq.lte(seq))
        .order_by(silent_event::Column::Seq, Order::Desc)
        .limit(1)
        .take();
    Query::select().columns(columns).from_subquery(last, "last").take()
}

/// Counts the messages of others behind the mark, one by one.
async fn look_through<C: ConnectionTrait>(db: &Db<'_, C>, member: &member::Model) -> Result<i64, StoreError> {
    let unread = event::Entity::find()
        .select_only()
        .column(event::Column::Seq)
        .filter(event::Column::LogId.eq(member.log_id))
        .filter(event::Column::Seq.gt(member.read_seq))
        .filter(event::Column::Body.eq(MESSAGE))
        .filter(event::Column::SenderId.ne(member.user_id))
        .limit(MAX_UNREAD as u64);
    let count = Query::select().expr(Expr::col(Asterisk).count()).from_subquery(unread.into_query(), "t").take();
    let row = db.ask(db.conn.query_one(&count)).await?;
    let count = row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0));
    count.map_err(|error| StoreError::Failed(DbErr::to_string(&error)))
}

/// Unread messages are counted up to here.
const MAX_UNREAD: i64 = 1_000;
/// Looks of one statement.
const AT_ONCE: usize = 32;
