//! Appending an event.

use bytes::Bytes;
use gogochat_proto::ids::LogId;

use super::state::{Entry, State};
use crate::store::{Committed, Done, Origin, Outcome, Refusal};

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
    let event = state.append(log, Entry::sent(origin, payload)).ok_or(Refusal::NotAMember)?;
    state.mark_sent(log, origin.sender, event.seq);
    state.remember(log, origin, event.seq, 0, None);
    let done = Done::Appended { seq: event.seq, time_ms: event.time_ms, duplicate: false };
    Ok(Committed { done, events: vec![event], mark: None })
}
