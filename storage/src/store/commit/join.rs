//! Groups: joining by an invite, or an open one by oneself.

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_MEMBERS,
};

use super::{
    contact::joined,
    payload,
    state::{Entry, Kind, State},
};
use crate::store::{Committed, Done, Event, History, JoinBy, Joining, Millis, Origin, Outcome, Refusal};

pub(super) fn join(state: &mut State, origin: &Origin, by: JoinBy) -> Outcome {
    let (user, now) = (origin.sender, origin.now);
    let home = match by {
        JoinBy::Invite(_) => LogId::from(user),
        JoinBy::Oneself(log) => log,
    };
    if let Some(sent) = state.sent_before(home, origin)? {
        let conversation = sent.target.ok_or(Refusal::ClientMsgIdReused)?;
        return Ok(Committed { done: Done::Joined { conversation }, ..Default::default() });
    }
    let log = leads_to(state, by, now)?;
    let done = Done::Joined { conversation: log };
    let row = state.log(log).filter(|row| row.kind == Kind::Group).ok_or(Refusal::NotFound)?;
    if state.member(log, user).is_some() {
        state.remember(home, origin, 0, 0, Some(log));
        return Ok(Committed { done, ..Default::default() });
    }
    if !row.writable {
        return Err(Refusal::Dismissed);
    }
    let (member_count, history) = (row.member_count + 1, row.settings.history);
    if member_count > MAX_MEMBERS as i64 {
        return Err(Refusal::TooManyMembers);
    }
    if let JoinBy::Invite(code) = by
        && let Some(cell) = state.invites.get_mut(&code)
        && let Some(mut invite) = cell.now.take()
    {
        invite.uses_left = invite.uses_left.map(|uses| uses.saturating_sub(1));
        cell.set(Some(invite));
    }
    let events = enter(state, log, user, origin, history, member_count).ok_or(Refusal::NotFound)?;
    state.remember(home, origin, 0, 0, Some(log));
    Ok(Committed { done, events, mark: None })
}

/// The group, if the way to it is open now.
fn leads_to(state: &State, by: JoinBy, now: Millis) -> Result<LogId, Refusal> {
    match by {
        JoinBy::Invite(code) => {
            let invite = state.invites.get(&code).and_then(|cell| cell.now.as_ref()).ok_or(Refusal::NotFound)?;
            let is_good = invite.until_ms > now && invite.uses_left != Some(0);
            if is_good { Ok(invite.log) } else { Err(Refusal::NotFound) }
        }
        JoinBy::Oneself(log) => {
            let row = state.log(log).filter(|row| row.kind == Kind::Group).ok_or(Refusal::NotFound)?;
            if row.settings.joining == Joining::Open { Ok(log) } else { Err(Refusal::NotFound) }
        }
    }
}

fn enter(
    state: &mut State,
    log: LogId,
    user: UserId,
    origin: &Origin,
    history: History,
    member_count: i64,
) -> Option<Vec<Event>> {
    // The name is taken in the log where it is remembered.
    let event = state.append(log, Entry::system(user, origin.now, payload::member_joined(user)))?;
    if let Some(row) = state.change_log(log) {
        row.member_count = member_count;
    }
    let at = event.seq;
    let from_seq = if history == History::All { 1 } else { at };
    state.join(log, user, from_seq, at, origin.now);
    let mut events = vec![event];
    events.extend(joined(state, user, log, (from_seq, at), user, origin.now));
    Some(events)
}
