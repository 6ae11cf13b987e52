//! What has a fixed number of bytes, in a column: ids, which are UUIDs, and hashes.

use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use sea_orm::{
    ActiveValue, ColIdx, DbErr, IntoActiveValue, QueryResult, TryFromU64, TryGetError, TryGetable, Value,
    sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr},
};
use uuid::Uuid;

use crate::store::{FactorSecret, Hash};

/// A value of a column `BINARY(n)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct Fixed<T>(pub(in crate::store) T);

/// What always has the same number of bytes.
pub(in crate::store) trait FixedBytes: Copy {
    /// How many.
    const LENGTH: u32;
    /// From what is in a column; `None` when it has another number of bytes.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
    /// For a column.
    fn value(self) -> Value;
}

macro_rules! id {
    ($($id:ident),*) => {$(
        impl FixedBytes for $id {
            const LENGTH: u32 = 16;

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                Self::from_slice(bytes)
            }

            fn value(self) -> Value {
                Value::Bytes(Some(self.as_bytes().to_vec()))
            }
        }
    )*};
}

id!(UserId, DeviceId, LogId, ClientMsgId);

impl FixedBytes for Uuid {
    const LENGTH: u32 = 16;

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_slice(bytes).ok()
    }

    fn value(self) -> Value {
        Value::Bytes(Some(self.as_bytes().to_vec()))
    }
}

macro_rules! bytes {
    ($($bytes:ty = $length:literal),*) => {$(
        impl FixedBytes for $bytes {
            const LENGTH: u32 = $length;

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok()
            }

            fn value(self) -> Value {
                Value::Bytes(Some(self.to_vec()))
            }
        }
    )*};
}

bytes!(Hash = 32, FactorSecret = 20);

impl<T: FixedBytes> FixedBytes for Option<T> {
    const LENGTH: u32 = T::LENGTH;

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        T::from_bytes(bytes).map(Some)
    }

    fn value(self) -> Value {
        self.map_or(Value::Bytes(None), T::value)
    }
}

impl<T: FixedBytes> From<Fixed<T>> for Value {
    fn from(fixed: Fixed<T>) -> Self {
        fixed.0.value()
    }
}

impl<T: FixedBytes> TryGetable for Fixed<T> {
    fn try_get_by<I: ColIdx>(row: &QueryResult, column: I) -> Result<Self, TryGetError> {
        let bytes = Vec::<u8>::try_get_by(row, column)?;
        let malformed = || DbErr::Type(format!("a value has {} bytes instead of {}", bytes.len(), T::LENGTH));
        T::from_bytes(&bytes).map(Self).ok_or_else(malformed).map_err(TryGetError::DbErr)
    }
}

impl<T: FixedBytes> ValueType for Fixed<T> {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        match value {
            Value::Bytes(Some(bytes)) => T::from_bytes(&bytes).map(Self).ok_or(ValueTypeErr),
            _ => Err(ValueTypeErr),
        }
    }

    fn type_name() -> String {
        "Fixed".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::Bytes
    }

    fn column_type() -> ColumnType {
        ColumnType::Binary(T::LENGTH)
    }
}

impl<T: FixedBytes> Nullable for Fixed<T> {
    fn null() -> Value {
        Value::Bytes(None)
    }
}

impl<T: FixedBytes> IntoActiveValue<Fixed<T>> for Fixed<T> {
    fn into_active_value(self) -> ActiveValue<Self> {
        ActiveValue::Set(self)
    }
}

/// No database numbers these.
impl<T> TryFromU64 for Fixed<T> {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("a fixed number of bytes"))
    }
}
