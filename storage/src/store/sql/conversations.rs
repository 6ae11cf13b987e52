//! What users see of their conversations, and who is in them.

use std::collections::{BTreeSet, HashMap};

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_MEMBERS_WITH_MARKS,
};
use sea_orm::{ConnectionTrait, Value};

use super::{
    Db, Row, SqlId,
    db::placeholders,
    events::{self, EVENT},
    row::USER,
};
use crate::store::{Conversation, Member, Membership, Millis, StoreError};

pub(super) async fn last_seq<C: ConnectionTrait>(db: &Db<'_, C>, log: LogId) -> Result<Option<i64>, StoreError> {
    let row = db.row("SELECT last_seq FROM log WHERE id = ?", vec![log.value()]).await?;
    row.map(|row| row.int(0)).transpose()
}

pub(super) async fn last_seqs<C: ConnectionTrait>(
    db: &Db<'_, C>,
    logs: &[LogId],
) -> Result<Vec<(LogId, i64)>, StoreError> {
    let keys: BTreeSet<LogId> = logs.iter().copied().collect();
    let keys = keys.iter().map(|log| [log.value()]).collect();
    let rows = db.rows_in("SELECT id, last_seq FROM log WHERE", ["id"], keys, "").await?;
    rows.iter().map(|row| Ok((row.id(0)?, row.int(1)?))).collect()
}

pub(super) async fn memberships<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
) -> Result<Vec<Membership>, StoreError> {
    let sql = "SELECT l.id, l.last_seq, l.user_a, l.user_b FROM member m JOIN log l ON l.id = m.log_id \
               WHERE m.user_id = ?";
    let rows = db.rows(sql, vec![user.value()]).await?;
    rows.iter()
        .map(|row| {
            let pair = [row.id_or_null(2)?, row.id_or_null(3)?];
            let peer = pair.into_iter().flatten().find(|one| *one != user);
            Ok(Membership { log: row.id(0)?, last_seq: row.int(1)?, peer })
        })
        .collect()
}

pub(super) async fn page<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    only: Option<&[LogId]>,
    after: Option<(Millis, LogId)>,
    limit: u32,
) -> Result<Vec<Conversation>, StoreError> {
    let mut page = match only {
        None => list(db, user, None, after, limit).await?,
        Some(only) => {
            let mut page = Vec::new();
            for ids in only.chunks(IDS) {
                page.append(&mut list(db, user, Some(ids), after, limit).await?);
            }
            page
        }
    };
    if only.is_some_and(|only| only.len() > IDS) {
        page.sort_by_key(|one| std::cmp::Reverse((one.last_event.as_ref().map_or(0, |event| event.time_ms), one.log)));
    }
    page.truncate(limit as usize);
    others(db, user, &mut page).await?;
    unread(db, user, &mut page).await?;
    Ok(page)
}

/// A page without what has to be counted.
async fn list<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    only: Option<&[LogId]>,
    after: Option<(Millis, LogId)>,
    limit: u32,
) -> Result<Vec<Conversation>, StoreError> {
    let mut values = vec![user.value()];
    let mut condition = String::new();
    if let Some(only) = only {
        condition += &format!(" AND m.log_id IN ({})", placeholders(only.len()));
        values.extend(only.iter().map(|log| log.value()));
    }
    if let Some((time, log)) = after {
        condition += " AND (l.last_ms < ? OR (l.last_ms = ? AND l.id < ?))";
        values.extend([time.into(), time.into(), log.value()]);
    }
    values.extend([i64::from(limit).into(), user.value()]);
    // The inner query picks the page by narrow rows; only the page's rows fetch peers and payloads.
    let sql = format!(
        "SELECT p.id, p.title, p.member_count, p.writable, p.delivered_seq, p.read_seq, p.from_seq, p.last_seq, \
         {USER}, {EVENT} \
         FROM (SELECT l.*, m.delivered_seq, m.read_seq, m.from_seq FROM member m JOIN log l ON l.id = m.log_id \
               WHERE m.user_id = ?{condition} ORDER BY l.last_ms DESC, l.id DESC LIMIT ?) AS p \
         LEFT JOIN account a ON a.id = CASE WHEN p.user_a = ? THEN p.user_b ELSE p.user_a END \
         LEFT JOIN event e ON e.log_id = p.id AND e.seq = p.last_seq \
         ORDER BY p.last_ms DESC, p.id DESC"
    );
    db.rows(sql, values).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Conversation, StoreError> {
    let log = row.id(0)?;
    let peer = row.id_or_null::<UserId>(8)?;
    let last = row.int_or_null(13)?;
    Ok(Conversation {
        log,
        title: row.text_or_null(1)?,
        member_count: u32::try_from(row.int(2)?).unwrap_or(u32::MAX),
        writable: row.int(3)? != 0,
        delivered: row.int(4)?,
        read: row.int(5)?,
        from_seq: row.int(6)?,
        last_seq: row.int(7)?,
        peer: peer.map(|_| row.user(8)).transpose()?,
        last_event: last.map(|_| events::read(row, log, 13)).transpose()?,
        others_delivered: 0,
        others_read: 0,
        unread: 0,
    })
}

/// Fills in the lowest marks of the others.
async fn others<C: ConnectionTrait>(db: &Db<'_, C>, user: UserId, page: &mut [Conversation]) -> Result<(), StoreError> {
    let keys = page.iter().filter(|one| with_marks(one.member_count)).map(|one| [one.log.value()]).collect();
    let head = "SELECT log_id, user_id, delivered_seq, read_seq FROM member WHERE";
    let mut lowest: HashMap<LogId, (i64, i64)> = HashMap::new();
    for row in db.rows_in(head, ["log_id"], keys, "").await? {
        if row.id::<UserId>(1)? != user {
            let (delivered, read) = lowest.entry(row.id(0)?).or_insert((i64::MAX, i64::MAX));
            *delivered = (*delivered).min(row.int(2)?);
            *read = (*read).min(row.int(3)?);
        }
    }
    for one in page {
        (one.others_delivered, one.others_read) = lowest.get(&one.log).copied().unwrap_or_default();
    }
    Ok(())
}

/// Fills in how many messages of others are unread.
async fn unread<C: ConnectionTrait>(db: &Db<'_, C>, user: UserId, page: &mut [Conversation]) -> Result<(), StoreError> {
    for one in page.iter_mut().filter(|one| one.read < one.last_seq) {
        let sql = format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM event WHERE log_id = ? AND seq > ? AND body = {MESSAGE} \
             AND sender_id <> ? LIMIT {MAX_UNREAD}) AS t"
        );
        let row = db.row(sql, vec![one.log.value(), one.read.into(), user.value()]).await?;
        one.unread = row.map_or(Ok(0), |row| row.int(0))?.try_into().unwrap_or(MAX_UNREAD);
    }
    Ok(())
}

pub(super) async fn members<C: ConnectionTrait>(
    db: &Db<'_, C>,
    log: LogId,
    after: Option<(Millis, UserId)>,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    let (time, user): (Millis, Value) = match after {
        Some((time, user)) => (time, user.value()),
        None => (i64::MIN, Vec::new().into()),
    };
    let sql = format!(
        "SELECT {MEMBER}, {USER} FROM member m JOIN account a ON a.id = m.user_id JOIN log l ON l.id = m.log_id \
         WHERE m.log_id = ? AND m.joined_ms >= ? AND (m.joined_ms > ? OR m.user_id > ?) \
         ORDER BY m.joined_ms, m.user_id LIMIT ?"
    );
    let values = vec![log.value(), time.into(), time.into(), user, i64::from(limit).into()];
    db.rows(sql, values).await?.iter().map(read_listed).collect()
}

/// Past the members with marks nobody is shown the others': one without the other would contradict "read <= delivered".
fn read_listed(row: &Row) -> Result<Member, StoreError> {
    let member = read_member(row)?;
    Ok(if keeps_marks(row)? { member } else { Member { read: 0, ..member } })
}

pub(super) async fn member<C: ConnectionTrait>(
    db: &Db<'_, C>,
    log: LogId,
    user: UserId,
) -> Result<Option<Member>, StoreError> {
    let sql = format!(
        "SELECT {MEMBER}, {USER} FROM member m JOIN account a ON a.id = m.user_id JOIN log l ON l.id = m.log_id \
         WHERE m.log_id = ? AND m.user_id = ?"
    );
    let row = db.row(sql, vec![log.value(), user.value()]).await?;
    row.as_ref().map(read_member).transpose()
}

fn read_member(row: &Row) -> Result<Member, StoreError> {
    let keeps_marks = keeps_marks(row)?;
    Ok(Member {
        joined_ms: row.int(0)?,
        from_seq: row.int(1)?,
        delivered: if keeps_marks { row.int(2)? } else { 0 },
        read: row.int(3)?,
        user: row.user(5)?,
    })
}

fn keeps_marks(row: &Row) -> Result<bool, StoreError> {
    Ok(with_marks(u32::try_from(row.int(4)?).unwrap_or(u32::MAX)))
}

fn with_marks(member_count: u32) -> bool {
    member_count as usize <= MAX_MEMBERS_WITH_MARKS
}

const MEMBER: &str = "m.joined_ms, m.from_seq, m.delivered_seq, m.read_seq, l.member_count";

/// The number of `gogochat.v1.Event`'s field `message`.
const MESSAGE: i64 = 10;

/// Unread messages are counted up to here.
const MAX_UNREAD: u32 = 1_000;

/// Conversations asked for by id in one statement.
const IDS: usize = 1_000;
