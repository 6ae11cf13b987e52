//! Writes what a batch changed, in the order of keys, many rows a statement.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use gogochat_proto::ids::{LogId, UserId};
use sea_orm::{ConnectionTrait, Value};

use super::{
    feed::Moves,
    invites,
    keys::SentKey,
    payload,
    state::{Cell, Contact, Log, Member, Sent, State, remembered},
};
use crate::store::{
    Event, Millis, Settings, StoreError,
    entity::{FixedBytes, contact},
    sql::Db,
};

/// Writes it.
pub(super) async fn write<C: ConnectionTrait>(db: &Db<'_, C>, state: State, moves: Moves) -> Result<(), StoreError> {
    let (logs, members) = (changed(state.logs), changed(state.members));
    let (settings, standings) = (settings(&logs), standings(&members));
    write_logs(db, logs).await?;
    write_settings(db, settings, state.notices).await?;
    moves.write(db).await?;
    write_members(db, members).await?;
    write_standings(db, standings).await?;
    invites::write(db, changed(state.invites)).await?;
    write_contacts(db, changed(state.contacts)).await?;
    write_blocks(db, changed(state.blocks)).await?;
    write_sent(db, changed(state.sent)).await?;
    write_silent_events(db, state.silent).await?;
    write_events(db, state.events).await
}

/// Writes what marks have moved.
pub(super) async fn write_marks<C: ConnectionTrait>(
    db: &Db<'_, C>,
    state: State,
    moves: Moves,
) -> Result<(), StoreError> {
    write_logs(db, changed(state.logs)).await?;
    moves.write(db).await?;
    let marks = changed(state.members).into_iter().filter_map(|((log, user), cell)| {
        let member = cell.now?;
        Some([log.value(), user.value(), member.delivered.into(), member.read.into()])
    });
    // Not as an upsert: before MySQL finds the member's row it would wait for the log's, which it locks
    // for the foreign key.
    db.update_rows("member", ["log_id", "user_id"], ["delivered_seq", "read_seq"], marks.collect()).await
}

/// The rows to write, sorted.
fn changed<K: Ord + Hash, T>(cells: HashMap<K, Cell<T>>) -> Vec<(K, Cell<T>)> {
    let mut changed: Vec<_> = cells.into_iter().filter(|(_, cell)| cell.changed).collect();
    changed.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    changed
}

/// What of groups has changed beside what every event changes: few rows, written apart.
fn settings(logs: &[(LogId, Cell<Log>)]) -> Vec<[Value; 6]> {
    let row = |(id, cell): &(LogId, Cell<Log>)| {
        let log = cell.now.as_ref().filter(|log| log.settings_changed)?;
        let Settings { history, posting, slow_ms, joining } = log.settings;
        let numbers = [history.number(), posting.number(), joining.number()].map(Value::from);
        let [history, posting, joining] = numbers;
        Some([log.title.clone().into(), history, posting, slow_ms.into(), joining, id.value()])
    };
    logs.iter().filter_map(row).collect()
}

async fn write_settings<C: ConnectionTrait>(
    db: &Db<'_, C>,
    settings: Vec<[Value; 6]>,
    notices: BTreeMap<LogId, String>,
) -> Result<(), StoreError> {
    for row in settings {
        db.execute(SET_SETTINGS, row.into()).await?;
    }
    let (none, some): (Vec<_>, Vec<_>) = notices.into_iter().partition(|(_, text)| text.is_empty());
    db.delete_in("notice", ["log_id"], none.into_iter().map(|(log, _)| [log.value()]).collect()).await?;
    let upsert = (db.dialect.upsert)(&["log_id"], &["text"]);
    let some = some.into_iter().map(|(log, text)| [log.value(), text.into()]).collect();
    db.insert("notice", ["log_id", "text"], some, &upsert).await
}

/// What of members has changed beside their marks: few rows, and an index.
fn standings(members: &[((LogId, UserId), Cell<Member>)]) -> Vec<[Value; 5]> {
    let row = |((log, user), cell): &((LogId, UserId), Cell<Member>)| {
        let member = cell.now.as_ref().filter(|member| member.standing_changed)?;
        Some([member.role.number().into(), member.muted_ms.into(), member.said_ms.into(), log.value(), user.value()])
    };
    members.iter().filter_map(row).collect()
}

async fn write_standings<C: ConnectionTrait>(db: &Db<'_, C>, standings: Vec<[Value; 5]>) -> Result<(), StoreError> {
    for row in standings {
        let set = "UPDATE member SET role = ?, muted_ms = ?, said_ms = ? WHERE log_id = ? AND user_id = ?";
        db.execute(set, row.into()).await?;
    }
    Ok(())
}

async fn write_logs<C: ConnectionTrait>(db: &Db<'_, C>, logs: Vec<(LogId, Cell<Log>)>) -> Result<(), StoreError> {
    let (mut new, mut moved) = (Vec::new(), Vec::new());
    for (id, cell) in logs {
        let Some(log) = cell.now else { continue };
        let row = [
            id.value(),
            log.kind.into(),
            log.last_seq.into(),
            log.last_ms.into(),
            log.member_count.into(),
            i64::from(log.writable).into(),
            log.title.into(),
            log.pair.map(|pair| pair.0).value(),
            log.pair.map(|pair| pair.1).value(),
            log.silent_events.into(),
            log.counted_seq.into(),
            log.moved.into(),
            log.marked.into(),
            log.fed_seq.into(),
        ];
        if cell.stored { &mut moved } else { &mut new }.push(row);
    }
    let columns = [
        "id",
        "kind",
        "last_seq",
        "last_ms",
        "member_count",
        "writable",
        "title",
        "user_a",
        "user_b",
        "silent_events",
        "counted_seq",
        "moved",
        "marked",
        "fed_seq",
    ];
    let changes = [
        "last_seq",
        "last_ms",
        "member_count",
        "writable",
        "silent_events",
        "counted_seq",
        "moved",
        "marked",
        "fed_seq",
    ];
    let upsert = (db.dialect.upsert)(&["id"], &changes);
    // Not as an upsert: MySQL would take a second conversation of the same two for the first.
    db.insert("log", columns, new, "").await?;
    db.insert("log", columns, moved, &upsert).await
}

async fn write_members<C: ConnectionTrait>(
    db: &Db<'_, C>,
    members: Vec<((LogId, UserId), Cell<Member>)>,
) -> Result<(), StoreError> {
    let (mut gone, mut new, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    for ((log, user), cell) in members {
        let fresh = cell.now.as_ref().is_none_or(|member| member.fresh);
        if cell.stored && fresh {
            gone.push([log.value(), user.value()]);
        }
        let Some(member) = cell.now else { continue };
        let row: [Value; 8] = [
            log.value(),
            user.value(),
            member.joined_ms.into(),
            member.from_seq.into(),
            member.delivered.into(),
            member.read.into(),
            member.moved.into(),
            i64::from(member.large).into(),
        ];
        if fresh { &mut new } else { &mut moved }.push(row);
    }
    let key = ["log_id", "user_id"];
    let columns = ["log_id", "user_id", "joined_ms", "from_seq", "delivered_seq", "read_seq", "moved", "large"];
    // Marks alone, so that a mark that moves touches no index.
    let upsert = (db.dialect.upsert)(&key, &["delivered_seq", "read_seq"]);
    db.delete_in("member", key, gone).await?;
    db.insert("member", columns, new, "").await?;
    db.insert("member", columns, moved, &upsert).await
}

async fn write_contacts<C: ConnectionTrait>(
    db: &Db<'_, C>,
    contacts: Vec<((UserId, UserId), Cell<Contact>)>,
) -> Result<(), StoreError> {
    let (mut gone, mut rows) = (Vec::new(), Vec::new());
    for ((user, peer), cell) in contacts {
        let Some(contact) = cell.now else {
            gone.push([user.value(), peer.value()]);
            continue;
        };
        rows.push([
            user.value(),
            peer.value(),
            contact::State::from(contact.state).into(),
            contact.note.into(),
            contact.since_ms.into(),
            contact.conversation.value(),
        ]);
    }
    let key = ["user_id", "peer_id"];
    let columns = ["user_id", "peer_id", "state", "note", "since_ms", "log_id"];
    let upsert = (db.dialect.upsert)(&key, &["state", "note", "since_ms", "log_id"]);
    db.delete_in("contact", key, gone).await?;
    db.insert("contact", columns, rows, &upsert).await
}

async fn write_blocks<C: ConnectionTrait>(
    db: &Db<'_, C>,
    blocks: Vec<((UserId, UserId), Cell<Millis>)>,
) -> Result<(), StoreError> {
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    for ((user, peer), cell) in blocks {
        match cell.now {
            Some(since_ms) if !cell.stored => new.push([user.value(), peer.value(), since_ms.into()]),
            Some(_) => {}
            None => gone.push([user.value(), peer.value()]),
        }
    }
    db.delete_in("block", ["user_id", "peer_id"], gone).await?;
    db.insert("block", ["user_id", "peer_id", "since_ms"], new, "").await
}

async fn write_sent<C: ConnectionTrait>(db: &Db<'_, C>, sent: Vec<(SentKey, Cell<Sent>)>) -> Result<(), StoreError> {
    // Nearly all were carried out: for those the column's default does, and one value less.
    let (carried_out, refused): (Vec<_>, Vec<_>) =
        sent.into_iter().partition(|(_, cell)| cell.now.as_ref().is_none_or(|sent| sent.refused.is_none()));
    let columns =
        |last| ["log_id", "sender_id", "device_id", "client_msg_id", "request_hash", "seq", "time_ms", "added", last];
    let carried_out = carried_out.into_iter().filter_map(|(key, cell)| {
        let sent = cell.now?;
        let target = sent.target.value();
        Some(sent_row(key, sent, target))
    });
    db.insert("sent", columns("target"), carried_out.collect(), "").await?;
    let refused = refused.into_iter().filter_map(|(key, cell)| {
        let sent = cell.now?;
        let number = sent.refused.and_then(remembered)?;
        Some(sent_row(key, sent, number.into()))
    });
    db.insert("sent", columns("refused"), refused.collect(), "").await
}

fn sent_row((log, sender, device, name): SentKey, sent: Sent, last: Value) -> [Value; 9] {
    [
        log.value(),
        sender.value(),
        device.value(),
        name.value(),
        sent.request_hash.to_vec().into(),
        sent.seq.into(),
        sent.time_ms.into(),
        sent.added.into(),
        last,
    ]
}

async fn write_silent_events<C: ConnectionTrait>(
    db: &Db<'_, C>,
    mut silent: Vec<(LogId, i64, i64)>,
) -> Result<(), StoreError> {
    silent.sort_unstable();
    let rows = silent.into_iter().map(|(log, seq, number)| [log.value(), seq.into(), number.into()]);
    db.insert("silent_event", ["log_id", "seq", "number"], rows.collect(), "").await
}

async fn write_events<C: ConnectionTrait>(db: &Db<'_, C>, mut events: Vec<Event>) -> Result<(), StoreError> {
    events.sort_unstable_by_key(|event| (event.log, event.seq));
    let rows = events.into_iter().map(|event| {
        [
            event.log.value(),
            event.seq.into(),
            payload::body(&event.payload).into(),
            event.time_ms.into(),
            event.sender.value(),
            event.device.value(),
            event.client_msg_id.value(),
            Vec::from(event.payload).into(),
        ]
    });
    let columns = ["log_id", "seq", "body", "time_ms", "sender_id", "device_id", "client_msg_id", "payload"];
    db.insert("event", columns, rows.collect(), "").await
}

const SET_SETTINGS: &str = "UPDATE log SET title = ?, history = ?, posting = ?, slow_ms = ?, joining = ? WHERE id = ?";
