//! The way of an ordered command onto the bus.

use std::net::IpAddr;

use bytes::Bytes;
use gogochat_proto::{
    error::ErrorCode,
    ids::{CommandId, LogId},
    v1,
};
use gogochat_storage::bus::{BusCommand, BusError, ReplyTo};

use super::{Gateway, Phase, draining};
use crate::{
    authorize::Caller,
    clock::now_ms,
    command::{Address, Ordered as _, OrderedMethod, Taken, partition_of},
    log_throttle::LogThrottle,
    social::commands::RequestContact,
};

impl Gateway {
    /// Checks an ordered command as far as can be done before it is committed.
    ///
    /// # Errors
    /// What the method refuses, `key_mismatch`, `rate_limited`.
    pub(crate) fn check(
        &self,
        method: &OrderedMethod,
        caller: Caller,
        address: Option<IpAddr>,
        key: Option<&str>,
        body: Bytes,
    ) -> Result<Address, v1::Error> {
        let to = (method.parse)(body)?.address();
        if let Some(key) = key {
            let matches = match to.conversation {
                Some(log) => key.parse() == Ok(log),
                None => key.is_empty() || key.parse() == Ok(caller.user),
            };
            if !matches {
                return Err(ErrorCode::KeyMismatch.with("the key is not the conversation_id of the request"));
            }
        }
        if method.name == RequestContact::NAME && !self.auth.limits.exempts(address) {
            self.auth.limits.contact_request(caller.user)?;
        }
        Ok(to)
    }

    /// Puts a command on the bus, if it is this era; without one, on the way to this core's own worker.
    ///
    /// # Errors
    /// `overloaded`, `unavailable`: both may be repeated.
    pub(crate) async fn publish(&self, era: Option<u64>, taken: Taken) -> Result<(), v1::Error> {
        if self.has_reached(Phase::Refusing) {
            return Err(draining());
        }
        let Taken { caller, method, to, body, reply_to } = taken;
        let log = to.conversation.unwrap_or_else(|| LogId::from(caller.user));
        let command = BusCommand {
            id: CommandId::new_v7(),
            published_ms: now_ms(),
            partition: partition_of(log),
            reply_to,
            user: caller.user,
            device: caller.device,
            method: method.to_owned(),
            body,
        };
        let published = match era {
            Some(era) => self.bus.publish_in(era, command).await,
            None => self.local.publish(command).await,
        };
        published.map_err(|error| refused(&error))?;
        self.metrics.commands.increment(1);
        Ok(())
    }

    /// An ordered command that came as a call: waits for its commit.
    ///
    /// # Errors
    /// The command's own, or `deadline_exceeded`: whether it took effect is unknown.
    pub(crate) async fn call_ordered(
        &self,
        method: &OrderedMethod,
        caller: Caller,
        address: Option<IpAddr>,
        body: Bytes,
    ) -> Result<Bytes, v1::Error> {
        let to = self.check(method, caller, address, None, body.clone())?;
        // The worker that commits it has to answer this call, of which no other core knows: so the command
        // stays here.
        let mut waiting = self.fanout.wait()?;
        let reply_to = ReplyTo { attachment: 0, session: waiting.call, call_id: 1 };
        self.publish(None, Taken { caller, method: method.name, to, body, reply_to }).await?;
        tokio::time::timeout(self.call_deadline, waiting.answer())
            .await
            .unwrap_or_else(|_| Err(ErrorCode::DeadlineExceeded.with("the commit takes too long; repeat the call")))
    }
}

fn refused(error: &BusError) -> v1::Error {
    match error {
        BusError::Full { .. } => ErrorCode::Overloaded.with("too many commands wait"),
        BusError::Unavailable(reason) => {
            if let Some(times) = UNAVAILABLE.due() {
                tracing::warn!(reason, times, "the bus is unavailable");
            }
            ErrorCode::Unavailable.with("the bus is not reachable")
        }
    }
}

static UNAVAILABLE: LogThrottle = LogThrottle::new();
