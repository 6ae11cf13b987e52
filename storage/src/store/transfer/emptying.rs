//! Empties a store on MySQL, so that a backup can be restored into it.

use sea_orm::{
    EntityTrait as _,
    sea_query::{Alias, Table},
};

use super::{is_unfinished, tables};
use crate::store::{
    SqlStore, StoreError,
    entity::move_progress,
    sql::{
        migrate::{self, MigrateError},
        schema,
    },
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

/// Marks a store as unfinished, and as nobody's: from here on no server opens it, and nobody goes on with
/// what an earlier run has copied.
pub(in crate::store) async fn mark(store: &SqlStore) -> Result<(), StoreError> {
    let db = store.alone();
    db.define(&schema::table(&db, move_progress::Entity)).await?;
    db.ask(move_progress::Entity::delete_many().exec(db.conn)).await.map(drop)
}

/// Gives up all that a store has on MySQL, whose schema does not change by halves elsewhere. Cut off, the
/// store has a part of what it had, no version, and its mark.
pub(in crate::store) async fn empty(store: &SqlStore) -> Result<(), MigrateError> {
    let db = store.alone();
    // What says that the schema is there goes first, what others refer to last.
    let names = tables::KEPT.into_iter().map(str::to_owned);
    for name in names.chain(tables::tables().into_iter().rev().map(|table| table.name)) {
        db.define(&Table::drop().table(Alias::new(name)).if_exists().take()).await?;
    }
    migrate::migrate(&db).await
}
