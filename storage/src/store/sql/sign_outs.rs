//! Signing devices out. A device that is signed out is deleted, and noted by the same transaction, so that every core can hear of it whatever becomes of the one
//! that asked for it.
//!
//! The notes have numbers, given under a lock that is held until the commit: they have no gaps, and are seen in their order. So a core that remembers the last
//! number it has seen misses none, whatever its clock says and however long a commit took.

use gogochat_proto::ids::{DeviceId, UserId};
use sea_orm::{ConnectionTrait, Value};

use super::{Db, Row, SqlId};
use crate::store::{Millis, SignOut, StoreError};

/// Signs the devices out that a condition names: those that there were.
pub(super) async fn sign_out<C: ConnectionTrait>(
    db: &Db<'_, C>,
    condition: &str,
    values: Vec<Value>,
    now: Millis,
) -> Result<Vec<DeviceId>, StoreError> {
    let lock = db.dialect.lock;
    let sql = format!("SELECT id, user_id, access_expires_ms FROM device WHERE {condition} ORDER BY id {lock}");
    let rows = db.rows(sql, values).await?;
    let devices = rows.iter().map(|row| row.id(0)).collect::<Result<Vec<DeviceId>, _>>()?;
    if !devices.is_empty() {
        db.delete_in("device", ["id"], devices.iter().map(|device| [device.value()]).collect()).await?;
        note(db, &rows, now).await?;
    }
    Ok(devices)
}

/// Notes what [`sign_out`] has read: the last thing that it does, as others wait for it.
async fn note<C: ConnectionTrait>(db: &Db<'_, C>, devices: &[Row], now: Millis) -> Result<(), StoreError> {
    // The one row that is there from the beginning, and that nobody else holds for longer than a statement: who holds it gives numbers.
    db.row(format!("SELECT version FROM schema_version {}", db.dialect.lock), vec![]).await?;
    let mut number = last(db).await?;
    let mut notes: Vec<[Value; 4]> = Vec::with_capacity(devices.len());
    for device in devices {
        number += 1;
        let until = device.int(2)?.max(now).saturating_add(KEPT_MS);
        notes.push([number.into(), device.id::<DeviceId>(0)?.value(), device.id::<UserId>(1)?.value(), until.into()]);
    }
    db.insert("signed_out", ["number", "device_id", "user_id", "until_ms"], notes, "").await?;
    forget(db, now).await
}

/// Forgets the oldest notes that are of no use any more, some at a time: more than come. What was noted just now is not among them.
async fn forget<C: ConnectionTrait>(db: &Db<'_, C>, now: Millis) -> Result<(), StoreError> {
    let sql = "SELECT number, until_ms FROM signed_out WHERE number > 0 ORDER BY number LIMIT ?";
    let oldest = db.rows(sql, vec![AT_ONCE.into()]).await?;
    let mut lapsed = None;
    for note in &oldest {
        if note.int(1)? > now {
            break;
        }
        lapsed = Some(note.int(0)?);
    }
    if let Some(number) = lapsed {
        db.execute("DELETE FROM signed_out WHERE number <= ?", vec![number.into()]).await?;
    }
    Ok(())
}

pub(super) async fn page<C: ConnectionTrait>(
    db: &Db<'_, C>,
    after: i64,
    limit: u32,
) -> Result<Vec<SignOut>, StoreError> {
    let sql = "SELECT number, user_id, device_id FROM signed_out WHERE number > ? ORDER BY number LIMIT ?";
    let rows = db.rows(sql, vec![after.into(), i64::from(limit).into()]).await?;
    rows.iter().map(|row| Ok(SignOut { number: row.int(0)?, user: row.id(1)?, device: row.id(2)? })).collect()
}

pub(super) async fn last<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<i64, StoreError> {
    let row = db.row("SELECT MAX(number) FROM signed_out", vec![]).await?;
    Ok(row.map_or(Ok(None), |row| row.int_or_null(0))?.unwrap_or(0))
}

/// How long a note is kept after the device's access token would have lapsed, with which its last session ends: clocks of nodes differ.
const KEPT_MS: Millis = 3_600_000;
/// Notes that are looked at to be forgotten.
const AT_ONCE: i64 = 100;
