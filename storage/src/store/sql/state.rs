//! How two users stand, in a column.

use crate::store::{ContactState, StoreError};

/// The state in a column.
pub(in crate::store) fn state(number: i64) -> Result<ContactState, StoreError> {
    match number {
        1 => Ok(ContactState::Requested),
        2 => Ok(ContactState::Incoming),
        3 => Ok(ContactState::Accepted),
        _ => Err(StoreError::Failed(format!("a contact has the state {number}"))),
    }
}

/// The state for a column.
pub(in crate::store) fn state_number(state: ContactState) -> i64 {
    match state {
        ContactState::Requested => 1,
        ContactState::Incoming => 2,
        ContactState::Accepted => 3,
    }
}
