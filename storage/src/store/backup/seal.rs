//! The seal of a complete backup: what it is a backup of, and the sum of each table.

use std::{collections::BTreeMap, path::Path};

use sea_orm::{EntityName as _, EntityTrait as _};
use uuid::Uuid;

use super::BackupError;
use crate::store::{
    Millis, SqlStore, Store as _, StoreError,
    entity::{Fixed, backup, backup_sum},
    sql::schema,
    sqlite::{self, Purpose},
    transfer::{Report, Sum, sums},
};

/// Reads the file back and writes down what it has.
pub(super) async fn seal(path: &Path, begun: Millis, report: Report<'_>) -> Result<(), BackupError> {
    let failed = |error: StoreError| BackupError::of(path, error);
    let store = sqlite::open_for(path, Purpose::Make).await.map_err(failed)?;
    is_sound(&store, path).await?;
    let sums = sums(&store, &own(), report).await.map_err(failed)?;
    write(&store, begun, sums).await.map_err(failed)?;
    store.close().await;
    Ok(())
}

async fn write(store: &SqlStore, begun: Millis, sums: Vec<Sum>) -> Result<(), StoreError> {
    let transaction = store.write().await?;
    let db = store.within(&transaction);
    let written = async {
        db.define(&schema::table(&db, backup_sum::Entity)).await?;
        db.define(&schema::table(&db, backup::Entity)).await?;
        let sums = sums.into_iter().map(|Sum { table, rows, hash }| {
            backup_sum::ActiveModel::from(backup_sum::Model { name: table, row_count: rows, hash: Fixed(hash) })
        });
        db.ask(backup_sum::Entity::insert_many(sums).exec_without_returning(db.conn)).await?;
        let row = backup::Model { id: Fixed(Uuid::new_v4()), begun_ms: begun };
        db.ask(backup::Entity::insert(backup::ActiveModel::from(row)).exec_without_returning(db.conn)).await?;
        Ok(())
    };
    let result = written.await;
    store.finish(transaction, result).await
}

/// Reads a whole file and finds out whether it has what was written down of it: which backup it is.
pub(super) async fn check(store: &SqlStore, path: &Path, report: Report<'_>) -> Result<Uuid, BackupError> {
    let no_backup = || BackupError::NoBackup { path: path.to_owned() };
    let damaged = |what: String| BackupError::Damaged { path: path.to_owned(), what };
    let failed = |error: StoreError| match error {
        // SQLite's own words for it.
        StoreError::Failed(reason) if reason.contains("not a database") => no_backup(),
        StoreError::Failed(reason) => damaged(reason),
        other => BackupError::of(path, other),
    };
    let db = store.alone();
    if !sqlite::has_table(&db, backup::Entity.table_name()).await.map_err(failed)? {
        return Err(no_backup());
    }
    let row = db.ask(backup::Entity::find().one(db.conn)).await.map_err(failed)?.ok_or_else(no_backup)?;
    is_sound(store, path).await?;
    let noted = db.ask(backup_sum::Entity::find().all(db.conn)).await.map_err(failed)?;
    let noted: BTreeMap<_, _> = noted.into_iter().map(|sum| (sum.name, (sum.row_count, sum.hash.0))).collect();
    let found = sums(store, &own(), report).await.map_err(failed)?;
    let found: BTreeMap<_, _> = found.into_iter().map(|sum| (sum.table, (sum.rows, sum.hash))).collect();
    let differs = |table: &&String| noted.get(*table) != found.get(*table);
    match noted.keys().chain(found.keys()).find(differs) {
        Some(table) => Err(damaged(format!("the table {table} has not what it had when the backup was made"))),
        None => Ok(row.id.0),
    }
}

/// Whether SQLite finds nothing amiss, in indexes too.
async fn is_sound(store: &SqlStore, path: &Path) -> Result<(), BackupError> {
    let said = match store.alone().row("PRAGMA integrity_check(1)", vec![]).await {
        Ok(row) => row.map_or(Ok(String::new()), |row| row.text(0)),
        Err(error) => Err(error),
    };
    match said {
        Ok(ok) if ok == "ok" => Ok(()),
        Ok(what) | Err(StoreError::Failed(what)) => Err(BackupError::Damaged { path: path.to_owned(), what }),
        Err(error) => Err(BackupError::of(path, error)),
    }
}

/// The tables that make it a backup.
pub(super) fn own() -> [&'static str; 2] {
    [backup::Entity.table_name(), backup_sum::Entity.table_name()]
}
