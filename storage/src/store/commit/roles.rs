//! Who owns a group, where that is not said by the row of who commands: the one who follows an owner who
//! leaves, and the owner of a group that a program made which knows of no owners.

use gogochat_proto::ids::{LogId, UserId};
use sea_orm::{ConnectionTrait, Value};

use super::{
    keys::Keys,
    member_row::{MEMBER, read_member},
    state::{Cell, Kind, State},
};
use crate::store::{
    Role, StoreError,
    entity::FixedBytes,
    sql::{Db, owners},
};

/// Loads the members who may come to own a group. Nearly always nobody: who needs a role has it, and who
/// leaves is no owner.
pub(super) async fn load<C: ConnectionTrait>(
    db: &Db<'_, C>,
    keys: &Keys,
    loaded: &mut State,
) -> Result<(), StoreError> {
    for (log, user) in keys.ruling.iter().chain(&keys.leaving) {
        let is_group = loaded.log(*log).is_some_and(|log| log.kind == Kind::Group);
        if is_group && loaded.member(*log, *user).is_some_and(|member| member.role == Role::Member) {
            find_owner(db, *log, loaded).await?;
        }
    }
    for (log, user) in &keys.leaving {
        if loaded.member(*log, *user).is_some_and(|member| member.role == Role::Owner) || keys.crowned.contains(log) {
            // As many as the batch may take away or lower, and one.
            let others = keys.members.iter().filter(|(of, _)| of == log).count() + 1;
            for role in [Role::Admin, Role::Member] {
                let which = "log_id = ? AND role = ? ORDER BY joined_ms, user_id LIMIT ?";
                let values = vec![log.value(), role.number().into(), (others as i64).into()];
                add(db, which, values, loaded).await?;
            }
        }
    }
    Ok(())
}

/// Who follows the owner: the admin who joined first, else the member.
pub(super) fn heir(state: &State, log: LogId) -> Option<UserId> {
    let of_log = state.members.iter().filter(|((of, _), _)| *of == log);
    let there = of_log.filter_map(|((_, user), cell)| cell.now.as_ref().map(|member| (user, member)));
    there.min_by_key(|(user, member)| (std::cmp::Reverse(member.role), member.joined_ms, **user)).map(|(user, _)| *user)
}

/// A group always has an owner. Where no row says who it is, one is found, and the commit says so.
async fn find_owner<C: ConnectionTrait>(db: &Db<'_, C>, log: LogId, loaded: &mut State) -> Result<(), StoreError> {
    let Some(owner) = owners::find(db, log).await? else { return Ok(()) };
    add(db, "log_id = ? AND user_id = ?", vec![log.value(), owner.value()], loaded).await?;
    if let Some(member) = loaded.member(log, owner)
        && member.role != Role::Owner
        && let Some(member) = loaded.change_standing(log, owner)
    {
        member.role = Role::Owner;
    }
    Ok(())
}

async fn add<C: ConnectionTrait>(
    db: &Db<'_, C>,
    which: &str,
    values: Vec<Value>,
    loaded: &mut State,
) -> Result<(), StoreError> {
    for row in db.rows(format!("SELECT {MEMBER} FROM member WHERE {which}"), values).await? {
        let (key, member) = ((row.id(0)?, row.id(1)?), read_member(&row)?);
        loaded.members.entry(key).or_insert_with(|| Cell::stored(member));
    }
    Ok(())
}
