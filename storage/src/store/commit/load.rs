//! Loads the rows of a batch: one statement a table, for up to 256 keys each.

use std::collections::BTreeSet;

use gogochat_proto::{
    ids::{LogId, UserId},
    v1,
};
use sea_orm::{ConnectionTrait, Value};

use super::{
    feed::writes_log,
    invites,
    keys::{Keys, Pair},
    member_row::{MEMBER, read_member},
    roles,
    state::{Cell, Contact, FeedEnd, Log, Sent, State, refusal},
};
use crate::store::{
    History, Joining, Mark, Posting, Settings, StoreError,
    entity::{FixedBytes, contact, history::ROW},
    sql::{Db, Row},
};

/// Loads them, locked against other transactions where the database needs to be told.
pub(super) async fn load<C: ConnectionTrait>(db: &Db<'_, C>, keys: Keys) -> Result<State, StoreError> {
    load_with(db, keys, db.dialect.lock).await
}

/// Looks at them, as they are at this moment.
pub(super) async fn look<C: ConnectionTrait>(db: &Db<'_, C>, keys: Keys) -> Result<State, StoreError> {
    load_with(db, keys, "").await
}

async fn load_with<C: ConnectionTrait>(db: &Db<'_, C>, mut keys: Keys, lock: &str) -> Result<State, StoreError> {
    let mut loaded = State::default();

    let directs = load_directs(db, &keys.pairs, &mut loaded).await?;
    keys.logs.extend(directs);
    invites::find(db, &mut keys).await?;
    load_logs(db, &keys.logs, lock, &mut loaded).await?;
    if !lock.is_empty() {
        // Where the wait was for one that made two users contacts, their conversation is there only now.
        keys.pairs.retain(|pair| !loaded.directs.contains_key(pair));
        let directs = load_directs(db, &keys.pairs, &mut loaded).await?;
        load_logs(db, &directs, lock, &mut loaded).await?;
    }

    let members = keys.members.iter().map(two).collect();
    for row in db.rows_in(&format!("SELECT {MEMBER} FROM member WHERE"), ["log_id", "user_id"], members, lock).await? {
        loaded.members.insert((row.id(0)?, row.id(1)?), Cell::stored(read_member(&row)?));
    }

    roles::load(db, &keys, &mut loaded).await?;
    invites::load(db, &keys, &mut loaded).await?;

    let sent = keys.sent.iter().map(|key| [key.3.value(), key.0.value(), key.1.value(), key.2.value()]).collect();
    let columns = ["client_msg_id", "log_id", "sender_id", "device_id"];
    for row in db.rows_in(&format!("SELECT {SENT} FROM sent WHERE"), columns, sent, "").await? {
        loaded.sent.insert((row.id(0)?, row.id(1)?, row.id(2)?, row.id(3)?), Cell::stored(read_sent(&row)?));
    }

    let contacts = keys.contacts.iter().map(two).collect();
    let columns = ["user_id", "peer_id"];
    for row in db.rows_in(&format!("SELECT {CONTACT} FROM contact WHERE"), columns, contacts, lock).await? {
        loaded.contacts.insert((row.id(0)?, row.id(1)?), Cell::stored(read_contact(&row)?));
    }

    let blocks = keys.blocks.iter().map(two).collect();
    for row in db.rows_in("SELECT user_id, peer_id, since_ms FROM block WHERE", columns, blocks, "").await? {
        loaded.blocks.insert((row.id(0)?, row.id(1)?), Cell::stored(row.int(2)?));
    }

    let people = keys.people.iter().map(|user| [user.value()]).collect();
    for row in db.rows_in("SELECT id, name, display_name, signature FROM account WHERE", ["id"], people, "").await? {
        let id: UserId = row.id(0)?;
        let person =
            v1::Person { id: id.to_string(), name: row.text(1)?, display_name: row.text(2)?, signature: row.text(3)? };
        loaded.people.insert(id, person);
    }
    Ok(loaded)
}

/// Finds the direct conversations of pairs.
async fn load_directs<C: ConnectionTrait>(
    db: &Db<'_, C>,
    pairs: &BTreeSet<Pair>,
    loaded: &mut State,
) -> Result<BTreeSet<LogId>, StoreError> {
    let mut logs = BTreeSet::new();
    let pairs = pairs.iter().map(two).collect();
    for row in db.rows_in("SELECT id, user_a, user_b FROM log WHERE", ["user_a", "user_b"], pairs, "").await? {
        let log = row.id(0)?;
        loaded.directs.insert((row.id(1)?, row.id(2)?), log);
        logs.insert(log);
    }
    Ok(logs)
}

/// Locks logs, the lowest id first: who has a log's row may change whatever belongs to the log. Before
/// them it takes hold of the feed's floor, which is raised only while no commit holds it.
async fn load_logs<C: ConnectionTrait>(
    db: &Db<'_, C>,
    logs: &BTreeSet<LogId>,
    lock: &str,
    loaded: &mut State,
) -> Result<(), StoreError> {
    let lock = if lock.is_empty() { lock } else { db.dialect.lock_logs };
    read_logs(db, logs, lock, loaded).await
}

async fn read_logs<C: ConnectionTrait>(
    db: &Db<'_, C>,
    logs: &BTreeSet<LogId>,
    lock: &str,
    loaded: &mut State,
) -> Result<(), StoreError> {
    let logs = logs.iter().map(|log| [log.value()]).collect();
    let last = db.dialect.last_position;
    let head = format!("SELECT {LOG}, floor, {last} FROM history CROSS JOIN log WHERE history.id = {ROW} AND");
    for row in db.rows_in(&head, ["log.id"], logs, lock).await? {
        loaded.feed = Some(FeedEnd { floor: row.int(18)?, last: row.int_or_null(19)? });
        let (id, log) = (row.id(0)?, read_log(&row)?);
        if log.fed_seq < log.last_seq {
            loaded.unfed.insert(id);
        }
        loaded.logs.insert(id, Cell::stored(log));
    }
    Ok(())
}

/// Loads what marks need: the members' rows, locked, and those of their logs, of which only the few are
/// locked that have to be written. It holds the floor, so that what it finds to be above it stays so.
/// It waits for no lock of members or logs: a commit may wait for this, so this must not wait for a commit.
/// Also gives those marks for which somebody else holds a row.
pub(super) async fn load_marks<C: ConnectionTrait>(
    db: &Db<'_, C>,
    marks: &[Mark],
) -> Result<(State, BTreeSet<(LogId, UserId)>), StoreError> {
    let mut loaded = State::default();
    let logs: BTreeSet<_> = marks.iter().map(|mark| mark.log).collect();
    read_logs(db, &logs, db.dialect.hold_floor, &mut loaded).await?;
    let mut keys: BTreeSet<_> = marks.iter().map(|mark| (mark.log, mark.user)).collect();
    let mut held = BTreeSet::new();
    let is_locking = !db.dialect.lock.is_empty();
    if is_locking {
        let floor = loaded.feed.map_or(0, |feed| feed.floor);
        let written: BTreeSet<_> =
            logs.into_iter().filter(|log| loaded.log(*log).is_some_and(|row| writes_log(row, floor))).collect();
        loaded.logs.retain(|log, _| !written.contains(log));
        read_logs(db, &written, db.dialect.lock_free_logs, &mut loaded).await?;
        (keys, held) = keys.into_iter().partition(|(log, _)| loaded.logs.contains_key(log) || !written.contains(log));
    }
    let tail = if is_locking { format!("{} SKIP LOCKED", db.dialect.lock) } else { String::new() };
    let head = format!("SELECT {MEMBER} FROM member WHERE");
    let columns = ["log_id", "user_id"];
    for row in db.rows_in(&head, columns, keys.iter().map(two).collect(), &tail).await? {
        loaded.members.insert((row.id(0)?, row.id(1)?), Cell::stored(read_member(&row)?));
    }
    let missing: Vec<_> = keys.iter().filter(|key| is_locking && !loaded.members.contains_key(key)).map(two).collect();
    for row in db.rows_in("SELECT log_id, user_id FROM member WHERE", columns, missing, "").await? {
        held.insert((row.id(0)?, row.id(1)?));
    }
    Ok((loaded, held))
}

/// Those of the logs that another transaction holds: there, and not to be locked at once.
pub(super) async fn held_by_others<C: ConnectionTrait>(
    db: &Db<'_, C>,
    logs: &BTreeSet<LogId>,
) -> Result<BTreeSet<LogId>, StoreError> {
    let ids = async |tail: &str| {
        let logs = logs.iter().map(|log| [log.value()]).collect();
        let rows = db.rows_in("SELECT id FROM log WHERE", ["id"], logs, tail).await?;
        rows.iter().map(|row| row.id(0)).collect::<Result<BTreeSet<LogId>, _>>()
    };
    let free = ids(&format!("{} SKIP LOCKED", db.dialect.lock)).await?;
    Ok(&ids("").await? - &free)
}

fn two<A: FixedBytes, B: FixedBytes>(key: &(A, B)) -> [Value; 2] {
    [key.0.value(), key.1.value()]
}

fn read_log(row: &Row) -> Result<Log, StoreError> {
    Ok(Log {
        kind: row.get(1)?,
        last_seq: row.int(2)?,
        last_ms: row.int(3)?,
        member_count: row.int(4)?,
        writable: row.int(5)? != 0,
        title: row.text_or_null(6)?,
        pair: row.id_or_null(7)?.zip(row.id_or_null(8)?),
        silent_events: row.int(9)?,
        counted_seq: row.int(10)?,
        moved: row.int(11)?,
        marked: row.int(12)?,
        fed_seq: row.int(13)?,
        settings: Settings {
            history: History::numbered(row.get(14)?),
            posting: Posting::numbered(row.get(15)?),
            slow_ms: row.int(16)?,
            joining: Joining::numbered(row.get(17)?),
        },
        settings_changed: false,
    })
}

fn read_sent(row: &Row) -> Result<Sent, StoreError> {
    Ok(Sent {
        request_hash: row.hash(4)?,
        seq: row.int(5)?,
        time_ms: row.int(6)?,
        added: row.int(7)?,
        target: row.id_or_null(8)?,
        refused: refusal(row.get(9)?),
    })
}

fn read_contact(row: &Row) -> Result<Contact, StoreError> {
    Ok(Contact {
        state: row.get::<contact::State>(2)?.into(),
        note: row.text(3)?,
        since_ms: row.int(4)?,
        conversation: row.id_or_null(5)?,
    })
}

const LOG: &str = "log.id, kind, last_seq, last_ms, member_count, writable, title, user_a, user_b, silent_events, \
                   counted_seq, moved, marked, fed_seq, history, posting, slow_ms, joining";
const SENT: &str = "log_id, sender_id, device_id, client_msg_id, request_hash, seq, time_ms, added, target, refused";
const CONTACT: &str = "user_id, peer_id, state, note, since_ms, log_id";
