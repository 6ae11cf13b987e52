use std::collections::HashSet;

use gogochat_proto::error::ErrorCode;
use proptest::prelude::*;

use super::*;

fn conversation(n: u128) -> LogId {
    LogId::from_slice(&n.to_be_bytes()).unwrap()
}

fn item(n: usize) -> Item {
    Item { client_msg_id: n.to_string(), body: Bytes::new() }
}

fn drain(outbox: &mut Outbox) -> Vec<String> {
    std::iter::from_fn(|| outbox.next()).map(|(_, item)| item.client_msg_id).collect()
}

#[test]
fn a_refusal_holds_the_queue_until_all_is_answered() {
    let (mut outbox, now, c) = (Outbox::default(), Instant::now(), conversation(1));
    for n in 0..3 {
        outbox.push(c, item(n));
    }
    assert!(drain(&mut outbox).is_empty(), "off line");
    outbox.opened();
    assert_eq!(drain(&mut outbox), ["0", "1", "2"]);
    assert_eq!(outbox.acknowledged(now, c, "0").fate, Fate::Settled);
    let overloaded = ErrorCode::Overloaded.with("");
    assert_eq!(outbox.refused(now, c, "1", &overloaded), Answered { fate: Fate::Again, wake: None });
    outbox.push(c, item(3));
    assert!(drain(&mut outbox).is_empty(), "2 is unanswered");
    let answered = outbox.refused(now, c, "2", &ErrorCode::OutOfOrder.with(""));
    let wake = answered.wake.unwrap();
    assert_eq!(wake, now + Duration::from_millis(200), "the longest wait that was asked for");
    outbox.wake(wake - Duration::from_millis(1), c);
    assert!(drain(&mut outbox).is_empty());
    outbox.wake(wake, c);
    assert_eq!(drain(&mut outbox), ["1", "2", "3"]);
}

#[test]
fn a_final_refusal_concerns_one_message() {
    let (mut outbox, now, c) = (Outbox::default(), Instant::now(), conversation(1));
    outbox.opened();
    outbox.push(c, item(0));
    outbox.push(c, item(1));
    assert_eq!(drain(&mut outbox), ["0", "1"]);
    let settled = Answered { fate: Fate::Settled, wake: None };
    assert_eq!(outbox.refused(now, c, "0", &ErrorCode::TextTooLong.with("")), settled);
    assert_eq!(outbox.acknowledged(now, c, "1"), settled);
    assert_eq!(outbox.acknowledged(now, c, "1").fate, Fate::Unknown);
    assert_eq!(outbox.len(), 0);
}

#[test]
fn a_lost_session_sends_again_what_was_not_acknowledged() {
    let (mut outbox, now, c) = (Outbox::default(), Instant::now(), conversation(1));
    outbox.opened();
    for n in 0..3 {
        outbox.push(c, item(n));
    }
    assert_eq!(drain(&mut outbox).len(), 3);
    outbox.acknowledged(now, c, "1");
    outbox.lost();
    outbox.push(c, item(3));
    assert!(drain(&mut outbox).is_empty());
    outbox.opened();
    assert_eq!(drain(&mut outbox), ["0", "2", "3"]);
}

#[test]
fn in_flight_is_bounded_and_fair_enough() {
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    outbox.opened();
    for n in 0..200 {
        for c in 0..3 {
            outbox.push(conversation(c), item(n));
        }
    }
    assert_eq!(drain(&mut outbox).len(), MAX_IN_FLIGHT);
    outbox.acknowledged(now, conversation(0), "0");
    assert_eq!(drain(&mut outbox).len(), 1);
}

proptest! {
    /// Against a server that takes, refuses and forgets at random: each message is committed once,
    /// in order, if ids are honoured.
    #[test]
    fn order_survives_refusals_and_losses(choices in prop::collection::vec(0_u8..10, 1..400), messages in 1_usize..40) {
        let (mut outbox, mut now, c) = (Outbox::default(), Instant::now(), conversation(1));
        outbox.opened();
        for n in 0..messages {
            outbox.push(c, item(n));
        }
        let mut choices = choices.into_iter().chain(std::iter::repeat(0));
        let (mut committed, mut seen) = (Vec::new(), HashSet::new());
        // The server's order: after a refusal, only the refused one opens it again.
        let mut blocked: Option<String> = None;
        let mut wire: VecDeque<String> = VecDeque::new();
        for _ in 0..20_000 {
            wire.extend(drain(&mut outbox));
            let Some(id) = wire.pop_front() else {
                if outbox.len() == 0 {
                    break;
                }
                now += Duration::from_secs(20);
                outbox.wake(now, c);
                continue;
            };
            let choice = choices.next().unwrap_or(0);
            if choice == 9 {
                // The session breaks, with or without the commit of what was on its way.
                if blocked.is_none() && seen.insert(id.clone()) {
                    committed.push(id);
                }
                wire.clear();
                blocked = None;
                outbox.lost();
                outbox.opened();
            } else if blocked.as_ref().is_some_and(|first| *first != id) {
                outbox.refused(now, c, &id, &ErrorCode::OutOfOrder.with(""));
            } else if choice >= 7 {
                blocked = Some(id.clone());
                outbox.refused(now, c, &id, &ErrorCode::Overloaded.with(""));
            } else {
                blocked = None;
                if seen.insert(id.clone()) {
                    committed.push(id.clone());
                }
                outbox.acknowledged(now, c, &id);
            }
        }
        prop_assert_eq!(committed, (0..messages).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}
