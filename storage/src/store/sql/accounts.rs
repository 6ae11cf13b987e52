//! Users.

use gogochat_proto::ids::{DeviceId, UserId};
use sea_orm::ConnectionTrait;

use super::{Db, SqlId, devices, row::USER, sign_outs::sign_out};
use crate::store::{Millis, NewDevice, NewUser, StoreError, User};

pub(super) async fn create<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: NewUser,
    device: NewDevice,
) -> Result<bool, StoreError> {
    let id = user.id;
    let account = "INSERT INTO account (id, name, display_name, password_hash, created_ms) VALUES (?, ?, ?, ?, ?)";
    let values =
        vec![id.value(), user.name.into(), user.display_name.into(), user.password_hash.into(), user.created_ms.into()];
    if !db.insert_new(account, values).await? {
        return Ok(false);
    }
    let log = "INSERT INTO log (id, kind, last_seq, last_ms, member_count, writable) VALUES (?, 0, 0, ?, 0, 0)";
    db.execute(log, vec![id.value(), user.created_ms.into()]).await?;
    devices::create(db, device).await?;
    Ok(true)
}

pub(super) async fn add_device<C: ConnectionTrait>(
    db: &Db<'_, C>,
    device: NewDevice,
    expected: &str,
) -> Result<bool, StoreError> {
    // The lock keeps a change of password from ending between this look and the new device, which it would not see.
    let sql = format!("SELECT id FROM account WHERE id = ? AND password_hash = ? {}", db.dialect.lock);
    if db.row(sql, vec![device.user.value(), expected.into()]).await?.is_none() {
        return Ok(false);
    }
    devices::create(db, device).await?;
    Ok(true)
}

pub(super) async fn by_name<C: ConnectionTrait>(db: &Db<'_, C>, name: &str) -> Result<Option<User>, StoreError> {
    let row = db.row(format!("SELECT {USER} FROM account a WHERE a.name = ?"), vec![name.into()]).await?;
    row.map(|row| row.user(0)).transpose()
}

pub(super) async fn by_ids<C: ConnectionTrait>(db: &Db<'_, C>, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
    let keys = ids.iter().map(|id| [id.value()]).collect();
    let rows = db.rows_in(&format!("SELECT {USER} FROM account a WHERE"), ["a.id"], keys, "").await?;
    rows.iter().map(|row| row.user(0)).collect()
}

pub(super) async fn by_prefix<C: ConnectionTrait>(
    db: &Db<'_, C>,
    prefix: &str,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    // A range of the name's index. No name goes on with the last code point there is.
    let sql = format!("SELECT {USER} FROM account a WHERE a.name >= ? AND a.name < ? ORDER BY a.name LIMIT ?");
    let end = format!("{prefix}{}", char::MAX);
    let rows = db.rows(sql, vec![prefix.into(), end.into(), i64::from(limit).into()]).await?;
    rows.iter().map(|row| row.user(0)).collect()
}

pub(super) async fn change_password<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    expected: &str,
    new: &str,
    keep: DeviceId,
    now: Millis,
) -> Result<Option<Vec<DeviceId>>, StoreError> {
    let update = "UPDATE account SET password_hash = ? WHERE id = ? AND password_hash = ?";
    if db.execute(update, vec![new.into(), user.value(), expected.into()]).await? == 0 {
        return Ok(None);
    }
    sign_out(db, "user_id = ? AND id <> ?", vec![user.value(), keep.value()], now).await.map(Some)
}
