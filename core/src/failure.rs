//! How failures below become the error that a caller is told.

use bytes::Bytes;
use gogochat_proto::{
    error::{ErrorCode, violation},
    limits::MAX_BODY,
    v1,
};
use gogochat_storage::store::{Refusal, StoreError};
use prost::Message;

use crate::log_throttle::LogThrottle;

/// The request in a body.
///
/// # Errors
/// `malformed_body`, `body_too_large`.
pub(crate) fn decode<T: Message + Default>(body: Bytes) -> Result<T, v1::Error> {
    if body.len() > MAX_BODY {
        return Err(ErrorCode::BodyTooLarge.with("the body is over 64 KiB"));
    }
    T::decode(body).map_err(|error| ErrorCode::MalformedBody.with(format!("not the method's request: {error}")))
}

/// An id in a request.
///
/// # Errors
/// `invalid_argument`, naming the field.
pub(crate) fn id<T: std::str::FromStr<Err = gogochat_proto::ids::InvalidId>>(
    field: &str,
    text: &str,
) -> Result<T, v1::Error> {
    text.parse().map_err(|error: gogochat_proto::ids::InvalidId| violation(field, error.to_string()))
}

/// What a caller hears when the store failed; the details go to the log.
pub(crate) fn store(error: StoreError) -> v1::Error {
    match &error {
        StoreError::Unavailable(_) | StoreError::Full => {
            if let Some(times) = REFUSED.due() {
                tracing::warn!(%error, times, "calls were refused");
            }
        }
        StoreError::Failed(_) => tracing::error!(%error, "a call failed"),
    }
    stored(&error)
}

static REFUSED: LogThrottle = LogThrottle::new();

/// What a caller hears when the store failed.
pub(crate) fn stored(error: &StoreError) -> v1::Error {
    match error {
        StoreError::Unavailable(_) => ErrorCode::Unavailable.with("the store is not reachable"),
        StoreError::Full => ErrorCode::StorageFull.with("the server's disk is full"),
        StoreError::Failed(_) => ErrorCode::Internal.with("a fault of the server"),
    }
}

/// What a caller hears when a command was refused.
pub(crate) fn refusal(refusal: Refusal) -> v1::Error {
    let code = match refusal {
        Refusal::NotAMember => ErrorCode::NotAMember,
        Refusal::NotAGroup => ErrorCode::NotAGroup,
        Refusal::NotAContact(_) => ErrorCode::NotAContact,
        Refusal::AlreadyContact => ErrorCode::AlreadyContact,
        Refusal::NotFound => ErrorCode::NotFound,
        Refusal::TooManyMembers => ErrorCode::TooManyMembers,
        Refusal::ClientMsgIdReused => ErrorCode::ClientMsgIdReused,
        Refusal::SeqFromFuture => ErrorCode::SeqFromFuture,
    };
    code.with(refusal.to_string())
}

/// A limit on a page: `0` means `default`.
///
/// # Errors
/// `invalid_argument` outside of 1 to `max`.
pub(crate) fn limit(asked: i32, default: u32, max: u32) -> Result<u32, v1::Error> {
    match u32::try_from(asked) {
        Ok(0) => Ok(default),
        Ok(limit) if limit <= max => Ok(limit),
        _ => Err(violation("limit", format!("1 to {max}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_and_limits() {
        assert_eq!(decode::<v1::Ping>(vec![0xff].into()).unwrap_err().code, "malformed_body");
        assert_eq!(decode::<v1::Ping>(vec![0; MAX_BODY + 1].into()).unwrap_err().code, "body_too_large");
        assert!(decode::<v1::Ping>(Bytes::new()).is_ok());
        assert_eq!(limit(0, 7, 9), Ok(7));
        assert_eq!(limit(9, 7, 9), Ok(9));
        assert_eq!(limit(10, 7, 9).unwrap_err().violations[0].field, "limit");
        assert!(limit(-1, 7, 9).is_err());
    }
}
