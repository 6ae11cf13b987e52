//! Groups: creating, and adding members.

use std::collections::HashSet;

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_MEMBERS,
};

use super::{
    contact::joined,
    payload,
    state::{Entry, Kind, Log, State},
};
use crate::store::{Committed, ContactState, Done, History, Origin, Outcome, Refusal, Role, Slice};

pub(super) fn create(state: &mut State, log: LogId, origin: &Origin, title: String, others: &[UserId]) -> Outcome {
    let sender = origin.sender;
    let own = LogId::from(sender);
    if let Some(sent) = state.sent_before(own, origin)? {
        let conversation = sent.target.ok_or(Refusal::ClientMsgIdReused)?;
        return Ok(Committed { done: Done::Created { conversation }, ..Default::default() });
    }
    state.log(own).ok_or(Refusal::NotFound)?;
    if state.log(log).is_some() {
        return Err(Refusal::ClientMsgIdReused);
    }
    let mut members = vec![sender];
    members.extend(contacts_among(state, sender, others, |user| user == sender)?);
    if members.len() > MAX_MEMBERS {
        return Err(Refusal::TooManyMembers);
    }

    let created = payload::conversation_created(Some(&title), &members);
    let row = Log { title: Some(title), ..Log::new(Kind::Group, origin.now, members.len() as i64) };
    state.logs.entry(log).or_default().set(Some(row));
    let mut events: Vec<_> = state.append(log, Entry::sent(origin, created)).into_iter().collect();
    for member in members {
        state.join(log, member, 1, 1, origin.now);
        events.extend(joined(state, member, log, (1, 1), sender, origin.now));
    }
    if let Some(creator) = state.change_standing(log, sender) {
        creator.role = Role::Owner;
    }
    state.remember(own, origin, 0, 0, Some(log));
    Ok(Committed { done: Done::Created { conversation: log }, events, mark: None })
}

/// A slice of a command that was cut up.
pub(super) fn add_slice(state: &mut State, log: LogId, origin: &Origin, users: &[UserId], slice: Slice) -> Outcome {
    match slice {
        Slice::Last { done } => add(state, log, origin, users, done as i64),
        Slice::Part { of } => match added_before(state, log, &Origin { client_msg_id: of, ..*origin })? {
            Some(whole) => Ok(whole),
            None => add(state, log, origin, users, 0),
        },
    }
}

/// What was answered when it was carried out, if it was.
fn added_before(state: &State, log: LogId, origin: &Origin) -> Result<Option<Committed>, Refusal> {
    let Some(sent) = state.sent_before(log, origin)? else { return Ok(None) };
    let member_count = state.log(log).map_or(0, |log| log.member_count);
    Ok(Some(Committed { done: added(sent.added, member_count), ..Default::default() }))
}

/// `sliced`: how many slices before this one have added.
pub(super) fn add(state: &mut State, log: LogId, origin: &Origin, users: &[UserId], sliced: i64) -> Outcome {
    let sender = origin.sender;
    if let Some(committed) = added_before(state, log, origin)? {
        return Ok(committed);
    }
    let group = live_group_of_member(state, log, sender)?;
    let (before, history) = (group.member_count, group.settings.history);
    let new = contacts_among(state, sender, users, |user| state.member(log, user).is_some())?;
    let member_count = before + new.len() as i64;
    if member_count > MAX_MEMBERS as i64 {
        return Err(Refusal::TooManyMembers);
    }
    let count = sliced + new.len() as i64;
    let done = added(count, member_count);
    if new.is_empty() {
        state.remember(log, origin, 0, count, None);
        return Ok(Committed { done, ..Default::default() });
    }

    let event = state.append(log, Entry::sent(origin, payload::members_added(&new))).ok_or(Refusal::NotAMember)?;
    if let Some(row) = state.change_log(log) {
        row.member_count = member_count;
    }
    state.remember(log, origin, event.seq, count, None);
    let at = event.seq;
    let from_seq = if history == History::All { 1 } else { at };
    let mut events = vec![event];
    for user in new {
        state.join(log, user, from_seq, at, origin.now);
        events.extend(joined(state, user, log, (from_seq, at), sender, origin.now));
    }
    Ok(Committed { done, events, mark: None })
}

/// The group, if the user is a member and it was not dismissed.
pub(super) fn live_group_of_member(state: &State, log: LogId, user: UserId) -> Result<&Log, Refusal> {
    let row = group_of_member(state, log, user)?;
    if row.writable { Ok(row) } else { Err(Refusal::Dismissed) }
}

/// The group, if the user is a member.
pub(super) fn group_of_member(state: &State, log: LogId, user: UserId) -> Result<&Log, Refusal> {
    let row = state.log_of_member(log, user)?;
    if row.kind == Kind::Group { Ok(row) } else { Err(Refusal::NotAGroup) }
}

/// Of `users`, each once and those that are `known` left out; refused when one of them is no contact of
/// `user`.
fn contacts_among(
    state: &State,
    user: UserId,
    users: &[UserId],
    known: impl Fn(UserId) -> bool,
) -> Result<Vec<UserId>, Refusal> {
    let mut seen = HashSet::new();
    let new: Vec<_> = users.iter().copied().filter(|one| !known(*one) && seen.insert(*one)).collect();
    let accepted =
        |one: &UserId| state.contact(user, *one).is_some_and(|contact| contact.state == ContactState::Accepted);
    match new.iter().find(|one| !accepted(one)) {
        Some(stranger) => Err(Refusal::NotAContact(*stranger)),
        None => Ok(new),
    }
}

fn added(added: i64, member_count: i64) -> Done {
    let count = |number| usize::try_from(number).unwrap_or(0);
    Done::Added { added: count(added), member_count: count(member_count) }
}
