//! Turns failures of store, bus and decoding into the error that a caller gets.

use bytes::Bytes;
use gogochat_proto::{
    error::{ErrorCode, violation},
    limits::MAX_BODY,
    v1,
};
use gogochat_storage::{
    log_throttle::LogThrottle,
    store::{Refusal, StoreError},
};
use prost::Message;

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

/// What a caller hears of a fault of the server. What it was goes to the log, under the id that the caller is told.
pub(crate) fn fault(what: &'static str, cause: &dyn std::fmt::Display) -> v1::Error {
    let error_id = uuid::Uuid::now_v7().simple().to_string();
    tracing::error!(error_id, %cause, "{what}");
    ErrorCode::Internal.with("a fault of the server").named(error_id)
}

/// The same for a name that nobody has, so that nobody learns which there are.
pub(crate) fn wrong_credentials() -> v1::Error {
    ErrorCode::WrongCredentials.with("name or password is wrong")
}

/// What a caller hears when the store failed; the details go to the log.
pub(crate) fn store(error: StoreError) -> v1::Error {
    if matches!(error, StoreError::Unavailable(_) | StoreError::Full)
        && let Some(times) = REFUSED.due()
    {
        tracing::warn!(%error, times, "calls were refused");
    }
    stored(&error)
}

static REFUSED: LogThrottle = LogThrottle::each_second();

/// The same, where the log has it already that the store is away or full.
pub(crate) fn stored(error: &StoreError) -> v1::Error {
    match error {
        StoreError::Unavailable(_) => ErrorCode::Unavailable.with("the store is not reachable"),
        StoreError::Contended(_) => ErrorCode::Unavailable.with("others hold what it needs: repeat it"),
        StoreError::NotPermitted => ErrorCode::PermissionDenied.with("this is for administrators"),
        StoreError::Full => ErrorCode::StorageFull.with("the server's disk is full"),
        StoreError::Failed(_) => fault("a call failed", error),
    }
}

/// What a caller hears when a command was refused.
pub(crate) fn refusal(refusal: Refusal) -> v1::Error {
    let code = match refusal {
        Refusal::NotAMember => ErrorCode::NotAMember,
        Refusal::NotAGroup => ErrorCode::NotAGroup,
        Refusal::NotAContact(_) => ErrorCode::NotAContact,
        Refusal::Blocked => ErrorCode::Blocked,
        Refusal::AlreadyContact => ErrorCode::AlreadyContact,
        Refusal::NotFound => ErrorCode::NotFound,
        Refusal::TooManyMembers => ErrorCode::TooManyMembers,
        Refusal::NotPermitted => ErrorCode::PermissionDenied,
        Refusal::Muted { .. } => ErrorCode::Muted,
        Refusal::SlowMode { .. } => ErrorCode::SlowMode,
        Refusal::TooManyInvites => ErrorCode::TooManyInvites,
        Refusal::Dismissed => ErrorCode::GroupDismissed,
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
    use std::{io, sync::Arc};

    use parking_lot::Mutex;

    use super::*;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_fault_is_in_the_log_under_the_id_that_the_caller_is_told_and_the_caller_is_told_no_more() {
        let log = Log::default();
        let kept = log.0.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
        let fault = || stored(&StoreError::Failed("disk I/O error in /var/lib".into()));
        let (one, other) = tracing::subscriber::with_default(subscriber, || (fault(), fault()));
        assert_eq!((one.code.as_str(), one.message.as_str()), ("internal", "a fault of the server"));
        assert!(one.id.len() == 32 && one.id != other.id, "{} {}", one.id, other.id);
        let said = String::from_utf8(kept.lock().clone()).unwrap();
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        for (line, error) in lines.iter().zip([&one, &other]) {
            assert!(line.contains(&error.id) && line.contains("disk I/O error in /var/lib"), "{line}");
        }
        assert!(stored(&StoreError::Full).id.is_empty());
    }

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
