//! How long each fault was felt. No I/O.

use std::collections::BTreeMap;

use crate::{
    report::{Latency, Recovery},
    tally::{Planned, Seen},
};

/// Something that was done to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Microseconds since the run began.
    pub(super) at: u64,
    pub(super) kind: String,
    /// kill or stop.
    pub(super) how: &'static str,
}

/// By kind and way: a message that took longer than [`LATE`] belongs to the last fault before it
/// was late, or to an earlier one that was still felt as it was sent; a fault was felt until the
/// last of its messages was through. `faults` are in their order.
pub(super) fn recovery(faults: &[Fault], planned: &[Planned], seen: &[&Seen]) -> Vec<Recovery> {
    let acks = seen.iter().flat_map(|seen| &seen.acks).map(|ack| (ack.index, ack.at));
    let receipts = seen.iter().flat_map(|seen| &seen.receipts).map(|receipt| (receipt.index, receipt.at));
    // Of each late message, in the order in which they were sent, when it was through for the last of all.
    let mut late = BTreeMap::<(u64, u64), u64>::new();
    for (index, at) in acks.chain(receipts) {
        let Some(plan) = usize::try_from(index).ok().and_then(|index| planned.get(index)) else { continue };
        if at > plan.intended + LATE {
            let through = late.entry((plan.intended, index)).or_default();
            *through = at.max(*through);
        }
    }
    let mut felt: Vec<_> = faults.iter().map(|fault| Felt { messages: 0, until: fault.at }).collect();
    let mut last = 0;
    for ((sent, _), through) in late {
        if felt.get(last).is_none_or(|felt| felt.messages == 0 || felt.until < sent) {
            let Some(place) = faults.partition_point(|fault| fault.at <= sent + LATE).checked_sub(1) else { continue };
            last = place;
        }
        if let Some(felt) = felt.get_mut(last) {
            felt.messages += 1;
            felt.until = through.max(felt.until);
        }
    }

    let mut kinds = BTreeMap::<(&str, &'static str), Vec<(u64, u64)>>::new();
    for (fault, felt) in faults.iter().zip(felt) {
        kinds.entry((&fault.kind, fault.how)).or_default().push((felt.messages, felt.until - fault.at));
    }
    kinds
        .into_iter()
        .map(|((kind, how), felt)| {
            let mut times: Vec<u64> = felt.iter().map(|(_, longest)| longest / 1_000).collect();
            times.sort_unstable();
            Recovery {
                kind: kind.to_owned(),
                how,
                times: times.len() as u64,
                late_messages: felt.iter().map(|(messages, _)| messages).sum(),
                median_ms: times.get(times.len() / 2).copied().unwrap_or_default(),
                longest_ms: times.last().copied().unwrap_or_default(),
            }
        })
        .collect()
}

struct Felt {
    messages: u64,
    until: u64,
}

/// The longest time of each user between two receipts that follow each other.
pub(super) fn gaps(seen: &[&Seen]) -> Latency {
    Latency::of(seen.iter().filter_map(|seen| {
        let mut times: Vec<u64> = seen.receipts.iter().map(|receipt| receipt.at).collect();
        times.sort_unstable();
        times.iter().zip(times.iter().skip(1)).map(|(one, next)| next - one).max()
    }))
}

/// Microseconds.
const LATE: u64 = 500_000;

#[cfg(test)]
mod tests {
    use gogochat_proto::ids::LogId;

    use super::*;
    use crate::tally::{Ack, Receipt};

    const S: u64 = 1_000_000;

    #[test]
    fn late_messages_belong_to_the_fault_before_them() {
        let fault = |at, kind: &str, how| Fault { at, kind: kind.to_owned(), how };
        let faults = [fault(5 * S, "core", "kill"), fault(10 * S, "edge", "stop"), fault(15 * S, "core", "kill")];
        let planned: Vec<_> = (0..20).map(|second| Planned { room: 0, sender: 0, intended: second * S }).collect();
        let log = LogId::new_v7();
        let ack = |index: u64, at| Ack { index, seq: 1, at };
        let sender = Seen {
            // The last is late because of the second, though a third has happened. The fifth was
            // under way as the core was killed; the sixth is acknowledged at once and comes late to
            // a member.
            acks: vec![ack(1, S + LATE), ack(5, 7 * S), ack(6, 6 * S), ack(14, 18 * S), ack(17, 18 * S)],
            ..Seen::default()
        };
        let member = Seen {
            receipts: vec![Receipt { log, seq: 2, index: 6, at: 8 * S }, Receipt { log, seq: 3, index: 7, at: 8 * S }],
            ..Seen::default()
        };
        let row = |kind: &str, how, times, late_messages, median_ms, longest_ms| Recovery {
            kind: kind.to_owned(),
            how,
            times,
            late_messages,
            median_ms,
            longest_ms,
        };
        assert_eq!(
            recovery(&faults, &planned, &[&sender, &member]),
            [row("core", "kill", 2, 3, 3_000, 3_000), row("edge", "stop", 1, 2, 8_000, 8_000)]
        );
    }

    #[test]
    fn the_longest_silence() {
        let log = LogId::new_v7();
        let receipt = |at| Receipt { log, seq: 1, index: 0, at };
        let seen = Seen { receipts: vec![receipt(S), receipt(4 * S), receipt(2 * S)], ..Seen::default() };
        let longest = gaps(&[&seen, &Seen::default()]).p50.unwrap();
        assert!((longest - 2_000.0).abs() < 5.0, "{longest}");
    }
}
