//! What administrators do.

use gogochat_proto::ids::{DeviceId, UserId};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait as _},
};

use super::{Db, accounts, audit::note, devices, name_words, second_factors, sign_outs::sign_out};
use crate::store::{
    Act, By, Hash, Invitation, Invited, Millis, NewDevice, NewUser, StoreError, User,
    entity::{Fixed, account, device, invitation, log},
};

pub(super) async fn list<C: ConnectionTrait>(
    db: &Db<'_, C>,
    prefix: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    let found = account::Entity::find()
        .filter(account::Column::Name.gte(prefix))
        .filter(account::Column::Name.lt(format!("{prefix}{}", char::MAX)))
        .filter(account::Column::Name.gt(after))
        .order_by_asc(account::Column::Name)
        .limit(u64::from(limit));
    Ok(db.ask(found.all(db.conn)).await?.into_iter().map(User::from).collect())
}

pub(super) async fn create_alone<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: NewUser,
    by: &By,
) -> Result<bool, StoreError> {
    let own = log::ActiveModel::from(log::Model::own(user.id, user.created_ms));
    let (id, display_name, administrator) = (user.id, user.display_name.clone(), user.administrator_ms.is_some());
    if !db.insert_new(account::Entity::insert(account::ActiveModel::from(account::Model::from(user)))).await? {
        return Ok(false);
    }
    db.ask(log::Entity::insert(own).exec_without_returning(db.conn)).await?;
    name_words::replace(db, id, "", &display_name).await?;
    note(db, Act::Registered, Some(id), "", by).await?;
    if administrator {
        note(db, Act::AdministratorMade, Some(id), "", by).await?;
    }
    Ok(true)
}

/// The row of a user, which nobody else changes until this transaction ends. Neither does anybody that of who
/// acts, who has to be an administrator.
async fn ruled<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: Option<UserId>,
    by: &By,
) -> Result<Option<account::Model>, StoreError> {
    // In the order of their ids, so that two who act on each other wait and do not deadlock.
    let rows = account::Entity::find()
        .filter(account::Column::Id.is_in(user.into_iter().chain(by.actor).map(Fixed)))
        .order_by_asc(account::Column::Id)
        .lock_exclusive();
    let rows = db.ask(rows.all(db.conn)).await?;
    let of = |user: UserId| rows.iter().find(|row| row.id.0 == user);
    let rules = |row: &account::Model| row.administrator_ms.is_some() && row.disabled_ms.is_none();
    match by.actor {
        Some(actor) if !of(actor).is_some_and(rules) => Err(StoreError::NotPermitted),
        _ => Ok(user.and_then(of).cloned()),
    }
}

/// The row of a user, which nobody else changes until this transaction ends.
async fn locked<C: ConnectionTrait>(db: &Db<'_, C>, user: UserId) -> Result<Option<account::Model>, StoreError> {
    db.ask(account::Entity::find_by_id(Fixed(user)).lock_exclusive().one(db.conn)).await
}

async fn update<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    values: &[(account::Column, Expr)],
) -> Result<(), StoreError> {
    let mut update = account::Entity::update_many().filter(account::Column::Id.eq(Fixed(user)));
    for (column, value) in values {
        update = update.col_expr(*column, value.clone());
    }
    db.ask(update.exec(db.conn)).await.map(drop)
}

fn of_user(user: UserId) -> Condition {
    Condition::all().add(device::Column::UserId.eq(Fixed(user)))
}

pub(super) async fn set_disabled<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    disabled: bool,
    reason: &str,
    by: &By,
) -> Result<Option<Vec<DeviceId>>, StoreError> {
    let Some(row) = ruled(db, Some(user), by).await? else { return Ok(None) };
    if row.disabled_ms.is_some() == disabled {
        // A core of the release before may have let them in since.
        return if disabled { sign_out(db, of_user(user), by.now).await.map(Some) } else { Ok(Some(Vec::new())) };
    }
    let since = disabled.then_some(by.now);
    update(db, user, &[(account::Column::DisabledMs, Expr::value(since))]).await?;
    note(db, if disabled { Act::Disabled } else { Act::Enabled }, Some(user), reason, by).await?;
    // Whoever logs in at this moment waits for the row, and is refused.
    if disabled { sign_out(db, of_user(user), by.now).await.map(Some) } else { Ok(Some(Vec::new())) }
}

pub(super) async fn set_administrator<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    administrator: bool,
    by: &By,
) -> Result<bool, StoreError> {
    let Some(row) = ruled(db, Some(user), by).await? else { return Ok(false) };
    if row.administrator_ms.is_some() != administrator {
        let since = administrator.then_some(by.now);
        update(db, user, &[(account::Column::AdministratorMs, Expr::value(since))]).await?;
        let act = if administrator { Act::AdministratorMade } else { Act::AdministratorEnded };
        note(db, act, Some(user), "", by).await?;
    }
    Ok(true)
}

pub(super) async fn reset_access<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    password_hash: &str,
    until_ms: Millis,
    by: &By,
) -> Result<Option<Vec<DeviceId>>, StoreError> {
    if ruled(db, Some(user), by).await?.is_none() {
        return Ok(None);
    }
    let values = [
        (account::Column::PasswordHash, Expr::value(password_hash)),
        (account::Column::OneTimeUntilMs, Expr::value(Some(until_ms))),
    ];
    update(db, user, &values).await?;
    // Who lost the password may have lost the authenticator with it.
    second_factors::remove(db, user, by).await?;
    note(db, Act::AccessReset, Some(user), "", by).await?;
    sign_out(db, of_user(user), by.now).await.map(Some)
}

pub(super) async fn sign_out_user<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    device: Option<DeviceId>,
    by: &By,
) -> Result<Vec<DeviceId>, StoreError> {
    ruled(db, Some(user), by).await?;
    let which = match device {
        Some(device) => of_user(user).add(device::Column::Id.eq(Fixed(device))),
        None => of_user(user),
    };
    let gone = sign_out(db, which, by.now).await?;
    if !gone.is_empty() {
        note(db, Act::SignedOut, Some(user), "", by).await?;
    }
    Ok(gone)
}

pub(super) async fn redeem<C: ConnectionTrait>(
    db: &Db<'_, C>,
    device: NewDevice,
    expected: &str,
    new: &str,
) -> Result<bool, StoreError> {
    let row = locked(db, device.user).await?;
    let good = |row: &account::Model| {
        let lives = row.one_time_until_ms.is_some_and(|until| until > device.created_ms);
        row.password_hash == expected && lives && row.disabled_ms.is_none()
    };
    if !row.is_some_and(|row| good(&row)) {
        return Ok(false);
    }
    let values = [
        (account::Column::PasswordHash, Expr::value(new)),
        (account::Column::OneTimeUntilMs, Expr::value(None::<Millis>)),
    ];
    update(db, device.user, &values).await?;
    let by = accounts::by_device(&device);
    note(db, Act::PasswordChanged, by.actor, "", &by).await?;
    note(db, Act::LoggedIn, by.actor, &device.name, &by).await?;
    devices::create(db, device).await?;
    Ok(true)
}

pub(super) async fn invite<C: ConnectionTrait>(db: &Db<'_, C>, new: Invitation, by: &By) -> Result<(), StoreError> {
    ruled(db, None, by).await?;
    // The lapsed ones are of no use to anybody.
    let lapsed = invitation::Entity::delete_many().filter(invitation::Column::UntilMs.lte(by.now));
    db.ask(lapsed.exec(db.conn)).await?;
    let row = invitation::Model { code: Fixed(new.code), until_ms: new.until_ms, uses_left: i64::from(new.uses) };
    db.ask(invitation::Entity::insert(invitation::ActiveModel::from(row)).exec_without_returning(db.conn)).await?;
    note(db, Act::Invited, None, &new.uses.to_string(), by).await
}

/// An invitation that has a use left then.
fn good(code: &Hash, now: Millis) -> Select<invitation::Entity> {
    invitation::Entity::find_by_id(Fixed(*code))
        .filter(invitation::Column::UsesLeft.gt(0))
        .filter(invitation::Column::UntilMs.gt(now))
}

pub(super) async fn is_invited<C: ConnectionTrait>(
    db: &Db<'_, C>,
    code: &Hash,
    now: Millis,
) -> Result<bool, StoreError> {
    Ok(db.ask(good(code, now).one(db.conn)).await?.is_some())
}

pub(super) async fn create_invited<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: NewUser,
    device: NewDevice,
    code: &Hash,
) -> Result<Invited, StoreError> {
    let good = good(code, user.created_ms).lock_exclusive();
    if db.ask(good.one(db.conn)).await?.is_none() {
        return Ok(Invited::Invalid);
    }
    if !accounts::create(db, user, device).await? {
        return Ok(Invited::NameTaken);
    }
    let used = invitation::Entity::update_many()
        .col_expr(invitation::Column::UsesLeft, Expr::col(invitation::Column::UsesLeft).sub(1))
        .filter(invitation::Column::Code.eq(Fixed(*code)));
    db.ask(used.exec(db.conn)).await?;
    Ok(Invited::Created)
}
