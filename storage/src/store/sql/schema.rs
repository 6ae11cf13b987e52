//! The schema, made from the entities.

use sea_orm::{
    ConnectionTrait, DbBackend, EntityTrait, Schema,
    sea_query::{Index, IndexCreateStatement, Table, TableCreateStatement},
};

use super::Db;
use crate::store::{
    StoreError,
    entity::{
        account, contact, device, event, installation, log, member, schema_version, sent, signed_out, spent_refresh,
    },
};

/// The definition of an entity's table, unless it is there.
pub(in crate::store) fn table<C: ConnectionTrait>(db: &Db<'_, C>, entity: impl EntityTrait) -> TableCreateStatement {
    let mut table = Schema::new(db.conn.get_database_backend()).create_table_from_entity(entity);
    table.if_not_exists();
    (db.dialect.table)(&mut table);
    table
}

/// Makes all of a new store's tables and indexes that are not there yet.
pub(super) async fn create<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    // Those first that others refer to.
    db.define(&table(db, account::Entity)).await?;
    db.define(&table(db, device::Entity)).await?;
    db.define(&table(db, spent_refresh::Entity)).await?;
    db.define(&table(db, signed_out::Entity)).await?;
    db.define(&table(db, contact::Entity)).await?;
    let mut pair = Index::create().unique().name("log_pair").col(log::Column::UserA).col(log::Column::UserB).take();
    db.define(table(db, log::Entity).index(&mut pair)).await?;
    db.define(&table(db, member::Entity)).await?;
    db.define(&table(db, event::Entity)).await?;
    db.define(&table(db, sent::Entity)).await?;
    db.define(&table(db, installation::Entity)).await?;
    for mut index in indexes() {
        // MySQL has no such words; there an index that is there is passed over.
        if db.conn.get_database_backend() == DbBackend::Sqlite {
            index.if_not_exists();
        }
        db.define(&index).await?;
    }
    Ok(())
}

fn indexes() -> [IndexCreateStatement; 4] {
    let device_user = Index::create().name("device_user").table(device::Entity).col(device::Column::UserId).take();
    let spent_device = Index::create()
        .name("spent_refresh_device")
        .table(spent_refresh::Entity)
        .col(spent_refresh::Column::DeviceId)
        .take();
    let member_user = Index::create()
        .name("member_user")
        .table(member::Entity)
        .col(member::Column::UserId)
        .col(member::Column::LogId)
        .take();
    let member_joined = Index::create()
        .name("member_joined")
        .table(member::Entity)
        .col(member::Column::LogId)
        .col(member::Column::JoinedMs)
        .col(member::Column::UserId)
        .take();
    [device_user, spent_device, member_user, member_joined]
}

/// Adds what a store of an earlier version lacks beside whole tables.
pub(super) async fn change<C: ConnectionTrait>(db: &Db<'_, C>, from: i64) -> Result<(), StoreError> {
    if (1..3).contains(&from) {
        let schema = Schema::new(db.conn.get_database_backend());
        let mut refused = schema.get_column_def::<sent::Entity>(sent::Column::Refused);
        db.define(Table::alter().table(sent::Entity).add_column(&mut refused)).await?;
    }
    Ok(())
}

/// The definition of the table with the version.
pub(super) fn version_table<C: ConnectionTrait>(db: &Db<'_, C>) -> TableCreateStatement {
    table(db, schema_version::Entity)
}

/// The schema's version: 1 to 4 were made by lists of statements.
pub(super) const VERSION: i64 = 4;
