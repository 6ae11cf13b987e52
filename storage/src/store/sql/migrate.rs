//! The schema's versions.

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::Db;
use crate::store::StoreError;

/// Why the store could not be brought to this program's schema.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MigrateError {
    /// A newer program has written it.
    #[error(
        "the store's schema is version {found}, newer than version {known}, the newest that this program knows: \
         run the newer program, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The store's.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// Reading or writing it failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Brings the schema to the newest version; inside a transaction where the database can. Where it cannot, one that was cut off is begun again.
pub(in crate::store) async fn migrate<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), MigrateError> {
    db.define("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL, checked_ms BIGINT NOT NULL)")
        .await?;
    let row = db.row("SELECT MAX(version) FROM schema_version", vec![]).await?;
    let found = row.map_or(Ok(None), |row| row.int_or_null(0))?;
    let known = MIGRATIONS.len() as i64;
    let from = found.unwrap_or(0);
    if from > known {
        return Err(MigrateError::Newer { found: from, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        for statement in statements(migration) {
            db.define(&statement.replace("{table}", db.dialect.table)).await?;
        }
    }
    match found {
        None => {
            db.execute("INSERT INTO schema_version (version, checked_ms) VALUES (?, 0)", vec![known.into()]).await?
        }
        Some(_) => db.execute("UPDATE schema_version SET version = ?", vec![known.into()]).await?,
    };
    if db.row(INSTALLATION, vec![]).await?.is_none() {
        let id = Uuid::new_v4().as_bytes().to_vec();
        db.execute("INSERT INTO installation (id) VALUES (?)", vec![id.into()]).await?;
    }
    Ok(())
}

/// What this store is known by.
pub(super) async fn installation<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<Uuid, StoreError> {
    let row = db.row(INSTALLATION, vec![]).await?.ok_or_else(|| StoreError::Failed("it has no installation".into()))?;
    Uuid::from_slice(&row.bytes(0)?).map_err(|error| StoreError::Failed(format!("its installation: {error}")))
}

/// The statements of a list, without its comments.
fn statements(list: &str) -> Vec<String> {
    let code: Vec<_> = list.lines().filter(|line| !line.starts_with("--")).collect();
    let statements = code.join("\n");
    statements.split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
}

/// Writes a row and so finds out whether writing works.
pub(super) async fn check<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    db.execute("UPDATE schema_version SET checked_ms = checked_ms + 1", vec![]).await.map(drop)
}

/// Version n is made from version n - 1 by statement list n, counted from 1.
const MIGRATIONS: [&str; 4] = [
    include_str!("../migrations/1.sql"),
    include_str!("../migrations/2.sql"),
    include_str!("../migrations/3.sql"),
    include_str!("../migrations/4.sql"),
];

const INSTALLATION: &str = "SELECT id FROM installation";
