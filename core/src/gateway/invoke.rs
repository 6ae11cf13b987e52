//! Unary calls: methods without an order, and ordered ones that came by REST or gRPC and wait here
//! for their commit.

use std::{net::IpAddr, time::Instant};

use bytes::Bytes;
use gogochat_proto::{error::ErrorCode, limits::MAX_BODY, service::Service, v1};

use super::{
    Gateway,
    dispatch::{self, Entry, Route},
};
use crate::authorize::{Access, Caller};

/// How a caller is known.
pub(crate) enum Credentials {
    /// An edge vouches for a session that a core has opened.
    Principal(Caller),
    /// An access token, or an empty one.
    Token(String),
}

/// What the log says beside all that is said of a call, whatever its level: the trace that it belongs to.
pub(crate) fn span(trace_id: &str) -> tracing::Span {
    if trace_id.is_empty() { tracing::Span::none() } else { tracing::error_span!("call", trace_id) }
}

impl Gateway {
    /// Answers a call of any method.
    ///
    /// # Errors
    /// `unknown_method`, `body_too_large`, `unauthenticated` and the like, and the method's own.
    /// `deadline_exceeded`: whether it took effect is unknown.
    pub(crate) async fn call(
        &self,
        method: &str,
        body: Bytes,
        credentials: Credentials,
        address: Option<IpAddr>,
    ) -> Result<Bytes, v1::Error> {
        let answer = self.try_call(method, body, credentials, address).await;
        if let Err(error) = &answer {
            self.metrics.refused(&error.code);
        }
        answer
    }

    async fn try_call(
        &self,
        method: &str,
        body: Bytes,
        credentials: Credentials,
        address: Option<IpAddr>,
    ) -> Result<Bytes, v1::Error> {
        let entry = dispatch::find(method)?;
        self.metrics.call(entry.name);
        let begin = Instant::now();
        // Whatever it waits for, a connection to the store or its commit, it does no longer than this.
        let carried_out = self.carry_out(entry, body, credentials, address);
        let late = |_| Err(ErrorCode::DeadlineExceeded.with("it takes too long; repeat the call"));
        let answer = tokio::time::timeout(self.call_deadline, carried_out).await.unwrap_or_else(late);
        self.metrics.answered(entry.name, begin.elapsed());
        answer
    }

    async fn carry_out(
        &self,
        entry: &'static Entry,
        body: Bytes,
        credentials: Credentials,
        address: Option<IpAddr>,
    ) -> Result<Bytes, v1::Error> {
        if !Service::of_name(entry.name).is_some_and(|service| self.runs(service)) {
            return Err(ErrorCode::Unavailable.with("this node does not run the method's service"));
        }
        if body.len() > MAX_BODY {
            return Err(ErrorCode::BodyTooLarge.with("the body is over 64 KiB"));
        }
        let caller = match entry.access {
            Access::Public => None,
            Access::SignedIn => Some(self.identify(credentials).await?),
            Access::Administrator => {
                let caller = self.identify(credentials).await?;
                self.services.admin.admit(caller).await?;
                Some(caller)
            }
        };
        match (entry.route, caller) {
            (Route::Unary(unary), caller) => dispatch::call(&self.services, unary, caller, address, body).await,
            (Route::Ordered(ordered), Some(caller)) => self.call_ordered(ordered, caller, address, body).await,
            (Route::Ordered(_), None) => Err(ErrorCode::Unauthenticated.with("no access token")),
        }
    }

    async fn identify(&self, credentials: Credentials) -> Result<Caller, v1::Error> {
        match credentials {
            Credentials::Principal(caller) => {
                self.auth.refuse_revoked(caller)?;
                Ok(caller)
            }
            Credentials::Token(token) => {
                let device = self.auth.authenticate(&token).await?;
                Ok(Caller { user: device.user, device: device.id })
            }
        }
    }
}
