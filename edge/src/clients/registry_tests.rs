use std::cell::RefCell;

use super::*;
use crate::{
    config::Limits,
    session::wire::Format,
    transport::outlet::{Outlet, Pipe},
};

fn peer(registry: &Registry) -> Arc<Peer> {
    let outlet = Outlet::new(Format::Stream, Pipe::Nowhere, Limits::default());
    registry.add(outlet, std::net::Ipv4Addr::LOCALHOST.into(), "ws", Instant::now())
}

/// Subscribes and gives what the core was asked for.
fn subscribe(registry: &Registry, peer: &Arc<Peer>, log: LogId, from: i64) -> Option<i64> {
    let mut asked = None;
    registry.subscribe(peer, log, from, |have, _| asked = Some(have));
    asked
}

/// What is announced to a core.
fn interests(registry: &Registry) -> Vec<(LogId, i64)> {
    let mut told = Vec::new();
    for log in registry.logs() {
        registry.announce(log, |have| told.push((log, have)));
    }
    told
}

fn deliver(registry: &Registry, log: LogId, seq: i64) -> (Delivery, Vec<u64>) {
    let mut to = Vec::new();
    let delivery = registry.deliver(log, seq, 1, Instant::now(), &mut to);
    (delivery, to.iter().map(|peer| peer.id).collect())
}

#[test]
fn each_event_once_and_in_order() {
    let (registry, log) = (Registry::default(), LogId::new_v7());
    let (a, b) = (peer(&registry), peer(&registry));
    assert_eq!(subscribe(&registry, &a, log, 5), Some(5));
    assert_eq!(subscribe(&registry, &b, log, 5), None);
    assert_eq!(deliver(&registry, log, 6), (Delivery::Deliver, vec![a.id, b.id]));
    assert_eq!(deliver(&registry, log, 6), (Delivery::Ignore, vec![]));
    assert_eq!(deliver(&registry, log, 3), (Delivery::Ignore, vec![]));
    assert_eq!(deliver(&registry, LogId::new_v7(), 1), (Delivery::Ignore, vec![]));
}

#[test]
fn a_gap_is_asked_for_once() {
    let (registry, log) = (Registry::default(), LogId::new_v7());
    let a = peer(&registry);
    subscribe(&registry, &a, log, 5);
    assert_eq!(deliver(&registry, log, 8), (Delivery::Gap(5), vec![]));
    assert_eq!(deliver(&registry, log, 9), (Delivery::Wait, vec![]));
    // Another core's event is dropped as well, so that one is asked too.
    assert_eq!(registry.deliver(log, 9, 2, Instant::now(), &mut Vec::new()), Delivery::Gap(5));
    assert_eq!(deliver(&registry, log, 9), (Delivery::Wait, vec![]));
    let later = Instant::now() + ASK_AGAIN;
    assert_eq!(registry.deliver(log, 10, 1, later, &mut Vec::new()), Delivery::Gap(5));
    for seq in 6..=10 {
        assert_eq!(deliver(&registry, log, seq), (Delivery::Deliver, vec![a.id]));
    }
}

#[test]
fn one_that_comes_later_with_less_is_sent_what_it_misses() {
    let (registry, log) = (Registry::default(), LogId::new_v7());
    let (a, b) = (peer(&registry), peer(&registry));
    subscribe(&registry, &a, log, 0);
    for seq in 1..=3 {
        deliver(&registry, log, seq);
    }
    // The core knew of seq 1 alone when it opened this one's session.
    assert_eq!(subscribe(&registry, &b, log, 1), Some(1));
    assert_eq!(deliver(&registry, log, 2), (Delivery::Deliver, vec![b.id]));
    assert_eq!(deliver(&registry, log, 3), (Delivery::Deliver, vec![b.id]));
    assert_eq!(deliver(&registry, log, 4), (Delivery::Deliver, vec![a.id, b.id]));
}

#[test]
fn what_is_live_does_not_overtake_what_is_replayed() {
    let (registry, log) = (Registry::default(), LogId::new_v7());
    let (a, b) = (peer(&registry), peer(&registry));
    subscribe(&registry, &a, log, 0);
    for seq in 1..=3 {
        deliver(&registry, log, seq);
    }
    assert_eq!(subscribe(&registry, &b, log, 1), Some(1));
    // Its core sends it again, behind what it lacks.
    assert_eq!(deliver(&registry, log, 4), (Delivery::Behind(1), vec![a.id]));
    assert_eq!(interests(&registry), [(log, 1)]);
    assert_eq!(deliver(&registry, log, 5), (Delivery::Deliver, vec![a.id]), "it was asked a moment ago");
    assert_eq!(registry.deliver(log, 6, 2, Instant::now(), &mut Vec::new()), Delivery::Behind(1), "another was not");
    let later = Instant::now() + ASK_AGAIN;
    assert_eq!(registry.deliver(log, 7, 1, later, &mut Vec::new()), Delivery::Behind(1));
    for seq in 2..=7 {
        assert_eq!(deliver(&registry, log, seq), (Delivery::Deliver, vec![b.id]));
    }
    assert_eq!(deliver(&registry, log, 8), (Delivery::Deliver, vec![a.id, b.id]));
}

#[test]
fn one_that_comes_with_more_is_not_sent_what_it_has() {
    let (registry, log) = (Registry::default(), LogId::new_v7());
    let (a, b) = (peer(&registry), peer(&registry));
    subscribe(&registry, &a, log, 1);
    assert_eq!(subscribe(&registry, &b, log, 3), None);
    assert_eq!(deliver(&registry, log, 2), (Delivery::Deliver, vec![a.id]));
    assert_eq!(deliver(&registry, log, 3), (Delivery::Deliver, vec![a.id]));
    assert_eq!(deliver(&registry, log, 4), (Delivery::Deliver, vec![a.id, b.id]));
}

#[test]
fn interest_ends_with_the_last() {
    let (registry, log) = (Registry::default(), LogId::new_v7());
    let (a, b) = (peer(&registry), peer(&registry));
    subscribe(&registry, &a, log, 0);
    subscribe(&registry, &b, log, 0);
    let gone = RefCell::new(Vec::new());
    registry.unsubscribe(&a, log, |log| gone.borrow_mut().push(log));
    registry.unsubscribe(&a, log, |log| gone.borrow_mut().push(log));
    assert!(gone.borrow().is_empty() && !a.is_subscribed(log) && b.is_subscribed(log));
    registry.remove(&b, None, |log| gone.borrow_mut().push(log));
    assert_eq!(*gone.borrow(), [log]);
    assert!(interests(&registry).is_empty());
    // One that has left is subscribed to nothing any more, whatever comes late.
    assert_eq!(subscribe(&registry, &b, log, 0), None);
    assert!(interests(&registry).is_empty());
}

#[test]
fn a_users_sessions_are_found_until_they_leave() {
    let registry = Registry::default();
    let (a, b) = (peer(&registry), peer(&registry));
    let principal = Principal { user: UserId::new_v7(), device: gogochat_proto::ids::DeviceId::new_v7() };
    for peer in [&a, &b, &a] {
        assert!(registry.identify(peer, principal, 2).is_some());
    }
    let third = peer(&registry);
    assert!(registry.identify(&third, principal, 2).is_none(), "one past the limit");
    registry.remove(&third, None, |_| {});
    assert_eq!(registry.user(principal.user).len(), 2);
    registry.remove(&a, Some(principal), |_| {});
    registry.identify(&a, principal, 2);
    assert_eq!(registry.user(principal.user).iter().map(|peer| peer.id).collect::<Vec<_>>(), [b.id]);
    registry.remove(&b, Some(principal), |_| {});
    assert!(registry.users.is_empty() && registry.len() == 0);
}

#[test]
fn whoever_comes_again_finds_the_calls_that_are_still_under_way() {
    let registry = Registry::default();
    let principal = Principal { user: UserId::new_v7(), device: gogochat_proto::ids::DeviceId::new_v7() };
    let session = |calls: u32| {
        let peer = peer(&registry);
        let share = registry.identify(&peer, principal, 2).unwrap();
        let mut session = peer.session.lock();
        session.live_for_tests(principal);
        session.set_share(share.clone());
        for id in 0..calls {
            let call =
                gogochat_proto::v1::Call { id, method: "gogochat.v1.SyncService/Sync".into(), ..Default::default() };
            let frame = gogochat_proto::v1::client_frame::Frame::Call(call);
            session.receive(frame, crate::session::calls::ReplyTo::Session, Instant::now()).unwrap();
        }
        drop(session);
        (peer, share)
    };
    let (a, share) = session(1);
    registry.remove(&a, Some(principal), |_| {});
    registry.forget_departed();
    // The call goes on without its session.
    let (b, again) = session(0);
    assert!(Arc::ptr_eq(&share, &again) && !share.is_idle());
    registry.remove(&b, Some(principal), |_| {});
    a.session.lock().finish(0, false, Instant::now()).unwrap();
    registry.forget_departed();
    assert!(registry.users.is_empty() && registry.departed.lock().is_empty());
}
