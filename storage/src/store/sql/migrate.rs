//! Bringing a store's schema to this program's version.

use std::collections::BTreeSet;

use sea_orm::{
    ConnectionTrait, EntityTrait, QueryOrder as _,
    sea_query::{Expr, ExprTrait as _},
};
use uuid::Uuid;

use super::{
    Db,
    schema::{self, LISTED, STEPS, VERSION},
};
use crate::store::{
    StoreError,
    entity::{Fixed, installation, schema_step, schema_version},
};

/// Why the store could not be brought to this program's schema.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MigrateError {
    /// A newer program has written it.
    #[error(
        "the store's schema is version {found}, newer than version {known}, the newest that this program knows: \
         run the newer program, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The oldest version of a program that may open the store.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// An older program has written it, and it is not to be changed.
    #[error("the store's schema is version {found}, older than version {known}, which this program works with")]
    Older {
        /// The store's.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// It is a backup.
    #[error("this file is a backup: put it in its place with `gogochat restore`")]
    Backup,
    /// Reading or writing it failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Brings the schema to the newest version; inside a transaction where the database can. Where it
/// cannot, one that was cut off is begun again.
pub(in crate::store) async fn migrate<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), MigrateError> {
    for table in schema::version_tables(db) {
        db.define(&table).await?;
    }
    let found = version(db).await?;
    let from = found.unwrap_or(0);
    if from > VERSION {
        return Err(MigrateError::Newer { found: from, known: VERSION });
    }
    let taken: BTreeSet<_> =
        db.ask(schema_step::Entity::find().all(db.conn)).await?.into_iter().map(|step| step.version).collect();
    let missing: Vec<_> = STEPS.iter().filter(|step| !taken.contains(&step.version)).collect();
    if from < LISTED || !missing.is_empty() {
        schema::create(db).await?;
        schema::change_listed(db, from).await?;
    }
    for step in missing {
        // A new store has just been made in the newest form, and has nothing to be filled.
        let is_new = from == 0;
        if !is_new {
            schema::change(db, step).await?;
        }
        let filled = i16::from(is_new);
        let (version, compatible_from) = (step.version, step.compatible_from);
        let step = schema_step::ActiveModel::from(schema_step::Model { version, compatible_from, filled });
        db.ask(schema_step::Entity::insert(step).exec_without_returning(db.conn)).await?;
    }
    allow(db, found).await?;
    if db.ask(installation::Entity::find().one(db.conn)).await?.is_none() {
        let row = installation::ActiveModel::from(installation::Model { id: Fixed(Uuid::new_v4()) });
        db.ask(installation::Entity::insert(row).exec_without_returning(db.conn)).await?;
    }
    Ok(())
}

/// Says which programs may open the store from now on.
async fn allow<C: ConnectionTrait>(db: &Db<'_, C>, found: Option<i64>) -> Result<(), StoreError> {
    let oldest = STEPS.iter().map(|step| step.compatible_from).max().unwrap_or(LISTED);
    match found {
        None => {
            let row = schema_version::ActiveModel::from(schema_version::Model { version: oldest, checked_ms: 0 });
            db.ask(schema_version::Entity::insert(row).exec_without_returning(db.conn)).await.map(drop)
        }
        Some(found) if found < oldest => {
            let raised = schema_version::Entity::update_many();
            let raised = raised.col_expr(schema_version::Column::Version, Expr::value(oldest));
            db.ask(raised.exec(db.conn)).await.map(drop)
        }
        Some(_) => Ok(()),
    }
}

/// What this store is known by.
pub(in crate::store) async fn installation<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<Uuid, StoreError> {
    let row = db.ask(installation::Entity::find().one(db.conn)).await?;
    row.map(|row| row.id.0).ok_or_else(|| StoreError::Failed("it has no installation".into()))
}

/// Makes it known by another's.
pub(in crate::store) async fn adopt<C: ConnectionTrait>(db: &Db<'_, C>, id: Uuid) -> Result<(), StoreError> {
    let adopted = installation::Entity::update_many().col_expr(installation::Column::Id, Expr::value(Fixed(id)));
    db.ask(adopted.exec(db.conn)).await.map(drop)
}

/// A store that is left as it is has to have the schema of this program, and no other.
pub(in crate::store) async fn require_current<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), MigrateError> {
    let oldest = version(db).await?.unwrap_or(0);
    let step = schema_step::Entity::find().order_by_desc(schema_step::Column::Version);
    let found = match db.ask(step.one(db.conn)).await {
        Ok(step) => step.map_or(oldest, |step| step.version),
        // There is no such table yet.
        Err(StoreError::Failed(_)) => oldest,
        Err(error) => return Err(error.into()),
    };
    match found {
        VERSION => Ok(()),
        found if found > VERSION => Err(MigrateError::Newer { found, known: VERSION }),
        found => Err(MigrateError::Older { found, known: VERSION }),
    }
}

async fn version<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<Option<i64>, StoreError> {
    let row = schema_version::Entity::find().order_by_desc(schema_version::Column::Version);
    Ok(db.ask(row.one(db.conn)).await?.map(|row| row.version))
}

/// Writes a row and so finds out whether writing works.
pub(super) async fn check<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    let more = Expr::col(schema_version::Column::CheckedMs).add(1);
    let write = schema_version::Entity::update_many().col_expr(schema_version::Column::CheckedMs, more);
    db.ask(write.exec(db.conn)).await.map(drop)
}
