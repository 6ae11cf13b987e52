//! Signing devices out. The transaction that deletes a device also notes its sign-out. So every
//! core can learn of it, whatever becomes of the core that asked for it.
//!
//! The notes have numbers, given under a lock that is held until the commit. So the numbers have no
//! gaps and are seen in order. A core that remembers the last number it has seen misses none,
//! whatever its clock says and however long a commit took.

use gogochat_proto::ids::DeviceId;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::Db;
use crate::store::{
    Millis, SignOut, StoreError,
    entity::{device, schema_version, signed_out},
};

/// Signs the devices out that a condition names: those that there were.
pub(super) async fn sign_out<C: ConnectionTrait>(
    db: &Db<'_, C>,
    which: Condition,
    now: Millis,
) -> Result<Vec<DeviceId>, StoreError> {
    let devices = device::Entity::find().filter(which).order_by_asc(device::Column::Id).lock_exclusive();
    let devices = db.ask(devices.all(db.conn)).await?;
    let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
    for part in db.parts(&ids, 1) {
        let gone = device::Entity::delete_many().filter(device::Column::Id.is_in(part));
        db.ask(gone.exec(db.conn)).await?;
    }
    if !devices.is_empty() {
        note(db, &devices, now).await?;
    }
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// Notes what [`sign_out`] has read: the last thing that it does, as others wait for it.
async fn note<C: ConnectionTrait>(db: &Db<'_, C>, devices: &[device::Model], now: Millis) -> Result<(), StoreError> {
    // The one row that is there from the beginning, and that nobody else holds for longer than a
    // statement: who holds it gives numbers.
    db.ask(schema_version::Entity::find().lock_exclusive().all(db.conn)).await?;
    let last = last(db).await?;
    let notes: Vec<_> = (last + 1..)
        .zip(devices)
        .map(|(number, device)| {
            let until_ms = device.access_expires_ms.max(now).saturating_add(KEPT_MS);
            signed_out::Model { number, device_id: device.id, user_id: device.user_id, until_ms }
        })
        .map(signed_out::ActiveModel::from)
        .collect();
    for part in notes.chunks(AT_ONCE) {
        db.ask(signed_out::Entity::insert_many(part.to_vec()).exec_without_returning(db.conn)).await?;
    }
    forget(db, now).await
}

/// Forgets the oldest notes that are of no use any more, some at a time: more than come. What was noted
/// just now is not among them.
async fn forget<C: ConnectionTrait>(db: &Db<'_, C>, now: Millis) -> Result<(), StoreError> {
    let oldest = numbered().order_by_asc(signed_out::Column::Number).limit(AT_ONCE as u64);
    let oldest = db.ask(oldest.all(db.conn)).await?;
    if let Some(lapsed) = oldest.iter().take_while(|note| note.until_ms <= now).last() {
        let lapsed = signed_out::Entity::delete_many().filter(signed_out::Column::Number.lte(lapsed.number));
        db.ask(lapsed.exec(db.conn)).await?;
    }
    Ok(())
}

pub(super) async fn page<C: ConnectionTrait>(
    db: &Db<'_, C>,
    after: i64,
    limit: u32,
) -> Result<Vec<SignOut>, StoreError> {
    let page = signed_out::Entity::find()
        .filter(signed_out::Column::Number.gt(after))
        .order_by_asc(signed_out::Column::Number)
        .limit(u64::from(limit));
    Ok(db.ask(page.all(db.conn)).await?.into_iter().map(SignOut::from).collect())
}

pub(super) async fn last<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<i64, StoreError> {
    let last = numbered().order_by_desc(signed_out::Column::Number);
    Ok(db.ask(last.one(db.conn)).await?.map_or(0, |last| last.number))
}

/// All notes, looked up by their numbers.
fn numbered() -> Select<signed_out::Entity> {
    signed_out::Entity::find().filter(signed_out::Column::Number.gt(0))
}

/// How long a note is kept after the device's access token would have lapsed, with which its last
/// session ends: clocks of nodes differ.
const KEPT_MS: Millis = 3_600_000;
/// Notes that are looked at to be forgotten, and notes of one statement.
const AT_ONCE: usize = 100;
