//! The owners of groups: of those that a program made which knows of none, the creator, else the member who
//! joined first.

use gogochat_proto::ids::{LogId, UserId};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

use super::Db;
use crate::store::{
    Role, StoreError,
    entity::{Fixed, event, log, member},
};

/// The owner of a group; where none is noted, whoever is to be it.
pub(in crate::store) async fn find<C: ConnectionTrait>(
    db: &Db<'_, C>,
    group: LogId,
) -> Result<Option<UserId>, StoreError> {
    let members = || {
        let members = member::Entity::find().select_only().column(member::Column::UserId);
        members.filter(member::Column::LogId.eq(Fixed(group))).limit(1)
    };
    let noted = members().filter(member::Column::Role.eq(Role::Owner.number()));
    if let Some(owner) = db.ask(noted.into_tuple::<Fixed<UserId>>().one(db.conn)).await? {
        return Ok(Some(owner.0));
    }
    let created = event::Entity::find_by_id((Fixed(group), 1)).select_only().column(event::Column::SenderId);
    if let Some(creator) = db.ask(created.into_tuple::<Fixed<UserId>>().one(db.conn)).await? {
        let there = members().filter(member::Column::UserId.eq(creator));
        if db.ask(there.into_tuple::<Fixed<UserId>>().one(db.conn)).await?.is_some() {
            return Ok(Some(creator.0));
        }
    }
    let oldest = members().order_by_asc(member::Column::JoinedMs).order_by_asc(member::Column::UserId);
    Ok(db.ask(oldest.into_tuple::<Fixed<UserId>>().one(db.conn)).await?.map(|owner| owner.0))
}

/// Notes the owner of a group that has none.
pub(super) async fn note<C: ConnectionTrait>(db: &Db<'_, C>, group: LogId) -> Result<(), StoreError> {
    let Some(owner) = find(db, group).await? else { return Ok(()) };
    let noted = member::Entity::update_many()
        .col_expr(member::Column::Role, Expr::value(Role::Owner.number()))
        .filter(member::Column::LogId.eq(Fixed(group)))
        .filter(member::Column::UserId.eq(Fixed(owner)));
    db.ask(noted.exec(db.conn)).await.map(drop)
}

/// Notes the owners of all groups. Done again it changes nothing.
pub(super) async fn note_all<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    let mut last: Option<Fixed<LogId>> = None;
    loop {
        let mut groups = log::Entity::find().select_only().column(log::Column::Id);
        groups = groups.filter(log::Column::Kind.eq(log::Kind::Group));
        if let Some(last) = last {
            groups = groups.filter(log::Column::Id.gt(last));
        }
        let groups = groups.order_by_asc(log::Column::Id).limit(GROUPS).into_tuple::<Fixed<LogId>>();
        let groups = db.ask(groups.all(db.conn)).await?;
        let Some(end) = groups.last() else { return Ok(()) };
        last = Some(*end);
        for group in &groups {
            note(db, group.0).await?;
        }
    }
}

/// Groups that are looked for at once.
const GROUPS: u64 = 1_000;
