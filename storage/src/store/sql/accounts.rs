//! Users.

use gogochat_proto::ids::{DeviceId, UserId};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use super::{Db, devices, sign_outs::sign_out};
use crate::store::{
    Millis, NewDevice, NewUser, StoreError, User,
    entity::{Fixed, account, device, log},
};

pub(super) async fn create<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: NewUser,
    device: NewDevice,
) -> Result<bool, StoreError> {
    let own = log::ActiveModel::from(log::Model::own(user.id, user.created_ms));
    let user = account::ActiveModel::from(account::Model::from(user));
    if !db.insert_new(account::Entity::insert(user)).await? {
        return Ok(false);
    }
    db.ask(log::Entity::insert(own).exec_without_returning(db.conn)).await?;
    devices::create(db, device).await?;
    Ok(true)
}

pub(super) async fn add_device<C: ConnectionTrait>(
    db: &Db<'_, C>,
    device: NewDevice,
    expected: &str,
) -> Result<bool, StoreError> {
    // The lock keeps a change of password from ending between this look and the new device, which it
    // would not see.
    let user = account::Entity::find_by_id(Fixed(device.user))
        .filter(account::Column::PasswordHash.eq(expected))
        .lock_exclusive();
    if db.ask(user.one(db.conn)).await?.is_none() {
        return Ok(false);
    }
    devices::create(db, device).await?;
    Ok(true)
}

pub(super) async fn by_name<C: ConnectionTrait>(db: &Db<'_, C>, name: &str) -> Result<Option<User>, StoreError> {
    let user = account::Entity::find().filter(account::Column::Name.eq(name));
    Ok(db.ask(user.one(db.conn)).await?.map(User::from))
}

pub(super) async fn by_ids<C: ConnectionTrait>(db: &Db<'_, C>, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
    let mut users = Vec::with_capacity(ids.len());
    for part in db.parts(ids, 1) {
        let part = account::Entity::find().filter(account::Column::Id.is_in(part.into_iter().map(Fixed)));
        users.extend(db.ask(part.all(db.conn)).await?.into_iter().map(User::from));
    }
    Ok(users)
}

pub(super) async fn by_prefix<C: ConnectionTrait>(
    db: &Db<'_, C>,
    prefix: &str,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    // A range of the name's index. No name goes on with the last code point there is.
    let found = account::Entity::find()
        .filter(account::Column::Name.gte(prefix))
        .filter(account::Column::Name.lt(format!("{prefix}{}", char::MAX)))
        .order_by_asc(account::Column::Name)
        .limit(u64::from(limit));
    Ok(db.ask(found.all(db.conn)).await?.into_iter().map(User::from).collect())
}

pub(super) async fn change_password<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    expected: &str,
    new: &str,
    keep: DeviceId,
    now: Millis,
) -> Result<Option<Vec<DeviceId>>, StoreError> {
    let change = account::Entity::update_many()
        .col_expr(account::Column::PasswordHash, Expr::value(new))
        .filter(account::Column::Id.eq(Fixed(user)))
        .filter(account::Column::PasswordHash.eq(expected));
    if db.ask(change.exec(db.conn)).await?.rows_affected == 0 {
        return Ok(None);
    }
    let others = Condition::all().add(device::Column::UserId.eq(Fixed(user))).add(device::Column::Id.ne(Fixed(keep)));
    sign_out(db, others, now).await.map(Some)
}
