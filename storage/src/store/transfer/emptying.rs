//! Empties a store on MySQL, so that a backup can be restored into it.

use sea_orm::{
    EntityName as _, EntityTrait as _,
    sea_query::{Alias, Table},
};

use super::{is_unfinished, tables};
use crate::store::{
    SqlStore, StoreError,
    entity::move_progress,
    sql::migrate::{self, MigrateError},
};

/// Whether an earlier run has begun to copy this source into the target, and did not come to its end.
pub(in crate::store) async fn has_begun(target: &SqlStore, name: &str) -> Result<bool, StoreError> {
    let db = target.alone();
    if !is_unfinished(target).await? {
        return Ok(false);
    }
    let row = db.ask(move_progress::Entity::find().one(db.conn)).await?;
    Ok(row.is_some_and(|row| row.source == name))
}

/// Gives up all that a store has on MySQL, whose schema does not change by halves elsewhere. Cut off, the
/// store has a part of what it had, and no version.
pub(in crate::store) async fn empty(store: &SqlStore) -> Result<(), MigrateError> {
    let db = store.alone();
    // What says that the schema is there goes first, what others refer to last.
    let names = tables::KEPT.into_iter().map(str::to_owned).chain([move_progress::Entity.table_name().to_owned()]);
    for name in names.chain(tables::tables().into_iter().rev().map(|table| table.name)) {
        db.define(&Table::drop().table(Alias::new(name)).if_exists().take()).await?;
    }
    migrate::migrate(&db).await
}
