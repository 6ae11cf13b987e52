//! Appending an event.

use bytes::Bytes;
use gogochat_proto::ids::LogId;

use super::state::{Entry, Kind, Log, Member, State};
use crate::store::{Committed, Done, Millis, Origin, Outcome, Posting, Refusal, Role};

pub(super) fn append(state: &mut State, log: LogId, origin: &Origin, payload: Bytes) -> Outcome {
    // A repeat is answered even where the sender may send no more: it says what was promised before.
    if let Some(sent) = state.sent_before(log, origin)? {
        let done = Done::Appended { seq: sent.seq, time_ms: sent.time_ms, duplicate: true };
        return Ok(Committed { done, ..Default::default() });
    }
    let row = state.log_of_member(log, origin.sender)?;
    if let Some((one, other)) = row.pair
        && !row.writable
    {
        return Err(Refusal::NotAContact(if one == origin.sender { other } else { one }));
    }
    let slowed = match row.kind {
        Kind::Group => row.may_write(state.member(log, origin.sender).ok_or(Refusal::NotAMember)?, origin.now)?,
        Kind::Own | Kind::Direct => false,
    };
    if slowed && let Some(member) = state.change_standing(log, origin.sender) {
        member.said_ms = origin.now;
    }
    let event = state.append(log, Entry::sent(origin, payload)).ok_or(Refusal::NotAMember)?;
    state.mark_sent(log, origin.sender, event.seq);
    state.remember(log, origin, event.seq, 0, None);
    let done = Done::Appended { seq: event.seq, time_ms: event.time_ms, duplicate: false };
    Ok(Committed { done, events: vec![event], mark: None })
}

impl Log {
    /// Whether a member of a group may write now. `true`: the time of it has to be remembered.
    fn may_write(&self, member: &Member, now: Millis) -> Result<bool, Refusal> {
        if !self.writable {
            return Err(Refusal::Dismissed);
        }
        if member.muted_ms > now {
            return Err(Refusal::Muted { until_ms: member.muted_ms });
        }
        if member.role >= Role::Admin {
            return Ok(false);
        }
        if self.settings.posting == Posting::Admins {
            return Err(Refusal::Muted { until_ms: 0 });
        }
        // The clocks of two cores differ a little: nobody waits longer than for one message.
        let wait_ms = (member.said_ms + self.settings.slow_ms - now).min(self.settings.slow_ms);
        if wait_ms > 0 { Err(Refusal::SlowMode { wait_ms }) } else { Ok(self.settings.slow_ms > 0) }
    }
}
