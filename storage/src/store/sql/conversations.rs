//! What users see of their conversations, and who is in them.

use std::collections::{BTreeSet, HashMap};

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_MEMBERS_WITH_MARKS,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, JoinType, Order, QueryFilter, QueryOrder, QuerySelect, RelationTrait,
    Select,
    sea_query::{Expr, ExprTrait as _},
};

use super::{
    Db, accounts,
    keyset::behind,
    unread::{is_counted, unread},
    walk::{self, Older, Part},
};
use crate::store::{
    Conversation, Event, Lowest, LowestMarks, Member, Membership, Millis, Role, StoreError, User, Walk, Walked,
    entity::{
        Fixed, account, event,
        log::{self, peer},
        member, notice,
    },
};

pub(super) async fn last_seq<C: ConnectionTrait>(db: &Db<'_, C>, log: LogId) -> Result<Option<i64>, StoreError> {
    let last = log::Entity::find_by_id(Fixed(log)).select_only().column(log::Column::LastSeq).into_tuple::<i64>();
    db.ask(last.one(db.conn)).await
}

pub(super) async fn last_seqs<C: ConnectionTrait>(
    db: &Db<'_, C>,
    logs: &[LogId],
) -> Result<Vec<(LogId, i64)>, StoreError> {
    let logs: BTreeSet<LogId> = logs.iter().copied().collect();
    let logs: Vec<_> = logs.into_iter().map(Fixed).collect();
    let mut ends = Vec::with_capacity(logs.len());
    for part in db.parts(&logs, 1) {
        let part = log::Entity::find()
            .select_only()
            .columns([log::Column::Id, log::Column::LastSeq])
            .filter(log::Column::Id.is_in(part))
            .into_tuple::<(Fixed<LogId>, i64)>();
        ends.extend(db.ask(part.all(db.conn)).await?.into_iter().map(|(log, seq)| (log.0, seq)));
    }
    Ok(ends)
}

pub(super) async fn memberships<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
) -> Result<Vec<Membership>, StoreError> {
    let memberships = member::Entity::find()
        .select_only()
        .columns([log::Column::Id, log::Column::LastSeq, log::Column::UserA, log::Column::UserB])
        .join(JoinType::InnerJoin, member::Relation::Log.def())
        .filter(member::Column::UserId.eq(Fixed(user)))
        .into_tuple::<(Fixed<LogId>, i64, Option<Fixed<UserId>>, Option<Fixed<UserId>>)>();
    let memberships = db.ask(memberships.all(db.conn)).await?;
    let membership = |(log, last_seq, one, other): (Fixed<LogId>, _, _, _)| Membership {
        log: log.0,
        last_seq,
        peer: peer([one, other], user),
    };
    Ok(memberships.into_iter().map(membership).collect())
}

/// The next conversations of a walk, and those of them in which not all is counted.
pub(super) async fn next<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    since: i64,
    walk: Option<Walk>,
    limit: u32,
    older: &Older,
) -> Result<(Walked, Vec<LogId>), StoreError> {
    let Part { rows, walk, epoch, is_last } = walk::next(db, user, since, walk, limit, older).await?;
    let (rows, walks): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let (shown, uncounted) = show(db, user, rows).await?;
    let conversations = shown.into_iter().zip(walks).collect();
    Ok((Walked { conversations, is_last, walk, epoch }, uncounted))
}

/// Those of some conversations that a user is in, the most recently active first, and those of them in
/// which not all is counted.
pub(super) async fn named<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    only: &[LogId],
) -> Result<(Vec<Conversation>, Vec<LogId>), StoreError> {
    let mut rows = walk::of_logs(db, user, only).await?;
    rows.sort_by_key(|(_, log)| std::cmp::Reverse((log.moved, log.id)));
    rows.dedup_by_key(|(_, log)| log.id);
    show(db, user, rows).await
}

/// What a user sees of conversations, in their order, and those of them in which not all is counted.
async fn show<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    page: Vec<(member::Model, log::Model)>,
) -> Result<(Vec<Conversation>, Vec<LogId>), StoreError> {
    // A walk that turns may have one twice.
    let peers = peers(db, user, &page).await?;
    let events = last_events(db, &page).await?;
    let lowest = lowest_marks(db, user, &page).await?;
    let unread = unread(db, &page).await?;
    let (mut conversations, mut uncounted) = (Vec::with_capacity(page.len()), Vec::new());
    for ((member, log), unread) in page.into_iter().zip(unread) {
        let (others_delivered, others_read) = lowest.get(&log.id.0).copied().unwrap_or_default();
        uncounted.extend((!is_counted(&log)).then_some(log.id.0));
        let settings = log.settings();
        conversations.push(Conversation {
            log: log.id.0,
            title: log.title,
            peer: peer([log.user_a, log.user_b], user).and_then(|peer| peers.get(&peer).cloned()),
            member_count: u32::try_from(log.member_count).unwrap_or(u32::MAX),
            last_seq: log.last_seq,
            delivered: member.delivered_seq,
            read: member.read_seq,
            others_delivered,
            others_read,
            unread,
            from_seq: member.from_seq,
            writable: log.writable != 0,
            role: Role::numbered(member.role),
            settings,
            muted_ms: member.muted_ms,
            last_event: events.get(&log.id.0).cloned(),
            order: log.moved,
        });
    }
    Ok((conversations, uncounted))
}

type Page = [(member::Model, log::Model)];

/// The others of direct conversations.
async fn peers<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    page: &Page,
) -> Result<HashMap<UserId, User>, StoreError> {
    let ids: Vec<_> = page.iter().filter_map(|(_, log)| peer([log.user_a, log.user_b], user)).collect();
    Ok(accounts::by_ids(db, &ids).await?.into_iter().map(|user| (user.id, user)).collect())
}

/// The last event of each conversation.
async fn last_events<C: ConnectionTrait>(db: &Db<'_, C>, page: &Page) -> Result<HashMap<LogId, Event>, StoreError> {
    let keys: Vec<_> = page.iter().map(|(_, log)| (log.id, log.last_seq)).collect();
    let mut events = HashMap::new();
    for part in db.parts(&keys, 2) {
        let key = Expr::tuple([event::Column::LogId, event::Column::Seq].map(Expr::col));
        let these = part.into_iter().map(|(log, seq)| Expr::tuple([Expr::val(log), Expr::val(seq)]));
        let part = event::Entity::find().filter(key.is_in(these));
        let rows = db.ask(part.all(db.conn)).await?;
        events.extend(rows.into_iter().map(|row| (row.log_id.0, row.into())));
    }
    Ok(events)
}

/// The lowest marks among the others, delivered and read.
async fn lowest_marks<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    page: &Page,
) -> Result<HashMap<LogId, (i64, i64)>, StoreError> {
    let logs: Vec<_> = page.iter().filter(|(_, log)| with_marks(log)).map(|(_, log)| log.id).collect();
    let mut lowest = HashMap::new();
    for part in db.parts(&logs, 1) {
        let part = member::Entity::find()
            .select_only()
            .column(member::Column::LogId)
            .column_as(member::Column::DeliveredSeq.min(), "delivered")
            .column_as(member::Column::ReadSeq.min(), "read")
            .filter(member::Column::LogId.is_in(part))
            .filter(member::Column::UserId.ne(Fixed(user)))
            .group_by(member::Column::LogId)
            .into_tuple::<(Fixed<LogId>, i64, i64)>();
        let rows = db.ask(part.all(db.conn)).await?;
        lowest.extend(rows.into_iter().map(|(log, delivered, read)| (log.0, (delivered, read))));
    }
    Ok(lowest)
}

/// The lowest marks of the members of conversations: of each member those of the others follow.
pub(super) async fn lowest<C: ConnectionTrait>(db: &Db<'_, C>, logs: &[LogId]) -> Result<Vec<LowestMarks>, StoreError> {
    let logs: BTreeSet<_> = logs.iter().copied().collect();
    let mut lowest: HashMap<LogId, LowestMarks> = HashMap::new();
    for part in db.parts(&logs.into_iter().map(Fixed).collect::<Vec<_>>(), 1) {
        let part = member::Entity::find()
            .select_only()
            .columns([
                member::Column::LogId,
                member::Column::UserId,
                member::Column::DeliveredSeq,
                member::Column::ReadSeq,
            ])
            .join(JoinType::InnerJoin, member::Relation::Log.def())
            .filter(log::Column::Id.is_in(part))
            .filter(log::Column::MemberCount.lte(MAX_MEMBERS_WITH_MARKS as i64))
            .into_tuple::<(Fixed<LogId>, Fixed<UserId>, i64, i64)>();
        for (log, user, delivered, read) in db.ask(part.all(db.conn)).await? {
            let begin = LowestMarks { log: log.0, delivered: Lowest::default(), read: Lowest::default() };
            let of_log = lowest.entry(log.0).or_insert(begin);
            of_log.delivered.add(user.0, delivered);
            of_log.read.add(user.0, read);
        }
    }
    Ok(lowest.into_values().collect())
}

pub(super) async fn members<C: ConnectionTrait>(
    db: &Db<'_, C>,
    log: LogId,
    at_least: Role,
    after: Option<(Millis, UserId)>,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    let mut page = member::Entity::find().filter(member::Column::LogId.eq(Fixed(log)));
    if at_least > Role::Member {
        page = page.filter(member::Column::Role.gte(at_least.number()));
    }
    if let Some((time, user)) = after {
        let key = vec![
            (Expr::col((member::Entity, member::Column::JoinedMs)), time.into()),
            (Expr::col((member::Entity, member::Column::UserId)), Fixed(user).into()),
        ];
        page = page.filter(behind(db.conn.get_database_backend(), key, &Order::Asc));
    }
    let page = page.order_by_asc(member::Column::JoinedMs).order_by_asc(member::Column::UserId).limit(u64::from(limit));
    let (mut members, with_marks) = read_members(db, log, page).await?;
    if !with_marks {
        // Nobody is shown the others': one without the other would contradict "read <= delivered".
        members.iter_mut().for_each(|member| member.read = 0);
    }
    Ok(members)
}

pub(super) async fn member<C: ConnectionTrait>(
    db: &Db<'_, C>,
    log: LogId,
    user: UserId,
) -> Result<Option<Member>, StoreError> {
    let member = member::Entity::find_by_id((Fixed(log), Fixed(user)));
    Ok(read_members(db, log, member).await?.0.pop())
}

pub(super) async fn closed<C: ConnectionTrait>(db: &Db<'_, C>, logs: &[LogId]) -> Result<Vec<LogId>, StoreError> {
    let logs: Vec<_> = logs.iter().copied().map(Fixed).collect();
    let mut closed = Vec::new();
    for part in db.parts(&logs, 1) {
        let part = log::Entity::find()
            .select_only()
            .column(log::Column::Id)
            .filter(log::Column::Id.is_in(part))
            .filter(log::Column::Writable.eq(0))
            .into_tuple::<Fixed<LogId>>();
        closed.extend(db.ask(part.all(db.conn)).await?.into_iter().map(|log| log.0));
    }
    Ok(closed)
}

pub(super) async fn notice<C: ConnectionTrait>(db: &Db<'_, C>, log: LogId) -> Result<Option<String>, StoreError> {
    let found = db.ask(notice::Entity::find_by_id(Fixed(log)).one(db.conn)).await?;
    Ok(found.map(|notice| notice.text))
}

/// Those that a statement finds, and whether the conversation is one with marks.
async fn read_members<C: ConnectionTrait>(
    db: &Db<'_, C>,
    log: LogId,
    members: Select<member::Entity>,
) -> Result<(Vec<Member>, bool), StoreError> {
    let log = log::Entity::find_by_id(Fixed(log));
    let Some(log) = db.ask(log.one(db.conn)).await? else { return Ok((Vec::new(), false)) };
    let with_marks = with_marks(&log);
    let rows = db.ask(members.find_also_related(account::Entity).all(db.conn)).await?;
    let member = |(row, user): (member::Model, Option<account::Model>)| {
        Some(Member {
            user: user?.into(),
            joined_ms: row.joined_ms,
            from_seq: row.from_seq,
            delivered: if with_marks { row.delivered_seq } else { 0 },
            read: row.read_seq,
            is_of_group: log.kind == log::Kind::Group,
            role: Role::numbered(row.role),
            muted_ms: row.muted_ms,
        })
    };
    Ok((rows.into_iter().filter_map(member).collect(), with_marks))
}

fn with_marks(log: &log::Model) -> bool {
    log.member_count <= MAX_MEMBERS_WITH_MARKS as i64
}
