//! Groups: leaving, and removing members. Whoever goes may read nothing from that event on.

use std::collections::HashSet;

use gogochat_proto::ids::{LogId, UserId};

use super::{
    govern::ruler,
    group::group_of_member,
    payload, roles,
    state::{Entry, State},
};
use crate::store::{Committed, Done, Event, Millis, Origin, Outcome, Refusal, Role, Slice, SubscriptionChange};

pub(super) fn leave(state: &mut State, log: LogId, origin: &Origin) -> Outcome {
    let (sender, now) = (origin.sender, origin.now);
    if state.sent_before(log, origin)?.is_some() {
        return Ok(Committed::default());
    }
    group_of_member(state, log, sender)?;
    let was_owner = state.member(log, sender).is_some_and(|member| member.role == Role::Owner);

    let left = Entry::sent(origin, payload::member_left(sender));
    let event = state.append(log, left).ok_or(Refusal::NotAMember)?;
    state.remember(log, origin, event.seq, 0, None);
    let mut events = vec![event];
    events.extend(go(state, log, sender, sender, now));
    if was_owner && let Some(heir) = roles::heir(state, log) {
        if let Some(member) = state.change_standing(log, heir) {
            member.role = Role::Owner;
        }
        events.extend(state.append(log, Entry::system(sender, now, payload::role_changed(heir, Role::Owner))));
    }
    Ok(Committed { done: Done::Nothing, events, mark: None })
}

/// A slice of a command that was cut up.
pub(super) fn remove_slice(state: &mut State, log: LogId, origin: &Origin, users: &[UserId], slice: Slice) -> Outcome {
    match slice {
        Slice::Last { done } => remove(state, log, origin, users, done as i64),
        Slice::Part { of } => match removed_before(state, log, &Origin { client_msg_id: of, ..*origin })? {
            Some(whole) => Ok(whole),
            None => remove(state, log, origin, users, 0),
        },
    }
}

/// `sliced`: how many slices before this one have removed.
pub(super) fn remove(state: &mut State, log: LogId, origin: &Origin, users: &[UserId], sliced: i64) -> Outcome {
    let (sender, now) = (origin.sender, origin.now);
    if let Some(committed) = removed_before(state, log, origin)? {
        return Ok(committed);
    }
    let role = ruler(state, log, sender)?;
    let mut seen = HashSet::new();
    let gone: Vec<_> =
        users.iter().copied().filter(|user| state.member(log, *user).is_some() && seen.insert(*user)).collect();
    if gone.iter().any(|user| state.member(log, *user).is_none_or(|member| member.role >= role)) {
        return Err(Refusal::NotPermitted);
    }
    let count = sliced + gone.len() as i64;
    let member_count = state.log(log).map_or(0, |log| log.member_count) - gone.len() as i64;
    let done = removed(count, member_count);
    if gone.is_empty() {
        state.remember(log, origin, 0, count, None);
        return Ok(Committed { done, ..Default::default() });
    }
    let event = state.append(log, Entry::sent(origin, payload::members_removed(&gone))).ok_or(Refusal::NotAMember)?;
    state.remember(log, origin, event.seq, count, None);
    let mut events = vec![event];
    for user in gone {
        events.extend(go(state, log, user, sender, now));
    }
    Ok(Committed { done, events, mark: None })
}

/// Takes a member away, and tells them so in their own log.
fn go(state: &mut State, log: LogId, user: UserId, by: UserId, now: Millis) -> Option<Event> {
    state.members.entry((log, user)).or_default().set(None);
    if let Some(row) = state.change_log(log) {
        row.member_count -= 1;
    }
    let mut event = state.append(user.into(), Entry::system(by, now, payload::conversation_left(log)))?;
    event.subscription = Some(SubscriptionChange::Unsubscribe { log });
    Some(event)
}

/// What was answered when it was carried out, if it was.
fn removed_before(state: &State, log: LogId, origin: &Origin) -> Result<Option<Committed>, Refusal> {
    let Some(sent) = state.sent_before(log, origin)? else { return Ok(None) };
    let member_count = state.log(log).map_or(0, |log| log.member_count);
    Ok(Some(Committed { done: removed(sent.added, member_count), ..Default::default() }))
}

fn removed(removed: i64, member_count: i64) -> Done {
    let count = |number| usize::try_from(number).unwrap_or(0);
    Done::Removed { removed: count(removed), member_count: count(member_count) }
}
