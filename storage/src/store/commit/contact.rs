//! Contacts: requesting, accepting, ending. Both sides' rows change together, and an event in both
//! own logs says so. Each command is carried out once, however often the bus delivers it.

use gogochat_proto::ids::{LogId, UserId};

use super::{
    keys::pair,
    payload,
    state::{Contact, Entry, Kind, Log, State},
};
use crate::store::{Committed, ContactState, Done, Event, Millis, Origin, Outcome, Refusal, SubscriptionChange};

/// Where the asked blocks the asker, their side is told nothing: the request stands on the asker's side alone,
/// and looks there as any other.
pub(super) fn request(state: &mut State, origin: &Origin, to: UserId, note: String, conversation: LogId) -> Outcome {
    let (from, now) = (origin.sender, origin.now);
    once(state, origin, Done::Requested, |state| {
        if state.blocks(from, to) {
            return Err(Refusal::Blocked);
        }
        let is_kept = !state.blocks(to, from);
        let side = |state: &State, one, other| state.contact(one, other).map(|contact| contact.state);
        let (mine, theirs) = (side(state, from, to), side(state, to, from));
        match mine {
            Some(ContactState::Accepted) => return Err(Refusal::AlreadyContact),
            Some(ContactState::Incoming) => return become_contacts(state, from, to, conversation, now),
            // It was made while it could not arrive: now it may.
            Some(ContactState::Requested) if theirs.is_none() && is_kept => {}
            Some(ContactState::Requested) => return Ok(Committed { done: Done::Requested, ..Default::default() }),
            // The other has asked while this side blocked them: the two requests meet.
            None if theirs == Some(ContactState::Requested) && is_kept => {
                return become_contacts(state, from, to, conversation, now);
            }
            None => {}
        }
        let (Some(asker), Some(asked)) = (state.people.get(&from).cloned(), state.people.get(&to).cloned()) else {
            return Err(Refusal::NotFound);
        };
        if from == to {
            return Err(Refusal::NotFound);
        }
        let payload = payload::contact_requested(asker, asked, note.clone());
        let mut events = Vec::new();
        if mine.is_none() {
            set(state, from, to, ContactState::Requested, &note, now, None);
            events.extend(state.append(from.into(), Entry::system(from, now, payload.clone())));
        }
        if is_kept {
            set(state, to, from, ContactState::Incoming, &note, now, None);
            events.extend(state.append(to.into(), Entry::system(from, now, payload)));
        }
        Ok(Committed { done: Done::Requested, events, mark: None })
    })
}

/// Who accepts what they have accepted already is told so, without an event.
pub(super) fn accept(state: &mut State, origin: &Origin, from: UserId, conversation: LogId) -> Outcome {
    let (user, now) = (origin.sender, origin.now);
    once(state, origin, Done::Nothing, |state| match state.contact(user, from) {
        Some(Contact { state: ContactState::Incoming, .. }) => become_contacts(state, user, from, conversation, now),
        Some(Contact { state: ContactState::Accepted, conversation: Some(conversation), .. }) => {
            Ok(Committed { done: Done::Accepted { conversation: *conversation }, ..Default::default() })
        }
        _ => Err(Refusal::NotFound),
    })
}

pub(super) fn remove(state: &mut State, origin: &Origin, peer: UserId) -> Outcome {
    let (user, now) = (origin.sender, origin.now);
    once(state, origin, Done::Nothing, |state| {
        state.contact(user, peer).ok_or(Refusal::NotFound)?;
        Ok(Committed { done: Done::Nothing, events: part(state, user, peer, now), mark: None })
    })
}

/// Blocks somebody, to whom it looks as the end of what there was.
pub(super) fn block(state: &mut State, origin: &Origin, peer: UserId) -> Outcome {
    let (user, now) = (origin.sender, origin.now);
    once(state, origin, Done::Nothing, |state| {
        let person = state.people.get(&peer).cloned().ok_or(Refusal::NotFound)?;
        if state.blocks(user, peer) {
            return Ok(Committed::default());
        }
        state.blocks.entry((user, peer)).or_default().set(Some(now));
        let mut events = part(state, user, peer, now);
        events.extend(state.append(user.into(), Entry::system(user, now, payload::person_blocked(person))));
        Ok(Committed { done: Done::Nothing, events, mark: None })
    })
}

/// Ends a block, and restores nothing.
pub(super) fn unblock(state: &mut State, origin: &Origin, peer: UserId) -> Outcome {
    let (user, now) = (origin.sender, origin.now);
    once(state, origin, Done::Nothing, |state| {
        if !state.blocks(user, peer) {
            return Ok(Committed::default());
        }
        state.blocks.entry((user, peer)).or_default().set(None);
        let event = state.append(user.into(), Entry::system(user, now, payload::person_unblocked(peer)));
        Ok(Committed { done: Done::Nothing, events: event.into_iter().collect(), mark: None })
    })
}

/// Ends what two have with each other, a contact or a request: whoever knew of it is told.
fn part(state: &mut State, user: UserId, peer: UserId, now: Millis) -> Vec<Event> {
    let sides = [(user, peer), (peer, user)];
    let known: Vec<_> = sides.into_iter().filter(|(one, other)| state.contact(*one, *other).is_some()).collect();
    for (one, other) in &known {
        state.contacts.entry((*one, *other)).or_default().set(None);
    }
    if let Some(conversation) = state.directs.get(&pair(user, peer)).copied()
        && state.log(conversation).is_some_and(|log| log.writable)
        && let Some(log) = state.change_log(conversation)
    {
        log.writable = false;
        state.touched.insert(conversation);
    }
    let removed = |other| Entry::system(user, now, payload::contact_removed(other));
    known.into_iter().filter_map(|(one, other)| state.append(one.into(), removed(other))).collect()
}

/// Carries a command out, unless it has been: then it is answered as it was, `done` where it came to no
/// conversation, and changes nothing. What the two have done since may have made possible what was
/// refused, or give it another meaning: so what changed nothing, and a refusal, is remembered too.
fn once(state: &mut State, origin: &Origin, done: Done, carry_out: impl FnOnce(&mut State) -> Outcome) -> Outcome {
    let own = LogId::from(origin.sender);
    if let Some(sent) = state.sent_before(own, origin)? {
        if let Some(refusal) = sent.refused {
            return Err(refusal);
        }
        let done = sent.target.map_or(done, |conversation| Done::Accepted { conversation });
        return Ok(Committed { done, ..Default::default() });
    }
    let outcome = carry_out(state);
    match &outcome {
        Ok(Committed { done: Done::Accepted { conversation }, .. }) => {
            state.remember(own, origin, 0, 0, Some(*conversation));
        }
        Ok(_) => state.remember(own, origin, 0, 0, None),
        Err(refusal) => state.remember_refusal(own, origin, *refusal),
    }
    outcome
}

/// Makes two users contacts, the first by their own doing, with the direct conversation that they had or
/// a new one.
fn become_contacts(state: &mut State, user: UserId, peer: UserId, new: LogId, now: Millis) -> Outcome {
    let (Some(own), Some(other)) = (state.people.get(&user).cloned(), state.people.get(&peer).cloned()) else {
        return Err(Refusal::NotFound);
    };
    let had = state.directs.get(&pair(user, peer)).copied();
    if had.is_none() && state.log(new).is_some() {
        return Err(Refusal::ClientMsgIdReused);
    }
    let conversation = had.unwrap_or(new);
    let mut events = Vec::new();
    match had {
        // They are members still, and their sessions hear it.
        Some(_) => {
            if let Some(log) = state.change_log(conversation) {
                log.writable = true;
                state.touched.insert(conversation);
            }
        }
        None => events.extend(create_direct(state, user, peer, conversation, now)),
    }
    for (one, other, person) in [(user, peer, other), (peer, user, own)] {
        let note = state.contact(one, other).map_or_else(String::new, |contact| contact.note.clone());
        set(state, one, other, ContactState::Accepted, &note, now, Some(conversation));
        let accepted = payload::contact_accepted(person, conversation);
        events.extend(state.append(one.into(), Entry::system(user, now, accepted)));
        if had.is_none() {
            events.extend(joined(state, one, conversation, (1, 1), user, now));
        }
    }
    Ok(Committed { done: Done::Accepted { conversation }, events, mark: None })
}

fn create_direct(state: &mut State, user: UserId, peer: UserId, log: LogId, now: Millis) -> Option<Event> {
    let members = pair(user, peer);
    let row = Log { pair: Some(members), ..Log::new(Kind::Direct, now, 2) };
    state.logs.entry(log).or_default().set(Some(row));
    state.directs.insert(members, log);
    state.join(log, user, 1, 1, now);
    state.join(log, peer, 1, 1, now);
    state.append(log, Entry::system(user, now, payload::conversation_created(None, &[user, peer])))
}

/// Tells a user, in their own log, that they are a member by the event of seq `at`, and may read from
/// `from_seq` on.
pub(super) fn joined(
    state: &mut State,
    user: UserId,
    log: LogId,
    (from_seq, at): (i64, i64),
    sender: UserId,
    now: Millis,
) -> Option<Event> {
    let payload = payload::conversation_joined(log, from_seq);
    let mut event = state.append(user.into(), Entry::system(sender, now, payload))?;
    event.subscription = Some(SubscriptionChange::Subscribe { log, from_seq: at - 1 });
    Some(event)
}

fn set(
    state: &mut State,
    user: UserId,
    peer: UserId,
    contact: ContactState,
    note: &str,
    since_ms: Millis,
    conversation: Option<LogId>,
) {
    let contact = Contact { state: contact, note: note.into(), since_ms, conversation };
    state.contacts.entry((user, peer)).or_default().set(Some(contact));
}
