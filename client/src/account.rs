//! A signed-in device: its tokens, and new ones when they lapse.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gogochat_proto::v1;
use tokio::{sync::Mutex, time::Instant};

use crate::{Rest, RestError};

/// The tokens of one device. Shared by whatever acts for it, so that each refresh token is used once.
#[derive(Debug)]
pub struct Account {
    rest: Arc<Rest>,
    user: v1::Person,
    device_id: String,
    tokens: Mutex<Tokens>,
}

#[derive(Debug)]
struct Tokens {
    session: v1::Session,
    /// When they are to be renewed; `None`: the access token does not lapse.
    renew_at: Option<Instant>,
}

impl Account {
    /// Creates an account and signs in.
    ///
    /// # Errors
    /// As [`Rest::register`].
    pub async fn register(rest: Arc<Rest>, name: &str, password: &str, device: &str) -> Result<Self, RestError> {
        let session = rest.register(name, password, device).await?;
        Ok(Self::from_session(rest, session))
    }

    /// Signs in.
    ///
    /// # Errors
    /// As [`Rest::log_in`].
    pub async fn log_in(rest: Arc<Rest>, name: &str, password: &str, device: &str) -> Result<Self, RestError> {
        let session = rest.log_in(name, password, device).await?;
        Ok(Self::from_session(rest, session))
    }

    /// Goes on with tokens that were kept.
    #[must_use]
    pub fn from_session(rest: Arc<Rest>, session: v1::Session) -> Self {
        let user = session.user.clone().unwrap_or_default();
        Self { rest, user, device_id: session.device_id.clone(), tokens: Mutex::new(session.into()) }
    }

    /// Who is signed in.
    #[must_use]
    pub fn user(&self) -> &v1::Person {
        &self.user
    }

    /// The device that is signed in.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// An access token that is good for a while; a new one when three quarters of the last one's
    /// time are over.
    ///
    /// # Errors
    /// As [`Rest::refresh`].
    pub async fn token(&self) -> Result<String, RestError> {
        let mut tokens = self.tokens.lock().await;
        if tokens.renew_at.is_some_and(|at| at <= Instant::now()) {
            *tokens = self.rest.refresh(&tokens.session.refresh_token).await?.into();
        }
        Ok(tokens.session.access_token.clone())
    }

    /// A new access token in place of one that the server calls expired. When another caller has
    /// fetched one meanwhile, that one.
    ///
    /// # Errors
    /// As [`Rest::refresh`].
    pub async fn token_after(&self, expired: &str) -> Result<String, RestError> {
        let mut tokens = self.tokens.lock().await;
        if tokens.session.access_token == expired {
            *tokens = self.rest.refresh(&tokens.session.refresh_token).await?.into();
        }
        Ok(tokens.session.access_token.clone())
    }

    /// From when on [`Self::token`] gives a new one; `None`: the last does not lapse.
    pub(crate) async fn renew_at(&self) -> Option<Instant> {
        self.tokens.lock().await.renew_at
    }

    /// Signs the device out.
    ///
    /// # Errors
    /// As [`Rest::log_out`].
    pub async fn log_out(&self) -> Result<(), RestError> {
        let tokens = self.tokens.lock().await;
        self.rest.log_out(&tokens.session.access_token).await
    }
}

impl From<v1::Session> for Tokens {
    fn from(session: v1::Session) -> Self {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let left = Duration::from_millis((session.access_expires_ms - now_ms).max(0).unsigned_abs());
        // Where this machine's clock runs far ahead, the token has expired before it came: it is of
        // use all the same, and no call fetches another.
        let left = if left.is_zero() { UNKNOWN } else { left };
        let renew_at = (session.access_expires_ms > 0).then(|| Instant::now() + left * 3 / 4);
        Self { session, renew_at }
    }
}

/// How long a token is taken to last of which this machine's clock says nothing.
const UNKNOWN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_runs_far_ahead_makes_not_every_call_fetch_a_token() {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        for (left_ms, at_least) in [(-3_600_000, 40), (0, 40), (3_600_000, 2_600)] {
            let session = v1::Session { access_expires_ms: now_ms + left_ms, ..Default::default() };
            let renew_at = Tokens::from(session).renew_at.unwrap();
            assert!(renew_at > Instant::now() + Duration::from_secs(at_least), "{left_ms}");
        }
    }
}
