//! Copies everything from one store into another that is empty. So an installation that outgrows
//! one file goes on where it was: ids, seqs, tokens and the names of messages stay, and clients'
//! cursors stay valid.
//!
//! Rows are copied in the order of their keys, some hundred in a transaction. So the last key that
//! the target has of a table says how far the copying has come, and one that was cut off goes on
//! behind it. A table of its own marks the target as unfinished until everything was compared.
//! Servers do not open such a target.

mod copy;
#[cfg(feature = "cluster")]
mod emptying;
mod progress;
mod sums;
mod tables;
mod verify;

use sea_orm::{EntityTrait as _, sea_query::Table};

#[cfg(feature = "cluster")]
pub(super) use self::emptying::{empty, has_begun, mark};
pub use self::progress::{Progress, Report, TransferError};
pub(super) use self::sums::{Sum, sums};
use self::tables::tables;
use super::{
    SqlStore, Store as _, StoreError,
    entity::move_progress,
    sql::{feed, migrate, schema},
};

/// What the target is to the source once it has all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Becomes {
    /// Another store, which goes on in its place: a move.
    Successor,
    /// The same store at one moment: a backup.
    Copy,
    /// The same store, which goes on from that moment another way than it once went: a restore.
    Restored,
}

/// What a run has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transferred {
    /// All of it is in the target now.
    Copied,
    /// It was there already: an earlier run has finished, and nothing was changed since.
    Before,
}

/// Copies everything and compares it. `name`, of at most 768 characters, tells the source from others, for
/// a run that goes on where one was cut off.
///
/// # Errors
/// The target has something else, the two are not the same in the end, or one of them cannot be used.
pub async fn transfer(
    source: &SqlStore,
    target: &SqlStore,
    name: &str,
    becomes: Becomes,
    report: Report<'_>,
) -> Result<Transferred, TransferError> {
    match claim(target, name).await {
        Ok(true) => report(Progress::Continues),
        Ok(false) => {}
        Err(other @ TransferError::OtherData { .. }) => {
            // What it has may be what an earlier run has brought there.
            return match compare(source, target, report).await {
                Ok(()) => Ok(Transferred::Before),
                Err(TransferError::Differs { .. }) => Err(other),
                Err(error) => Err(error),
            };
        }
        Err(error) => return Err(error),
    }
    for table in &tables() {
        copy::copy(source, target, table, report).await?;
    }
    compare(source, target, report).await?;
    carry_history(source, target).await?;
    if becomes == Becomes::Restored {
        target.renew_epoch().await.map_err(TransferError::Target)?;
    }
    if becomes != Becomes::Successor {
        let id = migrate::installation(&source.alone()).await.map_err(TransferError::Source)?;
        migrate::adopt(&target.alone(), id).await.map_err(TransferError::Target)?;
    }
    let finished = Table::drop().table(move_progress::Entity).take();
    target.alone().define(&finished).await.map_err(TransferError::Target)?;
    Ok(Transferred::Copied)
}

/// The target goes on with the source's history: what clients know of the one is true of the other.
async fn carry_history(source: &SqlStore, target: &SqlStore) -> Result<(), TransferError> {
    let history = feed::history(&source.alone()).await.map_err(TransferError::Source)?;
    let transaction = target.write().await.map_err(TransferError::Target)?;
    let result = feed::take_history(&target.within(&transaction), history).await;
    target.finish(transaction, result).await.map_err(TransferError::Target)
}

async fn compare(source: &SqlStore, target: &SqlStore, report: Report<'_>) -> Result<(), TransferError> {
    for table in &tables() {
        report(verify::verify(source, target, table).await?);
    }
    Ok(())
}

/// A table that has rows, and how many.
pub(super) async fn data(store: &SqlStore) -> Result<Option<(String, i64)>, StoreError> {
    for table in tables() {
        let rows = table.count(store).await?;
        if rows > 0 {
            return Ok(Some((table.name, rows)));
        }
    }
    Ok(None)
}

/// Whether a store has a part alone of what was to be copied into it.
pub(super) async fn is_unfinished(store: &SqlStore) -> Result<bool, StoreError> {
    let db = store.alone();
    // sea-query has no words for what tables there are.
    let sql = match db.conn.get_database_backend() {
        sea_orm::DbBackend::Sqlite => "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'move_progress'",
        _ => {
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'move_progress'"
        }
    };
    let row = db.row(sql, vec![]).await?;
    Ok(row.map_or(Ok(0), |row| row.int(0))? > 0)
}

/// Makes the target this source's. `true`: it was already, by a run that was cut off.
async fn claim(target: &SqlStore, name: &str) -> Result<bool, TransferError> {
    let db = target.alone();
    if is_unfinished(target).await.map_err(TransferError::Target)? {
        let row = db.ask(move_progress::Entity::find().one(db.conn)).await.map_err(TransferError::Target)?;
        match row.map(|row| row.source) {
            Some(found) if found == name => return Ok(true),
            Some(found) => return Err(TransferError::OtherSource { found }),
            // Emptied, or cut off between the table and its row.
            None => {}
        }
    }
    if let Some((table, rows)) = data(target).await.map_err(TransferError::Target)? {
        return Err(TransferError::OtherData { table, rows });
    }
    db.define(&schema::table(&db, move_progress::Entity)).await.map_err(TransferError::Target)?;
    let transaction = target.write().await.map_err(TransferError::Target)?;
    let row = move_progress::ActiveModel::from(move_progress::Model { source: name.to_owned() });
    let insert = move_progress::Entity::insert(row).exec_without_returning(&transaction);
    let result = target.within(&transaction).ask(insert).await.map(drop);
    target.finish(transaction, result).await.map_err(TransferError::Target)?;
    Ok(false)
}
