//! Asking, accepting, ending.

use std::sync::Arc;

use gogochat_proto::{
    ids::{LogId, UserId},
    v1::event::Body,
};
use gogochat_storage::store::{
    Command, ContactState, Done, Event, Membership, Range, Refusal, Store, SubscriptionChange,
};

use super::{NOW, World, body, list, unnamed};

fn request(from: UserId, to: UserId, conversation: LogId) -> Command {
    Command::RequestContact { origin: unnamed(from, NOW), to, note: "it is me".into(), conversation }
}

fn accept(user: UserId, from: UserId, conversation: LogId) -> Command {
    Command::AcceptContact { origin: unnamed(user, NOW + 1), from, conversation }
}

fn remove(user: UserId, peer: UserId) -> Command {
    Command::RemoveContact { origin: unnamed(user, NOW + 2), peer }
}

pub(crate) async fn a_request_waits_on_both_sides(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let committed = world.one(request(one, other, LogId::new_v7())).await.unwrap();
    assert_eq!(committed.done, Done::Requested);

    let logs: Vec<_> = committed.events.iter().map(|event| (event.log, event.seq)).collect();
    assert_eq!(logs, [(one.into(), 1), (other.into(), 1)]);
    for event in &committed.events {
        assert_eq!((event.sender, event.device, event.client_msg_id, event.time_ms), (one, None, None, NOW));
        let Body::ContactRequested(request) = body(event) else { panic!("{event:?}") };
        assert_eq!(request.note, "it is me");
        let [from, to] = [request.from.unwrap(), request.to.unwrap()];
        assert_eq!((from.id, from.name.as_str(), from.display_name.as_str()), (one.to_string(), "user0", "The user0"));
        assert_eq!((to.id, to.name.as_str()), (other.to_string(), "user1"));
        assert_eq!(world.log(event.log).await, std::slice::from_ref(event));
    }
    for (user, peer, state) in [(one, other, ContactState::Requested), (other, one, ContactState::Incoming)] {
        let contacts = world.store.contacts(user, None, 10).await.unwrap();
        let [contact] = &contacts[..] else { panic!("{contacts:?}") };
        assert_eq!((contact.peer.id, contact.state, contact.conversation), (peer, state, None));
        assert_eq!((contact.note.as_str(), contact.since_ms), ("it is me", NOW));
    }
    assert!(world.store.accepted_contacts(one, &[other]).await.unwrap().is_empty());

    let again = world.one(request(one, other, LogId::new_v7())).await.unwrap();
    assert_eq!((again.done, again.events), (Done::Requested, vec![]));
}

pub(crate) async fn accepting_makes_a_conversation(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = LogId::new_v7();
    world.one(request(one, other, LogId::new_v7())).await.unwrap();
    let committed = world.one(accept(other, one, log)).await.unwrap();
    assert_eq!(committed.done, Done::Accepted { conversation: log });
    became_contacts(&world, &committed.events, other, one, log, 2).await;

    // A repeat finds it done.
    let again = world.one(accept(other, one, LogId::new_v7())).await.unwrap();
    assert_eq!((again.done, again.events), (Done::Accepted { conversation: log }, vec![]));
    assert_eq!(world.one(request(one, other, LogId::new_v7())).await, Err(Refusal::AlreadyContact));
    assert_eq!(world.one(request(other, one, LogId::new_v7())).await, Err(Refusal::AlreadyContact));
}

pub(crate) async fn asking_one_who_asked_accepts(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = LogId::new_v7();
    let batch = vec![request(one, other, LogId::new_v7()), request(other, one, log)];
    let outcomes = world.store.commit(batch).await.unwrap();
    let committed = outcomes[1].as_ref().unwrap();
    assert_eq!(committed.done, Done::Accepted { conversation: log });
    became_contacts(&world, &committed.events, other, one, log, 2).await;
}

/// What the events say after `user` accepted `peer`, and what there is then; `own_seq` of the first event in each own log.
async fn became_contacts(world: &World, events: &[Event], user: UserId, peer: UserId, log: LogId, own_seq: i64) {
    let places: Vec<_> = events.iter().map(|event| (event.log, event.seq)).collect();
    let own = |user: UserId, seq| (LogId::from(user), seq);
    let expected = [(log, 1), own(user, own_seq), own(user, own_seq + 1), own(peer, own_seq), own(peer, own_seq + 1)];
    assert_eq!(places, expected);

    let Body::ConversationCreated(created) = body(&events[0]) else { panic!("{:?}", events[0]) };
    assert_eq!((created.kind, created.member_count, created.title.as_str()), (1, 2, ""));
    assert_eq!(created.member_ids, [user.to_string(), peer.to_string()]);
    for (event, whom, name) in [(&events[1], peer, "user0"), (&events[3], user, "user1")] {
        let Body::ContactAccepted(accepted) = body(event) else { panic!("{event:?}") };
        let person = accepted.peer.unwrap();
        assert_eq!((person.id, person.name.as_str()), (whom.to_string(), name));
        assert_eq!(accepted.conversation_id, log.to_string());
    }
    for event in [&events[2], &events[4]] {
        let Body::ConversationJoined(joined) = body(event) else { panic!("{event:?}") };
        assert_eq!((joined.conversation_id, joined.from_seq), (log.to_string(), 1));
        assert_eq!(event.subscription, Some(SubscriptionChange::Subscribe { log, from_seq: 0 }));
    }
    for (one, other) in [(user, peer), (peer, user)] {
        let contacts = world.store.contacts(one, None, 10).await.unwrap();
        assert_eq!((contacts[0].state, contacts[0].conversation), (ContactState::Accepted, Some(log)));
        assert_eq!(world.store.accepted_contacts(one, &[other, one]).await.unwrap(), [other]);
        let memberships = world.store.memberships(one).await.unwrap();
        assert_eq!(memberships, [Membership { log, last_seq: 1, peer: Some(other) }]);
        let kept = world.store.events(one.into(), Range::After(own_seq - 1), 10, usize::MAX).await.unwrap();
        assert_eq!(kept.len(), 2);
        assert!(kept.iter().all(|event| event.subscription.is_none() && event.sender == user));
    }
}

pub(crate) async fn an_ended_contact_stops_messages(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    world.say(one, log, "hello").await;
    let end = world.store.last_seq(other.into()).await.unwrap().unwrap();

    let committed = world.one(remove(one, other)).await.unwrap();
    assert_eq!(committed.done, Done::Nothing);
    let places: Vec<_> = committed.events.iter().map(|event| (event.log, event.seq)).collect();
    assert_eq!(places, [(one.into(), end + 1), (other.into(), end + 1)]);
    for (event, peer) in committed.events.iter().zip([other, one]) {
        let Body::ContactRemoved(removed) = body(event) else { panic!("{event:?}") };
        assert_eq!((removed.peer_id, event.subscription), (peer.to_string(), None));
    }
    for (user, peer) in [(one, other), (other, one)] {
        assert_eq!(world.one(world.append(user, log, "x")).await, Err(Refusal::NotAContact(peer)));
        assert!(world.store.contacts(user, None, 10).await.unwrap().is_empty());
        let conversations = list(&*world.store, user).await;
        assert_eq!((conversations[0].log, conversations[0].writable), (log, false));
        assert!(world.one(Command::Mark { log, user, delivered: 2, read: 2 }).await.is_ok());
    }
    assert_eq!(world.log(log).await.len(), 2);
    assert_eq!(world.one(remove(one, other)).await, Err(Refusal::NotFound));
    assert_eq!(world.one(accept(one, other, LogId::new_v7())).await, Err(Refusal::NotFound));
}

pub(crate) async fn contacts_again_have_their_conversation_again(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    world.say(one, log, "before").await;
    let batch = vec![
        remove(one, other),
        world.append(one, log, "refused"),
        request(other, one, LogId::new_v7()),
        accept(one, other, LogId::new_v7()),
        world.append(one, log, "after"),
    ];
    let outcomes = world.store.commit(batch).await.unwrap();
    assert_eq!(outcomes[1], Err(Refusal::NotAContact(other)));
    let committed = outcomes[3].as_ref().unwrap();
    assert_eq!(committed.done, Done::Accepted { conversation: log });
    // Both hear it already: no ConversationCreated, no ConversationJoined.
    assert_eq!(committed.events.len(), 2);
    assert!(committed.events.iter().all(|event| matches!(body(event), Body::ContactAccepted(_))));
    assert!(outcomes[4].is_ok());
    assert_eq!(world.log(log).await.len(), 3);
    assert_eq!(world.store.memberships(one).await.unwrap().len(), 1);
    assert!(list(&*world.store, one).await[0].writable);
}

pub(crate) async fn requests_are_refused_and_withdrawn(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    for who in [(one, other), (other, one)] {
        world.one(request(one, other, LogId::new_v7())).await.unwrap();
        let committed = world.one(remove(who.0, who.1)).await.unwrap();
        assert_eq!(committed.events.len(), 2);
        assert!(committed.events.iter().all(|event| matches!(body(event), Body::ContactRemoved(_))));
        assert!(world.store.contacts(one, None, 10).await.unwrap().is_empty());
        assert!(world.store.contacts(other, None, 10).await.unwrap().is_empty());
    }
    assert!(world.store.memberships(one).await.unwrap().is_empty());
}

pub(crate) async fn nobody_is_asked_who_is_not_there(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let one = world.user().await;
    let nobody = UserId::new_v7();
    let log = LogId::new_v7();
    let refused = [
        request(one, nobody, log),
        request(nobody, one, log),
        request(one, one, log),
        accept(one, nobody, log),
        accept(one, one, log),
        remove(one, nobody),
    ];
    for command in refused {
        assert_eq!(world.one(command).await, Err(Refusal::NotFound));
    }
    assert_eq!(world.store.last_seq(one.into()).await.unwrap(), Some(0));
    assert_eq!(world.store.last_seq(log).await.unwrap(), None);
}

pub(crate) async fn only_the_asked_accepts(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    world.one(request(one, other, LogId::new_v7())).await.unwrap();
    assert_eq!(world.one(accept(one, other, LogId::new_v7())).await, Err(Refusal::NotFound));
    assert!(world.store.accepted_contacts(one, &[other]).await.unwrap().is_empty());
}

pub(crate) async fn lists_are_paged(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let one = world.user().await;
    let mut peers = Vec::new();
    for _ in 0..7 {
        let peer = world.user().await;
        world.one(request(peer, one, LogId::new_v7())).await.unwrap();
        peers.push(peer);
    }
    peers.sort_unstable();
    let mut after = None;
    let mut found = Vec::new();
    loop {
        let page = world.store.contacts(one, after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3);
        after = Some(last.peer.id);
        found.extend(page.iter().map(|contact| contact.peer.id));
    }
    assert_eq!(found, peers);
}

/// A bus may give a command again, when others have been carried out since: it is answered as the first time, and changes nothing.
pub(crate) async fn what_comes_again_changes_nothing(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;

    // What was removed is asked for anew, and stays so.
    let removal = remove(one, other);
    world.one(removal.clone()).await.unwrap();
    world.one(request(other, one, LogId::new_v7())).await.unwrap();
    again(&world, removal.clone(), Ok(Done::Nothing)).await;
    stand(&world, one, other, Some(ContactState::Incoming)).await;

    // What was declined stays so, and what asked for it a second time as well.
    let asked_twice = request(other, one, LogId::new_v7());
    assert!(world.one(asked_twice.clone()).await.unwrap().events.is_empty());
    world.one(remove(one, other)).await.unwrap();
    again(&world, asked_twice, Ok(Done::Requested)).await;
    again(&world, removal, Ok(Done::Nothing)).await;
    stand(&world, one, other, None).await;

    // What was accepted and ended is not accepted when it is asked for anew, though it was accepted twice.
    let asked = request(one, other, LogId::new_v7());
    let [accepted, accepted_twice] = [(); 2].map(|()| accept(other, one, LogId::new_v7()));
    for command in [asked.clone(), accepted.clone(), accepted_twice.clone(), remove(one, other)] {
        world.one(command).await.unwrap();
    }
    again(&world, asked, Ok(Done::Requested)).await;
    world.one(request(one, other, LogId::new_v7())).await.unwrap();
    for command in [accepted, accepted_twice] {
        again(&world, command, Ok(Done::Accepted { conversation: log })).await;
    }
    stand(&world, one, other, Some(ContactState::Requested)).await;
    assert_eq!(world.one(world.append(one, log, "x")).await, Err(Refusal::NotAContact(other)));
}

/// What was refused stays so when it comes again, though it has become possible.
pub(crate) async fn what_was_refused_is_refused_again(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let [removal, acceptance] = [remove(one, other), accept(one, other, LogId::new_v7())];
    for command in [&removal, &acceptance] {
        assert_eq!(world.one(command.clone()).await, Err(Refusal::NotFound));
    }
    world.one(request(other, one, LogId::new_v7())).await.unwrap();
    again(&world, removal, Err(Refusal::NotFound)).await;
    again(&world, acceptance.clone(), Err(Refusal::NotFound)).await;
    stand(&world, one, other, Some(ContactState::Incoming)).await;

    world.one(accept(one, other, LogId::new_v7())).await.unwrap();
    let asked = request(one, other, LogId::new_v7());
    assert_eq!(world.one(asked.clone()).await, Err(Refusal::AlreadyContact));
    world.one(remove(other, one)).await.unwrap();
    // In one batch with what makes it possible, too.
    let batch = vec![request(other, one, LogId::new_v7()), asked, acceptance];
    let outcomes = world.store.commit(batch).await.unwrap();
    assert_eq!(outcomes[1..], [Err(Refusal::AlreadyContact), Err(Refusal::NotFound)]);
    stand(&world, one, other, Some(ContactState::Incoming)).await;
}

/// Commits what was committed before.
async fn again(world: &World, command: Command, answer: Result<Done, Refusal>) {
    let outcome = world.one(command.clone()).await;
    let told = outcome.map(|committed| (committed.done, committed.events));
    assert_eq!(told, answer.map(|done| (done, Vec::new())), "{command:?}");
}

/// How a user stands with another.
async fn stand(world: &World, user: UserId, peer: UserId, expected: Option<ContactState>) {
    let contacts = world.store.contacts(user, None, 10).await.unwrap();
    assert_eq!(contacts.iter().find(|contact| contact.peer.id == peer).map(|contact| contact.state), expected);
}
