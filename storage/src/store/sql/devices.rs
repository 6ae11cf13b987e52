//! Devices and their tokens.

use gogochat_proto::ids::{DeviceId, UserId};
use sea_orm::{ConnectionTrait, Value};

use super::{Db, Row, SqlId, sign_outs::sign_out};
use crate::store::{Arrival, Device, DeviceKey, Hash, Membership, Millis, NewDevice, Rotation, StoreError, Tokens};

pub(super) async fn create<C: ConnectionTrait>(db: &Db<'_, C>, device: NewDevice) -> Result<(), StoreError> {
    let tokens = device.tokens;
    let sql = "INSERT INTO device (id, user_id, name, created_ms, last_seen_ms, \
               access_hash, access_expires_ms, refresh_hash, refresh_expires_ms, generation) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)";
    let values = vec![
        device.id.value(),
        device.user.value(),
        device.name.into(),
        device.created_ms.into(),
        device.created_ms.into(),
        hash(&tokens.access),
        tokens.access_expires_ms.into(),
        hash(&tokens.refresh),
        tokens.refresh_expires_ms.into(),
    ];
    db.execute(sql, values).await.map(drop)
}

pub(super) async fn by_access<C: ConnectionTrait>(db: &Db<'_, C>, access: &Hash) -> Result<Option<Device>, StoreError> {
    let row = db.row(format!("SELECT {DEVICE} FROM device WHERE access_hash = ?"), vec![hash(access)]).await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn by_id<C: ConnectionTrait>(db: &Db<'_, C>, id: DeviceId) -> Result<Option<Device>, StoreError> {
    let row = db.row(format!("SELECT {DEVICE} FROM device WHERE id = ?"), vec![id.value()]).await?;
    row.as_ref().map(read).transpose()
}

/// The device, its user's own log and their memberships in one look.
pub(super) async fn arrival<C: ConnectionTrait>(db: &Db<'_, C>, key: DeviceKey) -> Result<Option<Arrival>, StoreError> {
    let (known, values) = match key {
        DeviceKey::Access(access) => ("d.access_hash = ?", vec![hash(&access)]),
        DeviceKey::Id(id) => ("d.id = ?", vec![id.value()]),
        DeviceKey::Both(id, access) => ("d.id = ? AND d.access_hash = ?", vec![id.value(), hash(&access)]),
    };
    let sql = format!(
        "SELECT d.id, d.user_id, d.name, d.created_ms, d.last_seen_ms, d.access_expires_ms, own.last_seq, \
         l.id, l.last_seq, l.user_a, l.user_b \
         FROM device d LEFT JOIN log own ON own.id = d.user_id \
         LEFT JOIN member m ON m.user_id = d.user_id LEFT JOIN log l ON l.id = m.log_id WHERE {known}"
    );
    let rows = db.rows(sql, values).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let device = read(first)?;
    let own_seq = first.int_or_null(6)?.unwrap_or(0);
    let mut memberships = Vec::with_capacity(rows.len());
    for row in &rows {
        // A user of no conversations has one row all the same.
        if let Some(log) = row.id_or_null(7)? {
            let pair = [row.id_or_null(9)?, row.id_or_null(10)?];
            let peer = pair.into_iter().flatten().find(|one| *one != device.user);
            memberships.push(Membership { log, last_seq: row.int(8)?, peer });
        }
    }
    Ok(Some(Arrival { device, own_seq, memberships }))
}

pub(super) async fn of_user<C: ConnectionTrait>(db: &Db<'_, C>, user: UserId) -> Result<Vec<Device>, StoreError> {
    let sql = format!("SELECT {DEVICE} FROM device WHERE user_id = ? ORDER BY last_seen_ms DESC, id DESC");
    db.rows(sql, vec![user.value()]).await?.iter().map(read).collect()
}

pub(super) async fn revoke<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    device: DeviceId,
    now: Millis,
) -> Result<bool, StoreError> {
    let revoked = sign_out(db, "id = ? AND user_id = ?", vec![device.value(), user.value()], now).await?;
    Ok(!revoked.is_empty())
}

pub(super) async fn touch<C: ConnectionTrait>(db: &Db<'_, C>, seen: &[DeviceId], at: Millis) -> Result<(), StoreError> {
    let keys = seen.iter().map(|device| [device.value()]).collect();
    db.update_in("UPDATE device SET last_seen_ms = ? WHERE last_seen_ms < ? AND", &[at.into(), at.into()], ["id"], keys)
        .await
}

pub(super) async fn rotate<C: ConnectionTrait>(
    db: &Db<'_, C>,
    refresh: &Hash,
    new: Tokens,
    now: Millis,
    grace_ms: Millis,
) -> Result<Rotation, StoreError> {
    let lock = db.dialect.lock;
    let current = format!("SELECT {HOLDER}, {DEVICE} FROM device WHERE refresh_hash = ? {lock}");
    if let Some(row) = db.row(current, vec![hash(refresh)]).await? {
        let holder = Holder::read(&row)?;
        if holder.refresh_expires_ms <= now {
            return Ok(Rotation::Expired);
        }
        return exchange(db, holder, new, now, true).await;
    }

    let spent = "SELECT device_id, generation, spent_ms FROM spent_refresh WHERE refresh_hash = ?";
    let Some(spent) = db.row(spent, vec![hash(refresh)]).await? else { return Ok(Rotation::Unknown) };
    let device = spent.id::<DeviceId>(0)?;
    let row =
        db.row(format!("SELECT {HOLDER}, {DEVICE} FROM device WHERE id = ? {lock}"), vec![device.value()]).await?;
    let Some(row) = row else { return Ok(Rotation::Unknown) };
    let holder = Holder::read(&row)?;
    // Only while nobody has used what it was exchanged for: else the answer did arrive, and this is a copy.
    if spent.int(1)? + 1 == holder.generation && now.saturating_sub(spent.int(2)?) <= grace_ms {
        return exchange(db, holder, new, now, false).await;
    }
    sign_out(db, "id = ?", vec![device.value()], now).await?;
    Ok(Rotation::Reused { user: holder.device.user, device })
}

/// Gives the holder new tokens and spends its current refresh token: as used (`forward`), or as one whose answer was lost, which keeps
/// the generation, so that whichever answer arrives can be used.
async fn exchange<C: ConnectionTrait>(
    db: &Db<'_, C>,
    holder: Holder,
    new: Tokens,
    now: Millis,
    forward: bool,
) -> Result<Rotation, StoreError> {
    let device = holder.device.id.value();
    let generation = if forward { holder.generation + 1 } else { holder.generation };
    let lapsed = "DELETE FROM spent_refresh WHERE device_id = ? AND expires_ms <= ?";
    db.execute(lapsed, vec![device.clone(), now.into()]).await?;
    let spend = "INSERT INTO spent_refresh (refresh_hash, device_id, generation, spent_ms, expires_ms) \
                 VALUES (?, ?, ?, ?, ?)";
    let values = vec![
        hash(&holder.refresh),
        device.clone(),
        (generation - 1).into(),
        now.into(),
        holder.refresh_expires_ms.into(),
    ];
    db.execute(spend, values).await?;
    let update = "UPDATE device SET access_hash = ?, access_expires_ms = ?, refresh_hash = ?, refresh_expires_ms = ?, \
                  generation = ? WHERE id = ?";
    let values = vec![
        hash(&new.access),
        new.access_expires_ms.into(),
        hash(&new.refresh),
        new.refresh_expires_ms.into(),
        generation.into(),
        device,
    ];
    db.execute(update, values).await?;
    Ok(Rotation::Rotated(Device { access_expires_ms: new.access_expires_ms, ..holder.device }))
}

/// A device and its refresh token.
struct Holder {
    refresh: Hash,
    refresh_expires_ms: Millis,
    generation: i64,
    device: Device,
}

impl Holder {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            refresh: row.hash(0)?,
            refresh_expires_ms: row.int(1)?,
            generation: row.int(2)?,
            device: read_from(row, 3)?,
        })
    }
}

fn read(row: &Row) -> Result<Device, StoreError> {
    read_from(row, 0)
}

fn read_from(row: &Row, first: usize) -> Result<Device, StoreError> {
    Ok(Device {
        id: row.id(first)?,
        user: row.id(first + 1)?,
        name: row.text(first + 2)?,
        created_ms: row.int(first + 3)?,
        last_seen_ms: row.int(first + 4)?,
        access_expires_ms: row.int(first + 5)?,
    })
}

fn hash(hash: &Hash) -> Value {
    Value::Bytes(Some(hash.to_vec()))
}

const DEVICE: &str = "id, user_id, name, created_ms, last_seen_ms, access_expires_ms";
const HOLDER: &str = "refresh_hash, refresh_expires_ms, generation";
