//! Devices and their tokens.

use gogochat_proto::ids::{DeviceId, LogId, UserId};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder,
    QuerySelect, RelationTrait,
    sea_query::{Alias, Expr, ExprTrait as _, Query},
};
use uuid::Uuid;

use super::{Db, sign_outs::sign_out};
use crate::store::{
    Arrival, Device, DeviceKey, Hash, Membership, Millis, NewDevice, Rotation, StoreError, Tokens,
    entity::{
        Fixed, account, device, history,
        log::{self, peer},
        member, spent_refresh,
    },
};

pub(super) async fn create<C: ConnectionTrait>(db: &Db<'_, C>, device: NewDevice) -> Result<(), StoreError> {
    let row = device::ActiveModel::from(device::Model::from(device));
    db.ask(device::Entity::insert(row).exec_without_returning(db.conn)).await.map(drop)
}

/// Of a device: its user is not disabled. Who is has none, but for those that a core of the release before
/// has made.
fn is_admitted() -> Expr {
    let disabled = Query::select()
        .expr(Expr::value(1))
        .from(account::Entity)
        .and_where(Expr::col((account::Entity, account::Column::Id)).equals((device::Entity, device::Column::UserId)))
        .and_where(account::Column::DisabledMs.is_not_null())
        .take();
    Expr::exists(disabled).not()
}

pub(super) async fn by_access<C: ConnectionTrait>(db: &Db<'_, C>, access: &Hash) -> Result<Option<Device>, StoreError> {
    let device = device::Entity::find().filter(device::Column::AccessHash.eq(Fixed(*access))).filter(is_admitted());
    Ok(db.ask(device.one(db.conn)).await?.map(Device::from))
}

pub(super) async fn by_id<C: ConnectionTrait>(db: &Db<'_, C>, id: DeviceId) -> Result<Option<Device>, StoreError> {
    let device = device::Entity::find_by_id(Fixed(id)).filter(is_admitted());
    Ok(db.ask(device.one(db.conn)).await?.map(Device::from))
}

/// A device, its user's own log, and one of their memberships, if there is one.
#[derive(FromQueryResult)]
struct Arriving {
    id: Fixed<DeviceId>,
    user_id: Fixed<UserId>,
    name: String,
    created_ms: Millis,
    last_seen_ms: Millis,
    access_expires_ms: Millis,
    address: String,
    own_seq: Option<i64>,
    epoch: Fixed<Uuid>,
    log_id: Option<Fixed<LogId>>,
    last_seq: Option<i64>,
    user_a: Option<Fixed<UserId>>,
    user_b: Option<Fixed<UserId>>,
}

/// The device, its user's own log and their memberships in one look.
pub(super) async fn arrival<C: ConnectionTrait>(db: &Db<'_, C>, key: DeviceKey) -> Result<Option<Arrival>, StoreError> {
    let known = match key {
        DeviceKey::Access(access) => Condition::all().add(device::Column::AccessHash.eq(Fixed(access))),
        DeviceKey::Id(id) => Condition::all().add(device::Column::Id.eq(Fixed(id))),
        DeviceKey::Both(id, access) => {
            Condition::all().add(device::Column::Id.eq(Fixed(id))).add(device::Column::AccessHash.eq(Fixed(access)))
        }
    };
    let epoch = Query::select()
        .column(history::Column::Epoch)
        .from(history::Entity)
        .and_where(history::Column::Id.eq(history::ROW))
        .take();
    let own = Alias::new("own");
    let look = device::Entity::find()
        .select_only()
        .columns([
            device::Column::Id,
            device::Column::UserId,
            device::Column::Name,
            device::Column::CreatedMs,
            device::Column::LastSeenMs,
            device::Column::AccessExpiresMs,
            device::Column::Address,
        ])
        .expr_as(Expr::col((own.clone(), log::Column::LastSeq)), "own_seq")
        .expr_as(Expr::SubQuery(None, Box::new(epoch.into())), "epoch")
        .column_as(log::Column::Id, "log_id")
        .columns([log::Column::LastSeq, log::Column::UserA, log::Column::UserB])
        .join_as(JoinType::LeftJoin, device::Relation::OwnLog.def(), own)
        .join(JoinType::LeftJoin, device::Relation::Memberships.def())
        .join(JoinType::LeftJoin, member::Relation::Log.def())
        .filter(known)
        .filter(is_admitted())
        .into_model::<Arriving>();
    let rows = db.ask(look.all(db.conn)).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let device = Device {
        id: first.id.0,
        user: first.user_id.0,
        name: first.name.clone(),
        created_ms: first.created_ms,
        last_seen_ms: first.last_seen_ms,
        access_expires_ms: first.access_expires_ms,
        address: first.address.clone(),
    };
    let own_seq = first.own_seq.unwrap_or(0);
    // A user of no conversations has one row all the same.
    let memberships = rows.iter().filter_map(|row| {
        let peer = peer([row.user_a, row.user_b], device.user);
        Some(Membership { log: row.log_id?.0, last_seq: row.last_seq?, peer })
    });
    let memberships = memberships.collect();
    Ok(Some(Arrival { device, own_seq, memberships, epoch: first.epoch.0 }))
}

pub(super) async fn of_user<C: ConnectionTrait>(db: &Db<'_, C>, user: UserId) -> Result<Vec<Device>, StoreError> {
    let devices = device::Entity::find()
        .filter(device::Column::UserId.eq(Fixed(user)))
        .order_by_desc(device::Column::LastSeenMs)
        .order_by_desc(device::Column::Id);
    Ok(db.ask(devices.all(db.conn)).await?.into_iter().map(Device::from).collect())
}

pub(super) async fn revoke<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    device: DeviceId,
    now: Millis,
) -> Result<bool, StoreError> {
    let this = Condition::all().add(device::Column::Id.eq(Fixed(device))).add(device::Column::UserId.eq(Fixed(user)));
    Ok(!sign_out(db, this, now).await?.is_empty())
}

pub(super) async fn touch<C: ConnectionTrait>(db: &Db<'_, C>, seen: &[DeviceId], at: Millis) -> Result<(), StoreError> {
    for part in db.parts(seen, 1) {
        let touch = device::Entity::update_many()
            .col_expr(device::Column::LastSeenMs, Expr::value(at))
            .filter(device::Column::LastSeenMs.lt(at))
            .filter(device::Column::Id.is_in(part.into_iter().map(Fixed)));
        db.ask(touch.exec(db.conn)).await?;
    }
    Ok(())
}

pub(super) async fn knows_refresh<C: ConnectionTrait>(db: &Db<'_, C>, refresh: &Hash) -> Result<bool, StoreError> {
    let holder = device::Entity::find()
        .select_only()
        .column(device::Column::Id)
        .filter(device::Column::RefreshHash.eq(Fixed(*refresh)))
        .into_tuple::<Fixed<DeviceId>>();
    if db.ask(holder.one(db.conn)).await?.is_some() {
        return Ok(true);
    }
    Ok(db.ask(spent_refresh::Entity::find_by_id(Fixed(*refresh)).one(db.conn)).await?.is_some())
}

pub(super) async fn rotate<C: ConnectionTrait>(
    db: &Db<'_, C>,
    refresh: &Hash,
    new: Tokens,
    now: Millis,
    grace_ms: Millis,
) -> Result<Rotation, StoreError> {
    let holder = device::Entity::find().filter(device::Column::RefreshHash.eq(Fixed(*refresh))).lock_exclusive();
    if let Some(holder) = db.ask(holder.one(db.conn)).await? {
        if is_disabled(db, holder.user_id).await? {
            sign_out(db, Condition::all().add(device::Column::Id.eq(holder.id)), now).await?;
            return Ok(Rotation::Unknown);
        }
        if holder.refresh_expires_ms <= now {
            return Ok(Rotation::Expired);
        }
        return exchange(db, holder, new, now, true).await;
    }

    let spent = spent_refresh::Entity::find_by_id(Fixed(*refresh));
    let Some(spent) = db.ask(spent.one(db.conn)).await? else { return Ok(Rotation::Unknown) };
    let holder = device::Entity::find_by_id(spent.device_id).lock_exclusive();
    let Some(holder) = db.ask(holder.one(db.conn)).await? else { return Ok(Rotation::Unknown) };
    // Only while nobody has used what it was exchanged for: else the answer did arrive, and this is a copy.
    let is_admitted = !is_disabled(db, holder.user_id).await?;
    if is_admitted && spent.generation + 1 == holder.generation && now.saturating_sub(spent.spent_ms) <= grace_ms {
        return exchange(db, holder, new, now, false).await;
    }
    sign_out(db, Condition::all().add(device::Column::Id.eq(holder.id)), now).await?;
    Ok(Rotation::Reused { user: holder.user_id.0, device: holder.id.0 })
}

async fn is_disabled<C: ConnectionTrait>(db: &Db<'_, C>, user: Fixed<UserId>) -> Result<bool, StoreError> {
    let row = account::Entity::find_by_id(user).filter(account::Column::DisabledMs.is_not_null());
    Ok(db.ask(row.one(db.conn)).await?.is_some())
}

/// Gives the holder new tokens and spends its current refresh token: as used (`forward`), or as one
/// whose answer was lost, which keeps the generation, so that whichever answer arrives can be used.
async fn exchange<C: ConnectionTrait>(
    db: &Db<'_, C>,
    holder: device::Model,
    new: Tokens,
    now: Millis,
    forward: bool,
) -> Result<Rotation, StoreError> {
    let generation = if forward { holder.generation + 1 } else { holder.generation };
    let lapsed = spent_refresh::Entity::delete_many()
        .filter(spent_refresh::Column::DeviceId.eq(holder.id))
        .filter(spent_refresh::Column::ExpiresMs.lte(now));
    db.ask(lapsed.exec(db.conn)).await?;
    let spent = spent_refresh::ActiveModel::from(spent_refresh::Model {
        refresh_hash: holder.refresh_hash,
        device_id: holder.id,
        generation: generation - 1,
        spent_ms: now,
        expires_ms: holder.refresh_expires_ms,
    });
    db.ask(spent_refresh::Entity::insert(spent).exec_without_returning(db.conn)).await?;
    let renew = device::Entity::update_many()
        .col_expr(device::Column::AccessHash, Expr::value(Fixed(new.access)))
        .col_expr(device::Column::AccessExpiresMs, Expr::value(new.access_expires_ms))
        .col_expr(device::Column::RefreshHash, Expr::value(Fixed(new.refresh)))
        .col_expr(device::Column::RefreshExpiresMs, Expr::value(new.refresh_expires_ms))
        .col_expr(device::Column::Generation, Expr::value(generation))
        .filter(device::Column::Id.eq(holder.id));
    db.ask(renew.exec(db.conn)).await?;
    Ok(Rotation::Rotated(Device { access_expires_ms: new.access_expires_ms, ..holder.into() }))
}
