//! Invites to groups, and groups that are open, to be read: commands change them.

use gogochat_proto::{ids::LogId, limits::MAX_INVITES};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::Db;
use crate::store::{
    GroupInvite, Joining, Millis, OpenGroup, StoreError,
    entity::{
        Fixed,
        invite::{self, UNLIMITED},
        log::{self, Kind},
    },
};

pub(super) async fn of_group<C: ConnectionTrait>(
    db: &Db<'_, C>,
    group: LogId,
    now: Millis,
) -> Result<Vec<GroupInvite>, StoreError> {
    let invites = invite::Entity::find().filter(invite::Column::LogId.eq(Fixed(group))).filter(good(now));
    let rows = db.ask(invites.limit(MAX_INVITES as u64).all(db.conn)).await?;
    let invite = |row: invite::Model| GroupInvite {
        code: row.code.0,
        log: row.log_id.0,
        creator: row.creator_id.0,
        until_ms: row.until_ms,
        uses_left: (row.uses_left != UNLIMITED).then(|| u32::try_from(row.uses_left).unwrap_or(0)),
    };
    Ok(rows.into_iter().map(invite).collect())
}

pub(super) async fn by_code<C: ConnectionTrait>(
    db: &Db<'_, C>,
    code: Uuid,
    now: Millis,
) -> Result<Option<OpenGroup>, StoreError> {
    let found = db.ask(invite::Entity::find_by_id(Fixed(code)).filter(good(now)).one(db.conn)).await?;
    let Some(found) = found else { return Ok(None) };
    let group = log::Entity::find_by_id(found.log_id).filter(log::Column::Writable.ne(0));
    Ok(db.ask(group.one(db.conn)).await?.map(open_group))
}

pub(super) async fn open_groups<C: ConnectionTrait>(
    db: &Db<'_, C>,
    after: Option<LogId>,
    limit: u32,
) -> Result<Vec<OpenGroup>, StoreError> {
    let mut groups = log::Entity::find()
        .filter(log::Column::Joining.eq(Joining::Open.number()))
        .filter(log::Column::Kind.eq(Kind::Group))
        .filter(log::Column::Writable.ne(0));
    if let Some(after) = after {
        groups = groups.filter(log::Column::Id.gt(Fixed(after)));
    }
    let groups = groups.order_by_asc(log::Column::Id).limit(u64::from(limit));
    Ok(db.ask(groups.all(db.conn)).await?.into_iter().map(open_group).collect())
}

fn good(now: Millis) -> Condition {
    Condition::all().add(invite::Column::UntilMs.gt(now)).add(invite::Column::UsesLeft.ne(0))
}

fn open_group(row: log::Model) -> OpenGroup {
    let member_count = u32::try_from(row.member_count).unwrap_or(u32::MAX);
    OpenGroup { log: row.id.0, title: row.title.unwrap_or_default(), member_count }
}
