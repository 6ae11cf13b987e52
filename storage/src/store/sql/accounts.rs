//! Users.

use gogochat_proto::ids::{DeviceId, UserId};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use super::{Db, audit::note, devices, name_words, sign_outs::sign_out};
use crate::store::{
    Act, By, Millis, NewDevice, NewUser, ProfileChange, StoreError, User,
    entity::{Fixed, account, device, log},
};

pub(super) async fn create<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: NewUser,
    device: NewDevice,
) -> Result<bool, StoreError> {
    let own = log::ActiveModel::from(log::Model::own(user.id, user.created_ms));
    let (id, display_name) = (user.id, user.display_name.clone());
    let user = account::ActiveModel::from(account::Model::from(user));
    if !db.insert_new(account::Entity::insert(user)).await? {
        return Ok(false);
    }
    db.ask(log::Entity::insert(own).exec_without_returning(db.conn)).await?;
    name_words::replace(db, id, "", &display_name).await?;
    let by = by_device(&device);
    note(db, Act::Registered, Some(id), &device.name, &by).await?;
    devices::create(db, device).await?;
    Ok(true)
}

/// A user who acts by a device that is new.
pub(super) fn by_device(device: &NewDevice) -> By {
    By { actor: Some(device.user), address: device.address.clone(), now: device.created_ms }
}

/// Of two changes at once each keeps what the other does not name.
pub(super) async fn change_profile<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    change: ProfileChange,
) -> Result<Option<User>, StoreError> {
    let row = account::Entity::find_by_id(Fixed(user)).lock_exclusive();
    let Some(old) = db.ask(row.one(db.conn)).await? else { return Ok(None) };
    let ProfileChange { display_name, signature, birthday, gender } = change;
    let new = account::Model {
        display_name: display_name.unwrap_or_else(|| old.display_name.clone()),
        signature: signature.unwrap_or_else(|| old.signature.clone()),
        birthday: birthday.unwrap_or_else(|| old.birthday.clone()),
        gender: gender.unwrap_or(old.gender),
        ..old.clone()
    };
    name_words::replace(db, user, &old.display_name, &new.display_name).await?;
    let update = account::Entity::update_many()
        .col_expr(account::Column::DisplayName, Expr::value(new.display_name.as_str()))
        .col_expr(account::Column::Signature, Expr::value(new.signature.as_str()))
        .col_expr(account::Column::Birthday, Expr::value(new.birthday.as_str()))
        .col_expr(account::Column::Gender, Expr::value(new.gender))
        .filter(account::Column::Id.eq(Fixed(user)));
    db.ask(update.exec(db.conn)).await?;
    Ok(Some(User::from(new)))
}

pub(super) async fn add_device<C: ConnectionTrait>(
    db: &Db<'_, C>,
    device: NewDevice,
    expected: &str,
) -> Result<bool, StoreError> {
    // The lock keeps a change of password, or of who may log in, from ending between this look and the new
    // device, which it would not see.
    let user = account::Entity::find_by_id(Fixed(device.user))
        .filter(account::Column::PasswordHash.eq(expected))
        .filter(account::Column::DisabledMs.is_null())
        .filter(account::Column::OneTimeUntilMs.is_null())
        .lock_exclusive();
    if db.ask(user.one(db.conn)).await?.is_none() {
        return Ok(false);
    }
    let by = by_device(&device);
    note(db, Act::LoggedIn, by.actor, &device.name, &by).await?;
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

pub(super) async fn by_display_name<C: ConnectionTrait>(
    db: &Db<'_, C>,
    text: &str,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    let ids = name_words::find(db, text, limit).await?;
    let mut users = by_ids(db, &ids).await?;
    users.sort_by_key(|user| ids.iter().position(|id| *id == user.id));
    Ok(users)
}

pub(super) async fn change_password<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    expected: &str,
    new: &str,
    keep: DeviceId,
    by: &By,
) -> Result<Option<Vec<DeviceId>>, StoreError> {
    let change = account::Entity::update_many()
        .col_expr(account::Column::PasswordHash, Expr::value(new))
        // A core of the release before logs in with a one-time password as with any other.
        .col_expr(account::Column::OneTimeUntilMs, Expr::value(None::<Millis>))
        .filter(account::Column::Id.eq(Fixed(user)))
        .filter(account::Column::PasswordHash.eq(expected));
    if db.ask(change.exec(db.conn)).await?.rows_affected == 0 {
        return Ok(None);
    }
    note(db, Act::PasswordChanged, Some(user), "", by).await?;
    let others = Condition::all().add(device::Column::UserId.eq(Fixed(user))).add(device::Column::Id.ne(Fixed(keep)));
    sign_out(db, others, by.now).await.map(Some)
}
