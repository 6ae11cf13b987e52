//! What requests in the caller's own log share.

use gogochat_proto::{error::ErrorCode, ids::UserId, v1};
use gogochat_storage::store::{Hash, Origin};

use crate::command::{Address, Stamp};

/// Where they go.
pub(super) const OWN_LOG: Address = Address { conversation: None, client_msg_id: None };

/// Rows of both sides: contacts, logs, what they are told, and a conversation.
pub(super) const ROWS: usize = 24;

/// Clients give these requests no name. The name that each has on the bus tells one that is brought again
/// from another of the same words.
pub(super) fn origin(stamp: Stamp, request_hash: Hash) -> Origin {
    stamp.origin(stamp.id.into(), request_hash)
}

/// The other user cannot be the caller.
///
/// # Errors
/// `yourself`.
pub(super) fn refuse_caller(user: UserId, stamp: Stamp) -> Result<(), v1::Error> {
    if user == stamp.caller.user {
        return Err(ErrorCode::Yourself.with("one cannot be one's own contact"));
    }
    Ok(())
}
