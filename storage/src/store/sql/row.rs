//! Reading the columns of a row, by position.

use bytes::Bytes;
use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use sea_orm::{QueryResult, TryGetable, Value};

use crate::store::{Hash, StoreError, User};

/// A row of a result.
#[derive(Debug)]
pub(in crate::store) struct Row(pub(super) QueryResult);

impl Row {
    fn get<T: TryGetable>(&self, column: usize) -> Result<T, StoreError> {
        self.0.try_get_by_index(column).map_err(|error| StoreError::Failed(error.to_string()))
    }

    pub(in crate::store) fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.get(column)
    }

    pub(in crate::store) fn int_or_null(&self, column: usize) -> Result<Option<i64>, StoreError> {
        self.get(column)
    }

    pub(in crate::store) fn text(&self, column: usize) -> Result<String, StoreError> {
        self.get(column)
    }

    pub(in crate::store) fn text_or_null(&self, column: usize) -> Result<Option<String>, StoreError> {
        self.get(column)
    }

    pub(in crate::store) fn bytes(&self, column: usize) -> Result<Bytes, StoreError> {
        self.get::<Vec<u8>>(column).map(Bytes::from)
    }

    pub(in crate::store) fn bytes_or_null(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(column)
    }

    pub(in crate::store) fn id<T: SqlId>(&self, column: usize) -> Result<T, StoreError> {
        self.id_or_null(column)?.ok_or_else(|| malformed(column))
    }

    pub(in crate::store) fn id_or_null<T: SqlId>(&self, column: usize) -> Result<Option<T>, StoreError> {
        let bytes = self.get::<Option<Vec<u8>>>(column)?;
        bytes.map(|bytes| T::from_bytes(&bytes).ok_or_else(|| malformed(column))).transpose()
    }

    pub(in crate::store) fn hash(&self, column: usize) -> Result<Hash, StoreError> {
        self.get::<Vec<u8>>(column)?.try_into().map_err(|_| malformed(column))
    }

    /// A user in five columns from `first`, in the order of [`USER`].
    pub(in crate::store) fn user(&self, first: usize) -> Result<User, StoreError> {
        Ok(User {
            id: self.id(first)?,
            name: self.text(first + 1)?,
            display_name: self.text(first + 2)?,
            password_hash: self.text(first + 3)?,
            created_ms: self.int(first + 4)?,
        })
    }
}

/// The columns of a user, of the table or alias `a`.
pub(in crate::store) const USER: &str = "a.id, a.name, a.display_name, a.password_hash, a.created_ms";

fn malformed(column: usize) -> StoreError {
    StoreError::Failed(format!("column {column} has a value of the wrong length"))
}

/// An id in a column.
pub(in crate::store) trait SqlId: Copy {
    /// From what is in the column.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
    /// For the column.
    fn value(self) -> Value;
}

macro_rules! sql_id {
    ($($id:ident),*) => {$(
        impl SqlId for $id {
            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                Self::from_slice(bytes)
            }

            fn value(self) -> Value {
                Value::Bytes(Some(self.as_bytes().to_vec()))
            }
        }
    )*};
}

sql_id!(UserId, DeviceId, LogId, ClientMsgId);

impl<T: SqlId> SqlId for Option<T> {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        T::from_bytes(bytes).map(Some)
    }

    fn value(self) -> Value {
        self.map_or(Value::Bytes(None), SqlId::value)
    }
}
