//! Puts an ordered command onto the bus, after checking it, charging its user's budget and
//! foreseeing it.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use gogochat_proto::{
    error::ErrorCode,
    ids::{CommandId, LogId},
    v1,
};
use gogochat_storage::{
    bus::{BusCommand, BusError, ReplyTo},
    log_throttle::LogThrottle,
    store::{self, Refusal},
};

use super::{Gateway, Phase, draining};
use crate::{
    authorize::Caller,
    chat::commands::{JoinByInvite, Mark},
    clock::now_ms,
    command::{Address, Ordered as _, OrderedMethod, Stamp, Taken, partition_of},
    failure,
    social::commands::RequestContact,
};

/// What is known of an ordered call before its command is carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked {
    /// Where it goes.
    pub(crate) to: Address,
    /// Rows that it may load and write.
    pub(crate) rows: usize,
}

impl Gateway {
    /// Checks an ordered command as far as neither the store nor its user's budget is needed.
    ///
    /// # Errors
    /// What the method refuses, `key_mismatch`.
    pub(crate) fn check(
        &self,
        method: &OrderedMethod,
        caller: Caller,
        key: Option<&str>,
        body: Bytes,
    ) -> Result<Checked, v1::Error> {
        let request = (method.parse)(body)?;
        let to = request.address();
        if let Some(key) = key {
            let matches = match to.conversation {
                Some(log) => key.parse() == Ok(log),
                None => key.is_empty() || key.parse() == Ok(caller.user),
            };
            if !matches {
                return Err(ErrorCode::KeyMismatch.with("the key is not the conversation_id of the request"));
            }
        }
        Ok(Checked { to, rows: request.rows() })
    }

    /// Takes what a command costs from its user's budget.
    ///
    /// # Errors
    /// `rate_limited`: when to try again.
    pub(crate) fn charge(
        &self,
        method: &OrderedMethod,
        caller: Caller,
        address: Option<IpAddr>,
        rows: usize,
    ) -> Result<(), v1::Error> {
        self.auth.limits.rows(caller.user, rows)?;
        if method.name == JoinByInvite::NAME {
            self.auth.limits.invites(address)?;
        }
        if method.name == RequestContact::NAME && !self.auth.limits.exempts(address) {
            self.auth.limits.contact_request(caller.user)?;
        }
        Ok(())
    }

    /// Has a reader look whether a command would be refused. What it cannot find out is found out where the
    /// command is carried out.
    ///
    /// # Errors
    /// What the command would be refused for.
    pub(crate) async fn foresee(
        &self,
        method: &OrderedMethod,
        caller: Caller,
        address: Option<IpAddr>,
        body: Bytes,
    ) -> Result<(), v1::Error> {
        let stamp = Stamp { caller, id: CommandId::new_v7(), now: now_ms() };
        let command = (method.parse)(body)?.command(stamp)?;
        match tokio::time::timeout(LOOK, self.store.foresee(&command)).await {
            Ok(Ok(Some(refused))) => {
                if method.name == JoinByInvite::NAME && refused == Refusal::NotFound {
                    self.auth.limits.unknown_invite(address);
                }
                Err(failure::refusal(refused))
            }
            Ok(Ok(None)) => Ok(()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a command is taken without a look");
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// Puts a command on the bus, if it is this era; without one, on the way to this core's own worker.
    ///
    /// # Errors
    /// `overloaded`, `rate_limited`, `unavailable`: all may be repeated.
    pub(crate) async fn publish(&self, era: Option<u64>, taken: Taken) -> Result<(), v1::Error> {
        if self.has_reached(Phase::Refusing) {
            return Err(draining());
        }
        let Taken { caller, method, to, body, rows, reply_to } = taken;
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
            rows: u32::try_from(rows).unwrap_or(u32::MAX),
        };
        let published = match era {
            Some(era) => self.bus.publish_in(era, command).await,
            None => self.local.publish(command).await,
        };
        published.map_err(|error| refused(&error))?;
        self.metrics.commands.increment(1);
        Ok(())
    }

    /// Takes a mark, which does not go by the bus; it is answered at `from` once it is committed, if an
    /// answer is wanted.
    ///
    /// # Errors
    /// `overloaded`, `unavailable`: both may be repeated.
    pub(crate) fn mark(&self, mark: store::Mark, from: &ReplyTo) -> Result<(), v1::Error> {
        if self.has_reached(Phase::Refusing) {
            return Err(draining());
        }
        self.marks.add(mark, from)
    }

    /// An ordered command that came as a call: waits for its commit.
    ///
    /// # Errors
    /// The command's own.
    pub(crate) async fn call_ordered(
        &self,
        method: &OrderedMethod,
        caller: Caller,
        address: Option<IpAddr>,
        body: Bytes,
    ) -> Result<Bytes, v1::Error> {
        let Checked { to, rows } = self.check(method, caller, None, body.clone())?;
        self.charge(method, caller, address, rows)?;
        // The worker that commits it has to answer this call, of which no other core knows: so the command
        // stays here.
        let mut waiting = self.fanout.wait()?;
        if method.foreseen {
            self.foresee(method, caller, address, body.clone()).await?;
        }
        let reply_to = ReplyTo { attachment: 0, session: waiting.call, call_id: 1 };
        if method.name == Mark::NAME {
            self.mark(Mark::read(body, caller)?, &reply_to)?;
        } else {
            self.publish(None, Taken { caller, method: method.name, to, body, rows, reply_to }).await?;
        }
        waiting.answer().await
    }
}

fn refused(error: &BusError) -> v1::Error {
    match error {
        BusError::Full { .. } => ErrorCode::Overloaded.with("too many commands wait"),
        BusError::Share { .. } => ErrorCode::RateLimited.with("too many commands of yours wait"),
        BusError::Unavailable(reason) => {
            if let Some(times) = UNAVAILABLE.due() {
                tracing::warn!(reason, times, "the bus is unavailable");
            }
            ErrorCode::Unavailable.with("the bus is not reachable")
        }
    }
}

/// How long a look at a command may take before the command is taken without it.
const LOOK: Duration = Duration::from_secs(2);
static UNAVAILABLE: LogThrottle = LogThrottle::each_second();
