//! Second factors.

use gogochat_proto::ids::UserId;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QuerySelect as _,
    sea_query::Expr,
};

use super::{Db, audit::note};
use crate::store::{
    Act, By, FactorProof, FactorSecret, Hash, SecondFactor, StoreError,
    entity::{Fixed, account, recovery_code, second_factor},
};

pub(super) async fn of<C: ConnectionTrait>(db: &Db<'_, C>, user: UserId) -> Result<Option<SecondFactor>, StoreError> {
    let found = second_factor::Entity::find_by_id(Fixed(user));
    Ok(db.ask(found.one(db.conn)).await?.map(SecondFactor::from))
}

pub(super) async fn codes_left<C: ConnectionTrait>(db: &Db<'_, C>, user: UserId) -> Result<u64, StoreError> {
    let left = recovery_code::Entity::find().filter(recovery_code::Column::UserId.eq(Fixed(user)));
    db.ask(left.count(db.conn)).await
}

pub(super) async fn begin<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    secret: FactorSecret,
) -> Result<bool, StoreError> {
    if locked(db, user).await?.is_some_and(|row| row.on_ms.is_some()) {
        return Ok(false);
    }
    let row = second_factor::Model { user_id: Fixed(user), secret: Fixed(secret), on_ms: None, step: 0 };
    db.ask(second_factor::Entity::delete_by_id(Fixed(user)).exec(db.conn)).await?;
    let insert = second_factor::Entity::insert(second_factor::ActiveModel::from(row));
    db.ask(insert.exec_without_returning(db.conn)).await?;
    Ok(true)
}

pub(super) async fn turn_on<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    secret: FactorSecret,
    step: i64,
    recovery_codes: &[Hash],
    by: &By,
) -> Result<bool, StoreError> {
    if !locked(db, user).await?.is_some_and(|row| row.secret.0 == secret && row.on_ms.is_none()) {
        return Ok(false);
    }
    let on = second_factor::Entity::update_many()
        .col_expr(second_factor::Column::OnMs, Expr::value(Some(by.now)))
        .col_expr(second_factor::Column::Step, Expr::value(step))
        .filter(second_factor::Column::UserId.eq(Fixed(user)));
    db.ask(on.exec(db.conn)).await?;
    let codes = recovery_codes.iter().map(|code| recovery_code::Model { user_id: Fixed(user), code: Fixed(*code) });
    let codes = recovery_code::Entity::insert_many(codes.map(recovery_code::ActiveModel::from));
    db.ask(codes.exec_without_returning(db.conn)).await?;
    note(db, Act::SecondFactorOn, Some(user), "", by).await?;
    Ok(true)
}

pub(super) async fn spend<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    proof: FactorProof,
) -> Result<bool, StoreError> {
    // One statement: of two that come at once one finds it used.
    let used = match proof {
        FactorProof::Step(step) => {
            let later = second_factor::Entity::update_many()
                .col_expr(second_factor::Column::Step, Expr::value(step))
                .filter(second_factor::Column::UserId.eq(Fixed(user)))
                .filter(second_factor::Column::OnMs.is_not_null())
                .filter(second_factor::Column::Step.lt(step));
            db.ask(later.exec(db.conn)).await?.rows_affected
        }
        FactorProof::RecoveryCode(code) => {
            let code = recovery_code::Entity::delete_by_id((Fixed(user), Fixed(code)));
            db.ask(code.exec(db.conn)).await?.rows_affected
        }
    };
    Ok(used > 0)
}

pub(super) async fn remove<C: ConnectionTrait>(db: &Db<'_, C>, user: UserId, by: &By) -> Result<bool, StoreError> {
    let codes = recovery_code::Entity::delete_many().filter(recovery_code::Column::UserId.eq(Fixed(user)));
    db.ask(codes.exec(db.conn)).await?;
    let on = locked(db, user).await?.is_some_and(|row| row.on_ms.is_some());
    db.ask(second_factor::Entity::delete_by_id(Fixed(user)).exec(db.conn)).await?;
    if on {
        note(db, Act::SecondFactorOff, Some(user), "", by).await?;
    }
    Ok(on)
}

/// What a user has, which nobody else changes until this transaction ends, also where there is none yet.
async fn locked<C: ConnectionTrait>(db: &Db<'_, C>, user: UserId) -> Result<Option<second_factor::Model>, StoreError> {
    db.ask(account::Entity::find_by_id(Fixed(user)).lock_exclusive().one(db.conn)).await?;
    db.ask(second_factor::Entity::find_by_id(Fixed(user)).one(db.conn)).await
}
