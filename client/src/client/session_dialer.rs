//! How a client gets from its account to a session that stands.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use gogochat_proto::{close::CloseCode, v1};
use tokio::time::timeout;

use super::options::Path;
use crate::{Account, Closed, ConnectError, Connection, Dialer, RestError, Target, Transport, session::HELLO_PATIENCE};

/// What connecting takes.
#[derive(Clone)]
pub(super) struct SessionDialer {
    pub(super) dialer: Dialer,
    pub(super) account: Arc<Account>,
    pub(super) target: Target,
    /// Where to try after that, in this order.
    pub(super) others: VecDeque<Target>,
    pub(super) path: Path,
    /// The latest that the server gave; empty: none.
    pub(super) ticket: Bytes,
}

/// Why a try to connect failed.
pub(super) enum Failure {
    /// Try again later, and not before so long.
    Later(String, Duration),
    /// There is no use.
    Ended(Closed),
}

/// A session that stands: Hello was answered.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) welcome: v1::Welcome,
}

impl SessionDialer {
    /// The next address: this one took no session.
    pub(super) fn turn(&mut self) {
        if let Some(next) = self.others.pop_front() {
            self.others.push_back(std::mem::replace(&mut self.target, next));
        }
    }

    /// Opens a session.
    pub(super) async fn dial(self) -> Result<Opened, Failure> {
        let mut token = self.account.token().await.map_err(token_failure)?;
        let mut refreshed = false;
        loop {
            let opened = match self.path {
                Path::Only(transport) => self.open(transport, &token).await,
                Path::Auto => match timeout(FALL_BACK, self.open(Transport::WebTransport, &token)).await {
                    Ok(Err(ConnectError::Closed(closed))) => Err(closed.into()),
                    Ok(Ok(opened)) => Ok(opened),
                    Ok(Err(_)) | Err(_) => self.open(Transport::WebSocket, &token).await,
                },
            };
            match opened {
                Ok(opened) => return Ok(opened),
                Err(ConnectError::Closed(closed)) => {
                    if closed.close_code() == Some(CloseCode::TokenExpired) && !refreshed {
                        refreshed = true;
                        token = self.account.token_after(&token).await.map_err(token_failure)?;
                        continue;
                    }
                    return Err(match ends(&closed) {
                        Some(ended) => Failure::Ended(ended),
                        None => Failure::Later(closed.to_string(), pause(&closed)),
                    });
                }
                Err(error) => return Err(Failure::Later(error.to_string(), Duration::ZERO)),
            }
        }
    }

    async fn open(&self, transport: Transport, token: &str) -> Result<Opened, ConnectError> {
        let mut connection = self.dialer.open(&self.target, transport).await?;
        let welcome = timeout(HELLO_PATIENCE, connection.hello_again(token, self.ticket.clone()))
            .await
            .map_err(|_| ConnectError::TimedOut)??;
        Ok(Opened { connection, welcome })
    }
}

/// A close after which this client is of no use (docs/errors.md). A lapsed token is refreshed; who
/// was too fast, or did too much at once, comes back later.
pub(super) fn ends(closed: &Closed) -> Option<Closed> {
    let transient = closed.reconnect
        || too_much(closed)
        || matches!(closed.close_code(), Some(CloseCode::TokenExpired | CloseCode::Timeout));
    (!transient).then(|| closed.clone())
}

/// How long to stay away after a close, at least.
pub(super) fn pause(closed: &Closed) -> Duration {
    closed.retry_after.max(if too_much(closed) { TOO_MUCH } else { Duration::ZERO })
}

fn too_much(closed: &Closed) -> bool {
    use CloseCode::{RateLimited, TooManyCalls, TooManyStreams};
    matches!(closed.close_code(), Some(RateLimited | TooManyCalls | TooManyStreams))
}

fn token_failure(error: RestError) -> Failure {
    match error {
        RestError::Refused(error) if !error.retryable() => Failure::Ended(CloseCode::TokenInvalid.into()),
        other => Failure::Later(other.to_string(), Duration::ZERO),
    }
}

const FALL_BACK: Duration = Duration::from_secs(3);
const TOO_MUCH: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_code_is_followed_as_the_documentation_says() {
        use CloseCode::*;
        for code in CloseCode::ALL {
            let closed = Closed::from(*code);
            let ended = matches!(code, ProtocolError | FrameTooLarge | TokenInvalid | SignedOut | Done);
            assert_eq!(ends(&closed).is_some(), ended, "{code:?}");
            let waits = matches!(code, TooManyStreams | TooManyCalls | RateLimited);
            assert_eq!(pause(&closed), if waits { TOO_MUCH } else { closed.retry_after }, "{code:?}");
        }
        // What only broke is connected again.
        assert!(ends(&Closed::broken("cut")).is_none());
    }
}
