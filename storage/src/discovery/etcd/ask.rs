//! Asking etcd, and what its refusals mean.

use std::time::Duration;

use etcd_client::Error;
use tokio::time::timeout;

/// An answer that comes in time.
pub(super) async fn answer<T>(asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = || Error::IoError(std::io::Error::new(std::io::ErrorKind::TimedOut, "it takes too long"));
    timeout(ASK, asking).await.unwrap_or_else(|_| Err(late()))
}

/// Whether etcd has answered, and does not want this user.
pub(super) fn is_refusal(error: &Error) -> bool {
    // etcd's codes for a wrong user or password, a missing one, and a missing permission: 3, 3, 7
    // (gRPC), or 16.
    let message = error.to_string();
    matches!(error, Error::GRpcStatus(_)) && REFUSALS.iter().any(|refusal| message.contains(refusal))
}

/// Whether etcd says that there is no such lease: it has run out.
pub(super) fn is_without_lease(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message().contains("requested lease not found"))
}

/// Whether etcd has answered, and takes no writes for now: its space is used up, it has no leader.
pub(super) fn takes_no_writes(error: &Error) -> bool {
    let said = ["database space exceeded", "no leader", "not capable", "too many requests", "corrupt"];
    matches!(error, Error::GRpcStatus(status) if said.iter().any(|part| status.message().contains(part)))
}

pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) => status.message().to_owned(),
        other => other.to_string(),
    }
}

const REFUSALS: [&str; 4] =
    ["authentication failed", "user name is empty", "permission denied", "authentication is not enabled"];
pub(super) const PAUSE: Duration = Duration::from_millis(200);
pub(super) const ASK: Duration = Duration::from_secs(2);
