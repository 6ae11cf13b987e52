//! Gives a commit its position in the feed, and writes it to the members' rows of what has moved.
//!
//! A member's row is written only by the first commit behind each floor, so most messages write no
//! row for each member. Whoever has seen everything up to a floor finds what has moved since: the
//! rows whose position lies above it. Of large groups the log's row alone is written.

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_MEMBERS_WITH_MARKS,
};
use sea_orm::ConnectionTrait;

use super::state::{Cell, FeedEnd, Kind, Log, State};
use crate::store::{
    StoreError,
    entity::{FixedBytes, log::LARGE},
    feed::{FeedEntry, encode},
    sql::Db,
};

/// The members' rows that a commit moves.
#[derive(Debug, Default)]
pub(super) struct Moves {
    position: i64,
    /// Of all members of these.
    logs: Vec<LogId>,
    /// Of all members of these, which have become large.
    grown: Vec<LogId>,
    members: Vec<(LogId, UserId)>,
    /// Large ones in which something moved that is no event: their own rows say so.
    large: Vec<LogId>,
    /// Of members of these that another program has added, which gives them no position.
    strays: Vec<LogId>,
    /// The same in large ones.
    strays_in_large: Vec<LogId>,
}

/// Draws the commit's position, where it changes what anybody sees, and notes it in the rows.
pub(super) async fn draw<C: ConnectionTrait>(db: &Db<'_, C>, state: &mut State) -> Result<Moves, StoreError> {
    let Some(feed) = state.feed else { return Ok(Moves::default()) };
    let mut moves = due(state, feed.floor);
    let entries = entries(state);
    if entries.is_empty() && moves.is_empty() {
        return Ok(moves);
    }
    for entry in entries.iter().filter(|entry| state.unfed.contains(&entry.log)) {
        let is_large = state.log(entry.log).is_some_and(|row| row.marked == LARGE);
        if is_large { &mut moves.strays_in_large } else { &mut moves.strays }.push(entry.log);
    }
    moves.position = place(db, feed, encode(&entries)).await?;
    for entry in &entries {
        if let Some(log) = state.change_log(entry.log) {
            log.moved = moves.position;
            log.fed_seq = entry.to_seq;
        }
    }
    for log in &moves.large {
        if let Some(log) = state.change_log(*log) {
            log.moved = moves.position;
        }
    }
    for (logs, marked) in [(&moves.logs, moves.position), (&moves.grown, LARGE)] {
        for log in logs {
            if let Some(log) = state.change_log(*log) {
                log.marked = marked;
            }
        }
    }
    join(state, moves.position);
    // Who is in a new conversation has a new row.
    let stored = |log: &LogId| state.logs.get(log).is_some_and(|cell| cell.stored);
    moves.logs.retain(stored);
    moves.grown.retain(stored);
    Ok(moves)
}

/// Whether what moves in a log has to be written to its row and all members' rows: behind each floor it
/// is, once.
pub(super) fn writes_log(log: &Log, floor: i64) -> bool {
    let large = log.marked == LARGE && log.moved <= floor;
    log.kind != Kind::Own && (log.marked <= floor || large || has_grown(log))
}

/// Whether it has become large, and no commit has said so yet.
fn has_grown(log: &Log) -> bool {
    log.marked != LARGE && log.member_count > MAX_MEMBERS_WITH_MARKS as i64
}

/// What was touched, and was not said to have moved since the floor.
fn due(state: &State, floor: i64) -> Moves {
    let mut moves = Moves::default();
    for log in &state.touched {
        let Some(row) = state.log(*log).filter(|row| row.kind != Kind::Own) else { continue };
        if row.marked == LARGE {
            moves.large.extend((row.moved <= floor).then_some(*log));
        } else if has_grown(row) {
            moves.grown.push(*log);
        } else if row.marked <= floor {
            moves.logs.push(*log);
        }
    }
    let behind = |(log, user): &&(LogId, UserId)| state.member(*log, *user).is_some_and(|row| row.moved <= floor);
    moves.members.extend(state.touched_members.iter().filter(behind));
    moves
}

/// Members' rows that a commit has to move where it is the first to touch this log.
pub(super) fn rows_to_move(state: &State, log: LogId) -> usize {
    let (Some(feed), Some(row), false) = (state.feed, state.log(log), state.touched.contains(&log)) else { return 0 };
    let is_due = row.marked <= feed.floor || row.member_count > MAX_MEMBERS_WITH_MARKS as i64;
    if is_due && row.kind != Kind::Own && row.marked != LARGE {
        usize::try_from(row.member_count).unwrap_or(0)
    } else {
        0
    }
}

/// What the feed lacks of each log that the commit changes: what it appends, and before that what a
/// program has that writes no feed.
fn entries(state: &State) -> Vec<FeedEntry> {
    let entry = |(log, cell): (&LogId, &Cell<Log>)| {
        let row = cell.now.as_ref().filter(|row| cell.changed && row.fed_seq < row.last_seq)?;
        Some(FeedEntry { log: *log, from_seq: row.fed_seq + 1, to_seq: row.last_seq })
    };
    let mut entries: Vec<_> = state.logs.iter().filter_map(entry).collect();
    entries.sort_unstable_by_key(|entry| entry.log);
    entries
}

async fn place<C: ConnectionTrait>(db: &Db<'_, C>, feed: FeedEnd, entries: Vec<u8>) -> Result<i64, StoreError> {
    if db.dialect.numbers {
        return db.insert_numbered("INSERT INTO feed (entries) VALUES (?)", vec![entries.into()]).await;
    }
    let position = feed.last.unwrap_or(feed.floor) + 1;
    let row = vec![position.into(), entries.into()];
    db.execute("INSERT INTO feed (position, entries) VALUES (?, ?)", row).await?;
    Ok(position)
}

/// Who has joined is told of the conversation from here on.
fn join(state: &mut State, position: i64) {
    let State { members, logs, .. } = state;
    for ((log, _), cell) in members {
        let Some(member) = cell.now.as_mut().filter(|member| member.fresh) else { continue };
        let log = logs.get(log).and_then(|cell| cell.now.as_ref());
        member.moved = position;
        member.large = log.is_some_and(|log| log.marked == LARGE);
    }
}

impl Moves {
    fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.grown.is_empty() && self.members.is_empty() && self.large.is_empty()
    }

    /// Writes them: before the rows of those who join, which have it already.
    pub(super) async fn write<C: ConnectionTrait>(self, db: &Db<'_, C>) -> Result<(), StoreError> {
        let logs = |logs: Vec<LogId>| logs.into_iter().map(|log| [log.value()]).collect();
        let position = || self.position.into();
        db.update_in("member", "moved = ?", position(), ["log_id"], logs(self.logs)).await?;
        db.update_in("member", "large = 1, moved = ?", position(), ["log_id"], logs(self.grown)).await?;
        let strays = |logs: Vec<LogId>| logs.into_iter().map(|log| [log.value(), 0_i64.into()]).collect();
        db.update_in("member", "moved = ?", position(), ["log_id", "moved"], strays(self.strays)).await?;
        let set = "large = 1, moved = ?";
        db.update_in("member", set, position(), ["log_id", "moved"], strays(self.strays_in_large)).await?;
        let members = self.members.iter().map(|(log, user)| [log.value(), user.value()]).collect();
        db.update_in("member", "moved = ?", position(), ["log_id", "user_id"], members).await
    }
}
