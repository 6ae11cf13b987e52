//! What was sent, acknowledged and received, and the verdict on it. No I/O.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use gogochat_proto::ids::{ClientMsgId, LogId};
use uuid::Uuid;

/// A run: gives messages ids that say which one they are, so that whoever receives one needs no table.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    tag: [u8; 6],
    start: Instant,
}

/// A message as it was meant. Its index is its place in the list of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Its room's place in the list of all.
    pub(crate) room: usize,
    /// Its sender's place among the users.
    pub(crate) sender: usize,
    /// Microseconds since the run began.
    pub(crate) intended: u64,
}

/// A conversation and who is in it.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) id: LogId,
    /// Places among the users.
    pub(crate) members: Vec<usize>,
}

/// What one user was handed.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) acks: Vec<Ack>,
    pub(crate) receipts: Vec<Receipt>,
    /// Messages that the server refused for good, and the code.
    pub(crate) refused: Vec<(u64, String)>,
    /// Conversations that the user's client knows.
    pub(crate) known: HashSet<LogId>,
    /// Sessions that broke.
    pub(crate) breaks: u64,
}

/// A message was acknowledged to its sender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ack {
    pub(crate) index: u64,
    pub(crate) seq: i64,
    pub(crate) at: u64,
}

/// A message was handed to a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receipt {
    pub(crate) log: LogId,
    pub(crate) seq: i64,
    pub(crate) index: u64,
    pub(crate) at: u64,
}

/// How it went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) acked: u64,
    /// First receipts by members other than the sender.
    pub(crate) delivered: u64,
    pub(crate) expected: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    /// Received, yet never sent, or sent to another conversation.
    pub(crate) phantom: u64,
    /// From the intended time, microseconds.
    pub(crate) ack_latencies: Vec<u64>,
    pub(crate) delivery_latencies: Vec<u64>,
}

impl Run {
    pub(crate) fn new() -> Self {
        Self { tag: rand::random(), start: Instant::now() }
    }

    /// A name of this run alone, as a part of user names.
    pub(crate) fn name(&self) -> String {
        self.tag.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The id of a message.
    pub(crate) fn id(&self, index: u64) -> ClientMsgId {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&self.tag);
        // Bytes 6 and 8 hold the version and variant of a UUID.
        bytes[9..].copy_from_slice(&index.to_be_bytes()[1..]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().into()
    }

    /// Which message has this id; `None` for those of others.
    pub(crate) fn index(&self, id: &str) -> Option<u64> {
        let uuid = Uuid::try_parse(id).ok()?;
        let (tag, rest) = uuid.as_bytes().split_first_chunk::<6>()?;
        let mut index = [0; 8];
        index[1..].copy_from_slice(rest.get(3..)?);
        (*tag == self.tag).then_some(u64::from_be_bytes(index))
    }

    /// Microseconds from the beginning of the run to then.
    pub(crate) fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }
}

/// Compares what was acknowledged with what each member holds.
pub(crate) fn judge(rooms: &[Room], planned: &[Planned], seen: &[&Seen]) -> Verdict {
    let mut verdict = Verdict::default();
    let plan = |index: u64| usize::try_from(index).ok().and_then(|index| planned.get(index));
    let room_of = |plan: &Planned| rooms.get(plan.room);

    // By room, so that each member is asked for its own alone.
    let mut acked: HashMap<LogId, Vec<Ack>> = HashMap::new();
    let mut once = HashSet::new();
    for ack in seen.iter().flat_map(|seen| &seen.acks) {
        let Some((plan, room)) = plan(ack.index).and_then(|plan| Some((plan, room_of(plan)?))) else { continue };
        if once.insert(ack.index) {
            verdict.acked += 1;
            verdict.expected += room.members.len() as u64 - 1;
            verdict.ack_latencies.push(ack.at.saturating_sub(plan.intended));
            acked.entry(room.id).or_default().push(*ack);
        }
    }
    for (user, seen) in seen.iter().enumerate() {
        let mut held: HashMap<u64, (LogId, i64)> = HashMap::with_capacity(seen.receipts.len());
        let mut last_seq: HashMap<LogId, i64> = HashMap::new();
        let mut last_of_sender: HashMap<(LogId, usize), u64> = HashMap::new();
        for receipt in &seen.receipts {
            let Some(plan) =
                plan(receipt.index).filter(|plan| room_of(plan).is_some_and(|room| room.id == receipt.log))
            else {
                verdict.phantom += 1;
                continue;
            };
            if held.insert(receipt.index, (receipt.log, receipt.seq)).is_some() {
                verdict.duplicated += 1;
                continue;
            }
            let before = last_seq.insert(receipt.log, receipt.seq);
            let earlier = last_of_sender.insert((receipt.log, plan.sender), receipt.index);
            if before.is_some_and(|seq| seq >= receipt.seq) || earlier.is_some_and(|index| index > receipt.index) {
                verdict.reordered += 1;
            }
            if plan.sender != user {
                verdict.delivered += 1;
                verdict.delivery_latencies.push(receipt.at.saturating_sub(plan.intended));
            }
        }
        for room in rooms.iter().filter(|room| room.members.contains(&user)) {
            verdict.lost += acked
                .get(&room.id)
                .into_iter()
                .flatten()
                .filter(|ack| plan(ack.index).is_some_and(|plan| plan.sender != user))
                .filter(|ack| held.get(&ack.index) != Some(&(room.id, ack.seq)))
                .count() as u64;
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: usize = 0;
    const B: usize = 1;

    fn room(members: &[usize]) -> Room {
        Room { id: LogId::new_v7(), members: members.to_vec() }
    }

    fn planned(count: usize) -> Vec<Planned> {
        (0..count).map(|n| Planned { room: 0, sender: A, intended: 10 * n as u64 }).collect()
    }

    fn sender(acked: &[(u64, i64)]) -> Seen {
        Seen { acks: acked.iter().map(|&(index, seq)| Ack { index, seq, at: 100 }).collect(), ..Seen::default() }
    }

    fn recipient(log: LogId, got: &[(u64, i64)]) -> Seen {
        let receipts = got.iter().map(|&(index, seq)| Receipt { log, seq, index, at: 200 }).collect();
        Seen { receipts, ..Seen::default() }
    }

    #[test]
    fn ids_say_which_message_they_are() {
        let (run, other) = (Run::new(), Run::new());
        for index in [0, 1, 77, (1 << 56) - 1] {
            assert_eq!(run.index(&run.id(index).to_string()), Some(index));
            assert_eq!(other.index(&run.id(index).to_string()), None);
        }
        assert_ne!(run.id(1), run.id(2));
        assert_eq!(run.index("x"), None);
        assert!(run.name().len() <= 16);
    }

    #[test]
    fn all_well() {
        let room = room(&[A, B]);
        let (a, b) = (sender(&[(0, 1), (1, 2)]), recipient(room.id, &[(0, 1), (1, 2)]));
        let verdict = judge(&[room], &planned(2), &[&a, &b]);
        let expected = Verdict {
            acked: 2,
            delivered: 2,
            expected: 2,
            ack_latencies: vec![100, 90],
            delivery_latencies: vec![200, 190],
            ..Verdict::default()
        };
        assert_eq!(verdict, expected);
    }

    #[test]
    fn each_fault_is_found() {
        let room = room(&[A, B, 2]);
        let id = room.id;
        let judge = |acks: &[(u64, i64)], got: &[(u64, i64)]| {
            let fine: Vec<_> = acks.to_vec();
            judge(
                std::slice::from_ref(&room),
                &planned(4),
                &[&sender(acks), &recipient(id, got), &recipient(id, &fine)],
            )
        };
        let acks = [(0, 1), (1, 2), (2, 3)];
        assert_eq!(judge(&acks, &[(0, 1), (2, 3)]).lost, 1, "missing");
        assert_eq!(judge(&acks, &[(0, 1), (1, 5), (2, 6)]).lost, 2, "at another seq than was acknowledged");
        assert_eq!(judge(&acks, &[(0, 1), (1, 2), (1, 3), (2, 4)]).duplicated, 1, "committed twice");
        assert_eq!(judge(&acks, &[(0, 1), (2, 3), (1, 2)]).reordered, 1, "handed out against the log");
        assert_eq!(judge(&acks, &[(1, 1), (0, 2), (2, 3)]).reordered, 1, "committed against the sender's order");
        assert_eq!(judge(&acks, &[(0, 1), (1, 2), (2, 3), (9, 4)]).phantom, 1, "never sent");
        // Unknown is not failed: what was not acknowledged may be there.
        let verdict = judge(&acks, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
        assert_eq!((verdict.lost, verdict.duplicated, verdict.delivered, verdict.expected), (0, 0, 7, 6));
    }
}
