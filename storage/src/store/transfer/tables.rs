//! The tables that are copied, and how their rows are read and written.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait, IdenStatic as _, Iterable as _, Order,
    PrimaryKeyToColumn as _, Value,
    sea_query::{Alias, Asterisk, ColumnType, Expr, ExprTrait as _, InsertStatement, Query, SelectStatement},
};
use sha2::{Digest as _, Sha256};

use crate::store::{
    SqlStore, StoreError,
    entity::{
        account, audit, block, contact, device, event, feed, follower, invitation, invite, log, member, name_word,
        notice, recovery_code, second_factor, sent, signed_out, silent_event, spent_refresh,
    },
    sql::{Row, keyset::behind},
};

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// The columns of the primary key, in its order.
    key: Vec<String>,
    columns: Vec<(String, Kind)>,
    /// Whether rows belong to a log, their first column, and are compared log by log.
    pub(super) by_log: bool,
}

/// What is in a column; each may be NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bytes,
    Int,
    Text,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Bytes(Option<Vec<u8>>),
    Int(Option<i64>),
    Text(Option<String>),
}

impl Table {
    /// The table of an entity.
    fn of<E: EntityTrait>(entity: E) -> Self {
        Self {
            name: entity.table_name().to_owned(),
            key: E::PrimaryKey::iter().map(|key| key.into_column().as_str().to_owned()).collect(),
            columns: E::Column::iter()
                .map(|column| (column.as_str().to_owned(), Kind::of(column.def().get_column_type())))
                .collect(),
            by_log: false,
        }
    }

    /// All tables that an SQLite file has, whatever program has made them.
    pub(super) async fn all_of(store: &SqlStore) -> Result<Vec<Self>, StoreError> {
        let sql = "SELECT t.name, c.name, c.type, c.pk FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
                   WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY t.name, c.cid";
        let mut tables: Vec<(Self, Vec<(i64, String)>)> = Vec::new();
        for row in store.alone().rows(sql, vec![]).await? {
            let (name, column, kind, place) = (row.text(0)?, row.text(1)?, row.text(2)?, row.int(3)?);
            if tables.last().is_none_or(|(table, _)| table.name != name) {
                tables.push((Self { name, key: vec![], columns: vec![], by_log: false }, vec![]));
            }
            let Some((table, key)) = tables.last_mut() else { continue };
            if place > 0 {
                key.push((place, column.clone()));
            }
            table.columns.push((column, Kind::declared(&kind)));
        }
        let keyed = |(mut table, mut key): (Self, Vec<(i64, String)>)| {
            key.sort();
            table.key = key.into_iter().map(|(_, column)| column).collect();
            // One that has none has one row.
            if table.key.is_empty() {
                table.key = table.columns.iter().map(|(name, _)| name.clone()).collect();
            }
            table
        };
        Ok(tables.into_iter().map(keyed).collect())
    }

    pub(super) async fn count(&self, store: &SqlStore) -> Result<i64, StoreError> {
        let count = Query::select().expr(Expr::col(Asterisk).count()).from(Alias::new(&self.name)).take();
        let row = self.rows(store, &count).await?.pop();
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// The rows behind a key, or the first ones, in the order of keys.
    pub(super) async fn page(
        &self,
        store: &SqlStore,
        after: Option<&[Field]>,
        limit: usize,
    ) -> Result<Vec<Vec<Field>>, StoreError> {
        let mut page = self.select(&Order::Asc);
        if let Some(key) = after {
            let key =
                self.key.iter().zip(key).map(|(column, field)| (Expr::col(Alias::new(column)), field.clone().into()));
            page.and_where(behind(store.alone().conn.get_database_backend(), key.collect(), &Order::Asc));
        }
        let rows = self.rows(store, page.limit(limit as u64)).await?;
        rows.iter().map(|row| self.read(row)).collect()
    }

    /// The last key that a store has.
    pub(super) async fn last_key(&self, store: &SqlStore) -> Result<Option<Vec<Field>>, StoreError> {
        let row = self.rows(store, self.select(&Order::Desc).limit(1)).await?.pop();
        row.map(|row| Ok(self.key_of(&self.read(&row)?))).transpose()
    }

    /// The statement that inserts rows.
    pub(super) fn insert(&self, rows: Vec<Vec<Field>>) -> Result<InsertStatement, StoreError> {
        let columns = self.columns.iter().map(|(name, _)| Alias::new(name));
        let mut insert = Query::insert().into_table(Alias::new(&self.name)).columns(columns).take();
        for row in rows {
            let values = row.into_iter().map(|field| Expr::val(Value::from(field)));
            insert.values(values).map_err(|error| StoreError::Failed(error.to_string()))?;
        }
        Ok(insert)
    }

    /// All columns, in the order of keys.
    fn select(&self, order: &Order) -> SelectStatement {
        let mut select = Query::select();
        select.columns(self.columns.iter().map(|(name, _)| Alias::new(name))).from(Alias::new(&self.name));
        for column in &self.key {
            select.order_by(Alias::new(column), order.clone());
        }
        select
    }

    async fn rows(&self, store: &SqlStore, select: &SelectStatement) -> Result<Vec<Row>, StoreError> {
        let db = store.alone();
        Ok(db.ask(db.conn.query_all(select)).await?.into_iter().map(Row::from).collect())
    }

    pub(super) fn key_of(&self, row: &[Field]) -> Vec<Field> {
        let place = |column: &String| self.columns.iter().position(|(name, _)| name == column);
        self.key.iter().filter_map(place).filter_map(|place| row.get(place).cloned()).collect()
    }

    fn read(&self, row: &Row) -> Result<Vec<Field>, StoreError> {
        let fields = self.columns.iter().enumerate().map(|(place, (_, kind))| {
            Ok(match kind {
                Kind::Bytes => Field::Bytes(row.bytes_or_null(place)?),
                Kind::Int => Field::Int(row.int_or_null(place)?),
                Kind::Text => Field::Text(row.text_or_null(place)?),
            })
        });
        fields.collect()
    }
}

impl Kind {
    fn of(column: &ColumnType) -> Self {
        match column {
            ColumnType::SmallInteger | ColumnType::Integer | ColumnType::BigInteger => Self::Int,
            ColumnType::Char(_) | ColumnType::String(_) | ColumnType::Text => Self::Text,
            _ => Self::Bytes,
        }
    }

    /// Of a column as an SQLite schema declares it.
    fn declared(kind: &str) -> Self {
        let kind = kind.to_lowercase();
        match kind {
            _ if kind.contains("int") => Self::Int,
            _ if kind.contains("char") || kind.contains("text") => Self::Text,
            _ => Self::Bytes,
        }
    }
}

impl Field {
    /// Bytes that it takes in a statement, more or less.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
            Self::Text(text) => text.as_ref().map_or(0, String::len),
            Self::Int(_) => 8,
        }
    }

    /// Adds it to a hash, so that no two rows add the same.
    pub(super) fn hash(&self, hash: &mut Sha256) {
        let mut add = |kind: u8, bytes: Option<&[u8]>| {
            hash.update([kind, u8::from(bytes.is_some())]);
            hash.update((bytes.map_or(0, <[u8]>::len) as u64).to_le_bytes());
            hash.update(bytes.unwrap_or_default());
        };
        match self {
            Self::Bytes(bytes) => add(0, bytes.as_deref()),
            Self::Int(number) => add(1, number.map(i64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice)),
            Self::Text(text) => add(2, text.as_ref().map(String::as_bytes)),
        }
    }
}

impl From<Field> for Value {
    fn from(field: Field) -> Self {
        match field {
            Field::Bytes(bytes) => bytes.into(),
            Field::Int(number) => number.into(),
            Field::Text(text) => text.into(),
        }
    }
}

/// The tables that are a store's own, and stay with it: its version first. Its history goes along, in the
/// row that the target has for it.
#[cfg(any(test, feature = "cluster"))]
pub(super) const KEPT: [&str; 4] = ["schema_version", "schema_step", "installation", "history"];

/// All other tables, those first that others refer to.
pub(super) fn tables() -> [Table; 20] {
    [
        Table::of(account::Entity),
        Table::of(name_word::Entity),
        Table::of(audit::Entity),
        Table::of(invitation::Entity),
        Table::of(second_factor::Entity),
        Table::of(recovery_code::Entity),
        Table::of(device::Entity),
        Table::of(spent_refresh::Entity),
        Table::of(signed_out::Entity),
        Table::of(contact::Entity),
        Table::of(block::Entity),
        Table::of(log::Entity),
        Table::of(member::Entity),
        Table { by_log: true, ..Table::of(event::Entity) },
        Table { by_log: true, ..Table::of(silent_event::Entity) },
        Table::of(notice::Entity),
        Table::of(invite::Entity),
        Table::of(sent::Entity),
        Table::of(feed::Entity),
        Table::of(follower::Entity),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::sqlite;

    /// A column that is new in the schema has to be named here too. What a store is known by stays with it.
    #[tokio::test]
    async fn every_column_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite::open(&folder.path().join("gogochat.db")).await.unwrap();
        let sql = "SELECT t.name, c.name, c.pk FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
                   WHERE t.type = 'table' ORDER BY t.name, c.cid";
        let mut schema: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
        for row in store.alone().rows(sql, vec![]).await.unwrap() {
            schema.entry(row.text(0).unwrap()).or_default().push((row.text(1).unwrap(), row.int(2).unwrap()));
        }
        KEPT.iter().for_each(|kept| assert!(schema.remove(*kept).is_some(), "{kept}"));
        let named: BTreeMap<_, _> = tables()
            .iter()
            .map(|table| {
                let place =
                    |column: &str| table.key.iter().position(|key| key == column).map_or(0, |place| place as i64 + 1);
                let columns = table.columns.iter().map(|(name, _)| (name.clone(), place(name))).collect::<Vec<_>>();
                (table.name.clone(), columns)
            })
            .collect();
        assert_eq!(named, schema);
    }

    #[test]
    fn rows_that_differ_have_other_hashes() {
        let hash = |fields: &[Field]| {
            let mut hash = Sha256::new();
            fields.iter().for_each(|field| field.hash(&mut hash));
            hash.finalize()
        };
        let bytes = |bytes: &[u8]| Field::Bytes(Some(bytes.to_vec()));
        let rows = [
            vec![bytes(b"ab"), bytes(b"c")],
            vec![bytes(b"a"), bytes(b"bc")],
            vec![bytes(b"ab"), Field::Text(Some("c".into()))],
            vec![bytes(b"ab"), Field::Bytes(None)],
            vec![bytes(b"ab"), bytes(b"")],
            vec![bytes(b"ab"), Field::Int(Some(0))],
            vec![bytes(b"ab"), Field::Int(None)],
        ];
        for (n, one) in rows.iter().enumerate() {
            for other in &rows[n + 1..] {
                assert_ne!(hash(one), hash(other), "{one:?} {other:?}");
            }
        }
    }
}
