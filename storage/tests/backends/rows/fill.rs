//! A store so full that a statement which reads more than it should cannot hide: many rows in each table,
//! and many that are the same user's, the same conversation's.

use gogochat_proto::ids::{DeviceId, LogId, UserId};
use gogochat_storage::store::Hash;
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait as _};
use uuid::Uuid;

use crate::contract::store::NOW;

/// Rows of each large table; `GOGOCHAT_ROWS`, for a million by command.
pub(super) fn rows() -> usize {
    std::env::var("GOGOCHAT_ROWS").map_or(20_000, |rows| rows.parse().unwrap())
}

pub(super) fn user(n: usize) -> UserId {
    id(1, n).into()
}

pub(super) fn device(n: usize) -> DeviceId {
    id(2, n).into()
}

/// The direct conversation of the first user and this one.
pub(super) fn direct(n: usize) -> LogId {
    id(3, n).into()
}

/// Of three.
pub(super) fn group(n: usize) -> LogId {
    id(4, n).into()
}

/// As many events as there are rows; every other is silent.
pub(super) fn long() -> LogId {
    id(5, 0).into()
}

/// A group of [`CROWD`].
pub(super) fn large() -> LogId {
    id(6, 0).into()
}

pub(super) fn hash(kind: u8, n: usize) -> Hash {
    let mut hash = [kind; 32];
    hash[..16].copy_from_slice(id(kind, n).as_bytes());
    hash
}

fn id(kind: u8, n: usize) -> Uuid {
    Uuid::from_u128((u128::from(kind) << 120) | n as u128)
}

/// Who are contacts of the first user, and have a conversation with them.
pub(super) const FRIENDS: usize = 300;
/// Groups of the first user and two friends.
pub(super) const GROUPS: usize = 100;
pub(super) const CROWD: usize = 5_000;
/// Devices of the first user.
pub(super) const DEVICES: usize = 50;
/// Before the first position of the feed.
pub(super) const FIRST: i64 = 1 << 41;

/// Fills an empty store, past it.
pub(super) async fn fill(db: &DatabaseConnection) {
    let all = rows();
    assert!(all > 2 * CROWD, "too few");
    let (now, end) = (NOW, FIRST + all as i64);
    let x = |id: Uuid| format!("X'{:032x}'", id.as_u128());
    let h = |hash: Hash| format!("X'{}'", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let (u, d) = (|n: usize| x(user(n).uuid()), |n: usize| x(device(n).uuid()));
    let log = |id: LogId| x(id.uuid());

    let accounts = |n: usize| format!("{}, 'user{n:08}', 'Name {n:08}', 'hash', {now}", u(n));
    insert(db, "account (id, name, display_name, password_hash, created_ms)", all, accounts).await;
    insert(db, "name_word (word, user_id)", all, |n| format!("'name {n:08}', {}", u(n))).await;
    let owner = |n: usize| if n < DEVICES { 0 } else { n };
    let devices = |n: usize| {
        let until = now + 1_000_000;
        format!(
            "{}, {}, 'Device', {now}, {now}, {}, {until}, {}, {until}, 1",
            d(n),
            u(owner(n)),
            h(hash(10, n)),
            h(hash(11, n))
        )
    };
    let columns = "id, user_id, name, created_ms, last_seen_ms, access_hash, access_expires_ms, refresh_hash, refresh_expires_ms, generation";
    insert(db, &format!("device ({columns})"), all, devices).await;
    // Of the first device as many as it exchanges in three weeks.
    let of = |n: usize| if n < 2_000 { 0 } else { n };
    let spent = |n: usize| format!("{}, {}, 0, {now}, {}", h(hash(12, n)), d(of(n)), now + 1_000_000);
    insert(db, "spent_refresh (refresh_hash, device_id, generation, spent_ms, expires_ms)", all, spent).await;
    let gone = |n: usize| format!("{}, {}, {}, {}", n + 1, x(id(7, n)), u(n), now + 1_000_000);
    insert(db, "signed_out (number, device_id, user_id, until_ms)", all, gone).await;
    let audit = |n: usize| {
        let (actor, subject) = (u(if n.is_multiple_of(2) { 0 } else { n }), u(if n.is_multiple_of(3) { 0 } else { n }));
        format!("{}, {now}, {}, {actor}, {subject}, '', ''", x(id(8, n)), 1 + n % 10)
    };
    insert(db, "audit (id, time_ms, act, actor_id, subject_id, address, detail)", all, audit).await;
    let invitations = |n: usize| format!("{}, {}, 1", h(hash(9, n)), now + 1_000_000);
    insert(db, "invitation (code, until_ms, uses_left)", all, invitations).await;

    // Of each user their own, conversations of the first, and two that are long and large.
    let columns = "log (id, kind, last_seq, last_ms, member_count, writable, title, user_a, user_b, silent_events, counted_seq, moved, fed_seq, marked)";
    insert(db, columns, all, |n| format!("{}, 0, 1, {now}, 0, 0, NULL, NULL, NULL, 0, 0, {end}, 1, 0", u(n))).await;
    let directs = |n: usize| {
        let (id, moved) = (log(direct(n + 1)), FIRST + n as i64);
        format!("{id}, 1, 1, {now}, 2, 1, NULL, {}, {}, 0, 1, {moved}, 1, {moved}", u(0), u(n + 1))
    };
    insert(db, columns, FRIENDS, directs).await;
    let groups = |n: usize| {
        let (id, moved) = (log(group(n)), FIRST + (FRIENDS + n) as i64);
        format!("{id}, 2, 1, {now}, 3, 1, 'Group', NULL, NULL, 0, 1, {moved}, 1, {moved}")
    };
    insert(db, columns, GROUPS, groups).await;
    let silent = all / 2;
    let long_row = |_: usize| {
        format!("{}, 2, {all}, {now}, 3, 1, 'Long', NULL, NULL, {silent}, {all}, {end}, {all}, {end}", log(long()))
    };
    insert(db, columns, 1, long_row).await;
    let large_row = |_: usize| {
        format!("{}, 2, 1, {now}, {CROWD}, 1, 'Large', NULL, NULL, 0, 1, {end}, 1, {}", log(large()), i64::MAX)
    };
    insert(db, columns, 1, large_row).await;

    let columns = "member (log_id, user_id, joined_ms, from_seq, delivered_seq, read_seq, moved, large, role)";
    let member = |id: LogId, n: usize, read: usize, moved: i64, large: u8| {
        // The first user is the owner.
        let role = if n == 0 { 2 } else { 0 };
        format!("{}, {}, {now}, 1, {read}, {read}, {moved}, {large}, {role}", log(id), u(n))
    };
    let of_direct = |n: usize| {
        member(direct(n / 2 + 1), if n.is_multiple_of(2) { 0 } else { n / 2 + 1 }, 1, FIRST + (n / 2) as i64, 0)
    };
    insert(db, columns, 2 * FRIENDS, of_direct).await;
    insert(db, columns, 3 * GROUPS, |n| member(group(n / 3), n % 3, 1, FIRST + (FRIENDS + n / 3) as i64, 0)).await;
    insert(db, columns, 3, |n| member(long(), n, if n == 2 { all } else { 1 }, end, 0)).await;
    insert(db, columns, CROWD, |n| member(large(), n, 1, end, 1)).await;

    let columns = "event (log_id, seq, body, time_ms, sender_id, device_id, client_msg_id, payload)";
    let event =
        |id: LogId, seq: usize, body: u8| format!("{}, {seq}, {body}, {now}, {}, NULL, NULL, X'520301'", log(id), u(1));
    insert(db, columns, all, |n| event(long(), n + 1, if n.is_multiple_of(2) { 10 } else { 12 })).await;
    insert(db, columns, FRIENDS, |n| event(direct(n + 1), 1, 10)).await;
    insert(db, columns, GROUPS, |n| event(group(n), 1, 10)).await;
    insert(db, columns, 1, |_| event(large(), 1, 10)).await;
    insert(db, columns, all, |n| event(user(n).into(), 1, 20)).await;
    let silent = |n: usize| format!("{}, {}, {}", log(long()), 2 * (n + 1), n + 1);
    insert(db, "silent_event (log_id, seq, number)", all / 2, silent).await;
    let columns = "sent (client_msg_id, log_id, sender_id, device_id, request_hash, seq, time_ms, added)";
    let sent = |n: usize| {
        let by = if n.is_multiple_of(2) { 0 } else { n };
        format!("{}, {}, {}, {}, {}, {n}, {now}, 0", x(id(13, n)), log(long()), u(by), d(by), h(hash(14, n)))
    };
    insert(db, columns, all, sent).await;
    let columns = "contact (user_id, peer_id, state, note, since_ms, log_id)";
    let friends = |n: usize| {
        let (one, other) = if n.is_multiple_of(2) { (0, n / 2 + 1) } else { (n / 2 + 1, 0) };
        format!("{}, {}, 3, '', {now}, {}", u(one), u(other), log(direct(n / 2 + 1)))
    };
    insert(db, columns, 2 * FRIENDS, friends).await;
    // Everybody has asked the next one.
    insert(db, columns, all - 2, |n| format!("{}, {}, 1, '', {now}, NULL", u(n + 1), u(n + 2))).await;
    let feed = |n: usize| format!("{}, X'{:032x}0100'", FIRST + 1 + n as i64, long().uuid().as_u128());
    insert(db, "feed (position, entries)", all, feed).await;
    db.execute_unprepared(&format!("UPDATE history SET floor = {end}")).await.unwrap();
}

async fn insert(db: &DatabaseConnection, table: &str, count: usize, row: impl Fn(usize) -> String) {
    let transaction = db.begin().await.unwrap();
    for first in (0..count).step_by(STATEMENT) {
        let rows: Vec<_> = (first..count.min(first + STATEMENT)).map(|n| format!("({})", row(n))).collect();
        let sql = format!("INSERT INTO {table} VALUES {}", rows.join(", "));
        transaction.execute_unprepared(&sql).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

const STATEMENT: usize = 500;
