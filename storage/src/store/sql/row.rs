//! Reading the columns of a row, by position.

use sea_orm::{QueryResult, TryGetable};

use crate::store::{Hash, StoreError, entity::FixedBytes};

/// A row of a result.
#[derive(Debug)]
pub(in crate::store) struct Row(QueryResult);

impl From<QueryResult> for Row {
    fn from(row: QueryResult) -> Self {
        Self(row)
    }
}

impl Row {
    pub(in crate::store) fn get<T: TryGetable>(&self, column: usize) -> Result<T, StoreError> {
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

    pub(in crate::store) fn bytes_or_null(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(column)
    }

    pub(in crate::store) fn id<T: FixedBytes>(&self, column: usize) -> Result<T, StoreError> {
        self.id_or_null(column)?.ok_or_else(|| malformed(column))
    }

    pub(in crate::store) fn id_or_null<T: FixedBytes>(&self, column: usize) -> Result<Option<T>, StoreError> {
        let bytes = self.get::<Option<Vec<u8>>>(column)?;
        bytes.map(|bytes| T::from_bytes(&bytes).ok_or_else(|| malformed(column))).transpose()
    }

    pub(in crate::store) fn hash(&self, column: usize) -> Result<Hash, StoreError> {
        self.get::<Vec<u8>>(column)?.try_into().map_err(|_| malformed(column))
    }
}

fn malformed(column: usize) -> StoreError {
    StoreError::Failed(format!("column {column} has a value of the wrong length"))
}
