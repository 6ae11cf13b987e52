//! Blocking somebody, to whom it looks like the end of a contact.

use std::sync::Arc;

use gogochat_proto::{
    ids::{LogId, UserId},
    v1::event::Body,
};
use gogochat_storage::store::{Command, Committed, ContactState, Done, Refusal, Store};

use super::{NOW, World, body, unnamed};

pub(super) fn block(user: UserId, peer: UserId) -> Command {
    Command::Block { origin: unnamed(user, NOW), peer }
}

pub(super) fn unblock(user: UserId, peer: UserId) -> Command {
    Command::Unblock { origin: unnamed(user, NOW), peer }
}

fn ask(from: UserId, to: UserId) -> Command {
    Command::RequestContact { origin: unnamed(from, NOW), to, note: "me".into(), conversation: LogId::new_v7() }
}

/// The events that a user's own log got, in a word each.
fn told(committed: &Committed, user: UserId) -> Vec<&'static str> {
    let own = committed.events.iter().filter(|event| event.log == user.into());
    let word = |event| match body(event) {
        Body::ContactRequested(_) => "requested",
        Body::ContactAccepted(_) => "accepted",
        Body::ContactRemoved(_) => "removed",
        Body::PersonBlocked(_) => "blocked",
        Body::PersonUnblocked(_) => "unblocked",
        _ => "else",
    };
    own.map(word).collect()
}

async fn states(world: &World, user: UserId) -> Vec<(UserId, ContactState)> {
    let contacts = world.store.contacts(user, None, 10).await.unwrap();
    contacts.into_iter().map(|contact| (contact.peer.id, contact.state)).collect()
}

async fn blocked(world: &World, user: UserId) -> Vec<UserId> {
    world.store.blocks(user, None, 10).await.unwrap().into_iter().map(|block| block.peer.id).collect()
}

pub(crate) async fn a_block_looks_like_the_end_of_a_contact(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two, other] = world.users().await;
    let direct = world.befriend(one, two).await;
    let ended = world.befriend(one, other).await;
    let blocks = block(one, two);
    let committed = world.one(blocks.clone()).await.unwrap();
    let plain = world.one(Command::RemoveContact { origin: unnamed(one, NOW), peer: other }).await.unwrap();
    // The other side is told what it is told when a contact ends, and no more.
    assert_eq!((told(&committed, two), told(&plain, other)), (vec!["removed"], vec!["removed"]));
    assert_eq!(told(&committed, one), ["removed", "blocked"]);
    for (user, log, peer) in [(one, direct, two), (two, direct, one), (other, ended, one)] {
        assert_eq!(world.one(world.append(user, log, "x")).await, Err(Refusal::NotAContact(peer)));
        let seen = world.store.conversations(user, &[log]).await.unwrap().remove(0);
        assert!(!seen.writable && seen.last_seq == 1);
    }
    assert_eq!(world.store.closed(&[direct, ended]).await.unwrap().len(), 2);
    assert_eq!((states(&world, one).await, states(&world, two).await), (vec![], vec![]));
    assert_eq!((blocked(&world, one).await, blocked(&world, two).await), (vec![two], vec![]));
    // Once under its name, and again it is so already.
    for again in [blocks, block(one, two)] {
        assert_eq!(world.one(again).await.unwrap().events, []);
    }
    assert_eq!(world.one(block(one, UserId::new_v7())).await, Err(Refusal::NotFound));
}

pub(crate) async fn who_is_blocked_asks_and_is_not_heard(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    assert_eq!(told(&world.one(block(one, two)).await.unwrap(), one), ["blocked"]);
    // As whoever is not blocked is answered, on their own side alone.
    for (round, expected) in [vec!["requested"], vec![]].into_iter().enumerate() {
        let asked = world.one(ask(two, one)).await.unwrap();
        assert_eq!(
            (asked.done.clone(), told(&asked, two), told(&asked, one)),
            (Done::Requested, expected, vec![]),
            "{round}"
        );
    }
    assert_eq!((states(&world, two).await, states(&world, one).await), (vec![(one, ContactState::Requested)], vec![]));
    assert_eq!(world.one(ask(one, two)).await, Err(Refusal::Blocked));
    let accept = Command::AcceptContact { origin: unnamed(one, NOW), from: two, conversation: LogId::new_v7() };
    assert_eq!(world.one(accept).await, Err(Refusal::NotFound));
    let withdraw = Command::RemoveContact { origin: unnamed(two, NOW), peer: one };
    let withdrawn = world.one(withdraw).await.unwrap();
    assert_eq!((told(&withdrawn, two), told(&withdrawn, one)), (vec!["removed"], vec![]));
    // Who blocks the one who blocks them learns nothing by it.
    assert_eq!(told(&world.one(block(two, one)).await.unwrap(), one), Vec::<&str>::new());
}

pub(crate) async fn two_requests_that_meet_make_a_contact_again(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    let direct = world.befriend(one, two).await;
    world.one(block(one, two)).await.unwrap();
    world.one(ask(two, one)).await.unwrap();
    let ended = world.one(unblock(one, two)).await.unwrap();
    // It restores nothing, and brings nothing that was asked meanwhile.
    assert_eq!((told(&ended, one), told(&ended, two)), (vec!["unblocked"], vec![]));
    assert_eq!((states(&world, one).await, blocked(&world, one).await), (vec![], vec![]));
    assert_eq!(world.one(unblock(one, two)).await.unwrap().events, []);
    let met = world.one(ask(one, two)).await.unwrap();
    assert_eq!(met.done, Done::Accepted { conversation: direct });
    world.say(two, direct, "again").await;

    // What is asked anew after the end of a block arrives.
    world.one(block(one, two)).await.unwrap();
    world.one(ask(two, one)).await.unwrap();
    world.one(unblock(one, two)).await.unwrap();
    let asked = world.one(ask(two, one)).await.unwrap();
    assert_eq!((told(&asked, two), told(&asked, one)), (vec![], vec!["requested"]));
    assert_eq!(states(&world, one).await, [(two, ContactState::Incoming)]);
}

pub(crate) async fn a_request_is_blocked_as_it_is_refused(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    world.one(ask(two, one)).await.unwrap();
    let committed = world.one(block(one, two)).await.unwrap();
    assert_eq!((told(&committed, one), told(&committed, two)), (vec!["removed", "blocked"], vec!["removed"]));
    assert_eq!((states(&world, one).await, states(&world, two).await), (vec![], vec![]));
}

pub(crate) async fn blocks_are_listed_by_pages(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two, three, four] = world.users().await;
    for peer in [four, two, three] {
        world.one(block(one, peer)).await.unwrap();
    }
    let mut expected = [two, three, four];
    expected.sort();
    let first = world.store.blocks(one, None, 2).await.unwrap();
    let rest = world.store.blocks(one, Some(first[1].peer.id), 2).await.unwrap();
    let found: Vec<_> = first.iter().chain(&rest).map(|block| (block.peer.id, block.since_ms)).collect();
    assert_eq!(found, expected.map(|user| (user, NOW)));
}
