//! The audit log: written by the transactions whose acts it keeps.

use gogochat_proto::ids::UserId;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use uuid::Uuid;

use super::Db;
use crate::store::{
    Act, AuditEntry, AuditFilter, AuditPage, By, StoreError,
    entity::{Fixed, audit},
};

/// Keeps what is done.
pub(super) async fn note<C: ConnectionTrait>(
    db: &Db<'_, C>,
    act: Act,
    subject: Option<UserId>,
    detail: &str,
    by: &By,
) -> Result<(), StoreError> {
    let detail: String = detail.chars().take(DETAIL).collect();
    let entry = AuditEntry { id: Uuid::now_v7(), act, by: by.clone(), subject, detail };
    let row = audit::ActiveModel::from(audit::Model::from(entry));
    db.ask(audit::Entity::insert(row).exec_without_returning(db.conn)).await.map(drop)
}

/// Reads the entries of a user by two indexes, each from its end: those that they did, and those that
/// others did to them.
pub(super) async fn page<C: ConnectionTrait>(
    db: &Db<'_, C>,
    which: AuditFilter,
    before: Option<Uuid>,
    limit: u32,
) -> Result<AuditPage, StoreError> {
    let (looked, before) = (u64::from(limit) + 1, before.unwrap_or(Uuid::max()));
    let from = |select: Select<audit::Entity>| {
        select.filter(audit::Column::Id.lt(Fixed(before))).order_by_desc(audit::Column::Id).limit(looked)
    };
    let mut rows = match (which.user, which.act) {
        (None, None) => db.ask(from(audit::Entity::find()).all(db.conn)).await?,
        (None, Some(act)) => {
            let of_act = audit::Entity::find().filter(audit::Column::Act.eq(act.number()));
            db.ask(from(of_act).all(db.conn)).await?
        }
        (Some(user), _) => {
            let done = audit::Entity::find().filter(audit::Column::ActorId.eq(Fixed(user)));
            let met = audit::Entity::find().filter(audit::Column::SubjectId.eq(Fixed(user)));
            let mut rows = db.ask(from(done).all(db.conn)).await?;
            rows.append(&mut db.ask(from(met).all(db.conn)).await?);
            rows.sort_by_key(|row| std::cmp::Reverse(row.id));
            rows.dedup_by_key(|row| row.id);
            rows
        }
    };
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id.0);
    let wanted = |entry: &AuditEntry| which.act.is_none_or(|act| act == entry.act);
    Ok(AuditPage { entries: rows.into_iter().filter_map(audit::Model::entry).filter(wanted).collect(), next })
}

const DETAIL: usize = 256;
