//! What there is to copy.

use sea_orm::{DbBackend, Value};
use sha2::{Digest as _, Sha256};

use crate::store::{
    SqlStore, StoreError,
    sql::{Row, db::placeholders},
};

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The columns of the primary key, in its order.
    key: &'static [&'static str],
    columns: &'static [(&'static str, Kind)],
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
    pub(super) async fn count(&self, store: &SqlStore) -> Result<i64, StoreError> {
        let row = store.read().row(format!("SELECT COUNT(*) FROM {}", self.name), vec![]).await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// The rows behind a key, or the first ones, in the order of keys.
    pub(super) async fn page(
        &self,
        store: &SqlStore,
        after: Option<&[Field]>,
        limit: usize,
    ) -> Result<Vec<Vec<Field>>, StoreError> {
        let db = store.read();
        let (condition, mut values) = match after {
            None => (String::new(), Vec::new()),
            Some(key) => self.behind(key, db.conn.get_database_backend()),
        };
        values.push((limit as i64).into());
        let (columns, name, key) = (self.names(), self.name, self.key.join(", "));
        let rows = db.rows(format!("SELECT {columns} FROM {name} {condition} ORDER BY {key} LIMIT ?"), values).await?;
        rows.iter().map(|row| self.read(row)).collect()
    }

    /// The last key that a store has.
    pub(super) async fn last_key(&self, store: &SqlStore) -> Result<Option<Vec<Field>>, StoreError> {
        let order = self.key.iter().map(|column| format!("{column} DESC")).collect::<Vec<_>>().join(", ");
        let (columns, name) = (self.names(), self.name);
        let row = store.read().row(format!("SELECT {columns} FROM {name} ORDER BY {order} LIMIT 1"), vec![]).await?;
        row.map(|row| Ok(self.key_of(&self.read(&row)?))).transpose()
    }

    /// The statement that inserts so many rows.
    pub(super) fn insert(&self, rows: usize) -> String {
        let row = format!("({})", placeholders(self.columns.len()));
        let list = vec![row.as_str(); rows].join(", ");
        format!("INSERT INTO {} ({}) VALUES {list}", self.name, self.names())
    }

    pub(super) fn key_of(&self, row: &[Field]) -> Vec<Field> {
        let place = |column: &&str| self.columns.iter().position(|(name, _)| name == column);
        self.key.iter().filter_map(place).filter_map(|place| row.get(place).cloned()).collect()
    }

    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
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

    /// The condition that a row lies behind a key. Each database finds such rows by its index in one of the two ways of saying it.
    fn behind(&self, key: &[Field], backend: DbBackend) -> (String, Vec<Value>) {
        if backend == DbBackend::Sqlite {
            let condition = format!("WHERE ({}) > ({})", self.key.join(", "), placeholders(self.key.len()));
            return (condition, key.iter().cloned().map(Value::from).collect());
        }
        // a > ? OR (a = ? AND (b > ? OR (b = ? AND c > ?)))
        let (mut condition, mut values) = (String::new(), Vec::new());
        for (place, (column, field)) in self.key.iter().zip(key).enumerate() {
            let value = Value::from(field.clone());
            if place + 1 == self.key.len() {
                condition += &format!("{column} > ?{}", "))".repeat(place));
                values.push(value);
            } else {
                condition += &format!("{column} > ? OR ({column} = ? AND (");
                values.extend([value.clone(), value]);
            }
        }
        (format!("WHERE {condition}"), values)
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

use Kind::{Bytes, Int, Text};

/// All tables, those first that others refer to.
pub(super) const TABLES: [Table; 9] = [
    Table {
        name: "account",
        key: &["id"],
        columns: &[("id", Bytes), ("name", Text), ("display_name", Text), ("password_hash", Text), ("created_ms", Int)],
        by_log: false,
    },
    Table {
        name: "device",
        key: &["id"],
        columns: &[
            ("id", Bytes),
            ("user_id", Bytes),
            ("name", Text),
            ("created_ms", Int),
            ("last_seen_ms", Int),
            ("access_hash", Bytes),
            ("access_expires_ms", Int),
            ("refresh_hash", Bytes),
            ("refresh_expires_ms", Int),
            ("generation", Int),
        ],
        by_log: false,
    },
    Table {
        name: "spent_refresh",
        key: &["refresh_hash"],
        columns: &[
            ("refresh_hash", Bytes),
            ("device_id", Bytes),
            ("generation", Int),
            ("spent_ms", Int),
            ("expires_ms", Int),
        ],
        by_log: false,
    },
    Table {
        name: "signed_out",
        key: &["number"],
        columns: &[("number", Int), ("device_id", Bytes), ("user_id", Bytes), ("until_ms", Int)],
        by_log: false,
    },
    Table {
        name: "contact",
        key: &["user_id", "peer_id"],
        columns: &[
            ("user_id", Bytes),
            ("peer_id", Bytes),
            ("state", Int),
            ("note", Text),
            ("since_ms", Int),
            ("log_id", Bytes),
        ],
        by_log: false,
    },
    Table {
        name: "log",
        key: &["id"],
        columns: &[
            ("id", Bytes),
            ("kind", Int),
            ("last_seq", Int),
            ("last_ms", Int),
            ("member_count", Int),
            ("writable", Int),
            ("title", Text),
            ("user_a", Bytes),
            ("user_b", Bytes),
        ],
        by_log: false,
    },
    Table {
        name: "member",
        key: &["log_id", "user_id"],
        columns: &[
            ("log_id", Bytes),
            ("user_id", Bytes),
            ("joined_ms", Int),
            ("from_seq", Int),
            ("delivered_seq", Int),
            ("read_seq", Int),
        ],
        by_log: false,
    },
    Table {
        name: "event",
        key: &["log_id", "seq"],
        columns: &[
            ("log_id", Bytes),
            ("seq", Int),
            ("body", Int),
            ("time_ms", Int),
            ("sender_id", Bytes),
            ("device_id", Bytes),
            ("client_msg_id", Bytes),
            ("payload", Bytes),
        ],
        by_log: true,
    },
    Table {
        name: "sent",
        key: &["client_msg_id", "log_id", "sender_id", "device_id"],
        columns: &[
            ("log_id", Bytes),
            ("sender_id", Bytes),
            ("device_id", Bytes),
            ("client_msg_id", Bytes),
            ("request_hash", Bytes),
            ("seq", Int),
            ("time_ms", Int),
            ("added", Int),
            ("target", Bytes),
            ("refused", Int),
        ],
        by_log: false,
    },
];

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
                   WHERE t.type = 'table' AND t.name NOT IN ('schema_version', 'installation') ORDER BY t.name, c.cid";
        let mut schema: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
        for row in store.read().rows(sql, vec![]).await.unwrap() {
            schema.entry(row.text(0).unwrap()).or_default().push((row.text(1).unwrap(), row.int(2).unwrap()));
        }
        let named: BTreeMap<_, _> = TABLES
            .iter()
            .map(|table| {
                let place =
                    |column: &str| table.key.iter().position(|key| *key == column).map_or(0, |place| place as i64 + 1);
                let columns =
                    table.columns.iter().map(|(name, _)| ((*name).to_owned(), place(name))).collect::<Vec<_>>();
                (table.name.to_owned(), columns)
            })
            .collect();
        assert_eq!(named, schema);
    }

    #[test]
    fn a_key_is_left_behind_in_either_way() {
        let table = TABLES.iter().find(|table| table.name == "event").unwrap();
        let key = [Field::Bytes(Some(vec![1])), Field::Int(Some(2))];
        let (condition, values) = table.behind(&key, DbBackend::MySql);
        assert_eq!(condition, "WHERE log_id > ? OR (log_id = ? AND (seq > ?))");
        assert_eq!(values.len(), 3);
        let (condition, values) = table.behind(&key, DbBackend::Sqlite);
        assert_eq!((condition.as_str(), values.len()), ("WHERE (log_id, seq) > (?, ?)", 2));
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
