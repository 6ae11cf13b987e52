//! Everybody's view against the log itself. No I/O.

use std::collections::HashMap;

use crate::tally::{Planned, Room, Seen};

/// An entry of a log as the server has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(super) seq: i64,
    /// Which of the run's messages it is; `None` for other events.
    pub(super) index: Option<u64>,
}

/// What is wrong: the log has gaps or doubles, an acknowledged message stands elsewhere than it was
/// promised, or a member's view is not the log.
pub(crate) fn converged(rooms: &[Room], truth: &[Vec<Entry>], planned: &[Planned], seen: &[&Seen]) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, (room, log)) in rooms.iter().zip(truth).enumerate() {
        if !log.iter().map(|entry| entry.seq).eq(1..=log.len() as i64) {
            faults.push(format!("room {number}: the log has gaps"));
        }
        let mut places: HashMap<u64, i64> = HashMap::new();
        let mut last_of: HashMap<usize, u64> = HashMap::new();
        for (seq, index) in log.iter().filter_map(|entry| Some((entry.seq, entry.index?))) {
            if let Some(earlier) = places.insert(index, seq) {
                faults.push(format!("room {number}: message {index} stands at {earlier} and at {seq}"));
            }
            let Some(plan) =
                usize::try_from(index).ok().and_then(|index| planned.get(index)).filter(|plan| plan.room == number)
            else {
                faults.push(format!("room {number}: message {index} at {seq} was never sent there"));
                continue;
            };
            if last_of.insert(plan.sender, index).is_some_and(|earlier| earlier > index) {
                faults.push(format!(
                    "room {number}: message {index} at {seq} stands after a later one of the same sender"
                ));
            }
        }
        for ack in seen.iter().flat_map(|seen| &seen.acks) {
            let here = usize::try_from(ack.index)
                .ok()
                .and_then(|index| planned.get(index))
                .is_some_and(|plan| plan.room == number);
            if here && places.get(&ack.index) != Some(&ack.seq) {
                faults.push(format!(
                    "room {number}: message {} was acknowledged at {} and stands at {:?}",
                    ack.index,
                    ack.seq,
                    places.get(&ack.index)
                ));
            }
        }
        let expected: Vec<(i64, u64)> = log.iter().filter_map(|entry| Some((entry.seq, entry.index?))).collect();
        for member in &room.members {
            let view: Vec<(i64, u64)> = seen
                .get(*member)
                .into_iter()
                .flat_map(|seen| &seen.receipts)
                .filter(|receipt| receipt.log == room.id)
                .map(|receipt| (receipt.seq, receipt.index))
                .collect();
            if view != expected {
                let differs =
                    view.iter().zip(&expected).position(|(a, b)| a != b).unwrap_or(view.len().min(expected.len()));
                faults.push(format!(
                    "room {number}: user {member} holds {} messages of {}, the same up to the {differs}th",
                    view.len(),
                    expected.len()
                ));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use gogochat_proto::ids::LogId;

    use super::*;
    use crate::tally::{Ack, Receipt};

    fn entry(seq: i64, index: impl Into<Option<u64>>) -> Entry {
        Entry { seq, index: index.into() }
    }

    #[test]
    fn a_planted_fault_of_each_kind_is_found() {
        let room = Room { id: LogId::new_v7(), members: vec![0, 1] };
        let planned = [Planned { room: 0, sender: 0, intended: 0 }; 3];
        let check = |log: &[Entry], acks: &[(u64, i64)], view: &[(i64, u64)]| {
            let receipts: Vec<_> =
                view.iter().map(|&(seq, index)| Receipt { log: room.id, seq, index, at: 0 }).collect();
            let acks = acks.iter().map(|&(index, seq)| Ack { index, seq, at: 0 }).collect();
            let sender = Seen { acks, receipts: receipts.clone(), ..Seen::default() };
            let recipient = Seen { receipts, ..Seen::default() };
            converged(std::slice::from_ref(&room), &[log.to_vec()], &planned, &[&sender, &recipient])
        };
        let log = [entry(1, None), entry(2, 0), entry(3, 1), entry(4, 2)];
        let view = [(2, 0), (3, 1), (4, 2)];
        assert_eq!(check(&log, &[(0, 2), (1, 3)], &view), Vec::<String>::new());
        let found = |faults: Vec<String>, part: &str| assert!(faults.iter().any(|f| f.contains(part)), "{faults:?}");
        found(check(&[log[0], log[1], log[3]], &[], &[(2, 0), (4, 2)]), "gaps");
        found(check(&[log[0], log[1], entry(3, 0)], &[], &[(2, 0), (3, 0)]), "stands at 2 and at 3");
        found(check(&[log[0], entry(2, 7)], &[], &[(2, 7)]), "never sent");
        found(check(&[log[0], entry(2, 1), entry(3, 0)], &[], &[(2, 1), (3, 0)]), "after a later one");
        found(check(&log, &[(0, 3)], &view), "acknowledged at 3 and stands at Some(2)");
        found(check(&log[..3], &[(2, 4)], &view[..2]), "stands at None");
        found(check(&log, &[], &view[..2]), "holds 2 messages of 3");
        found(check(&log, &[], &[(3, 1), (2, 0), (4, 2)]), "the same up to the 0th");
    }
}
