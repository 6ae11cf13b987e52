//! Moving a member's marks.

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_MEMBERS_WITH_MARKS,
};

use super::state::State;
use crate::store::{Committed, Done, MovedMark, Outcome, Refusal};

pub(super) fn mark(state: &mut State, log: LogId, user: UserId, delivered: i64, read: i64) -> Outcome {
    let row = state.log_of_member(log, user)?;
    if delivered.max(read) > row.last_seq {
        return Err(Refusal::SeqFromFuture);
    }
    let shared = row.member_count <= MAX_MEMBERS_WITH_MARKS as i64;
    let last_seq = row.last_seq;
    let member = state.member(log, user).ok_or(Refusal::NotAMember)?;

    let read = read.max(member.read);
    let delivered = if shared { delivered } else { 0 }.max(read).max(member.delivered);
    let done = Done::Marked { delivered, read };
    let partly_read = read > member.read && read < last_seq;
    if (delivered, read) == (member.delivered, member.read) {
        return Ok(Committed { done, ..Default::default() });
    }
    if let Some(member) = state.change_member(log, user) {
        (member.delivered, member.read) = (delivered, read);
    }
    // Where nobody else sees them, the member's own row says it to their other devices.
    if shared {
        state.touched.insert(log);
    } else {
        state.touched_members.insert((log, user));
    }
    Ok(Committed {
        done,
        events: Vec::new(),
        mark: Some(MovedMark { log, user, delivered, read, shared, partly_read }),
    })
}
