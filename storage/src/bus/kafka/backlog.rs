//! What was given to Kafka and is not finished, for each partition: commands that Kafka has not
//! confirmed, and confirmed ones that no core has committed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque, hash_map::Entry},
    time::{Duration, Instant},
};

use gogochat_proto::ids::UserId;

use crate::bus::{
    BusError,
    room::{share, share_of_bytes},
};

/// The books of one producer.
#[derive(Debug)]
pub(super) struct Backlog {
    partitions: Vec<Partition>,
    /// Commands that may be under way in each partition.
    capacity: usize,
    /// Kafka has refused a command for good.
    failed: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct Partition {
    /// When each was given to Kafka, its bytes, and whose it is, in order.
    unconfirmed: VecDeque<(Instant, usize, UserId)>,
    bytes: usize,
    /// The offsets of ours that the group has not committed, their bytes, and whose they are.
    uncommitted: BTreeMap<i64, (usize, UserId)>,
    /// Offsets that a core of this process is done with, behind one that waits for its turn: the group has not
    /// committed them, and they do not wait.
    done: BTreeSet<i64>,
    /// How many of both a user has, and their bytes.
    users: HashMap<UserId, Waiting>,
    /// The offset behind the last one of ours that is confirmed.
    end: i64,
    /// The offset up to which the group has committed.
    committed: i64,
}

/// What of a user's is not finished.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    commands: usize,
    bytes: usize,
}

impl Backlog {
    /// Books for partitions whose commands are committed up to these offsets.
    pub(super) fn new(committed: &[i64], capacity: usize) -> Self {
        let partition = |committed: &i64| Partition { committed: *committed, end: *committed, ..Partition::default() };
        Self { partitions: committed.iter().map(partition).collect(), capacity, failed: None }
    }

    /// The books of the next producer: what this one had not confirmed is given up.
    pub(super) fn successor(&self) -> Self {
        let partition = |old: &Partition| {
            let (end, committed, uncommitted, done) =
                (old.end, old.committed, old.uncommitted.clone(), old.done.clone());
            let mut new = Partition { end, committed, ..Partition::default() };
            uncommitted.values().for_each(|(bytes, user)| new.waits(*user, *bytes));
            Partition { uncommitted, done, ..new }
        };
        Self { partitions: self.partitions.iter().map(partition).collect(), capacity: self.capacity, failed: None }
    }

    /// Takes a command of a user's, of so many bytes, into the books.
    ///
    /// # Errors
    /// The partition is full, or has enough of this user, or Kafka has not confirmed anything there for a
    /// while.
    pub(super) fn admit(&mut self, number: u32, user: UserId, bytes: usize, now: Instant) -> Result<(), BusError> {
        if let Some(reason) = &self.failed {
            return Err(BusError::Unavailable(reason.clone()));
        }
        let Some(partition) = self.partitions.get_mut(number as usize) else {
            return Err(BusError::Unavailable(format!("there is no partition {number}")));
        };
        if partition.unconfirmed.front().is_some_and(|(since, ..)| now.duration_since(*since) > STALLED) {
            return Err(BusError::Unavailable("Kafka confirms nothing".into()));
        }
        if partition.waiting() >= self.capacity || partition.bytes + bytes > MAX_BYTES {
            return Err(BusError::Full { partition: number });
        }
        let waiting = partition.users.get(&user).copied().unwrap_or_default();
        if waiting.commands >= share(self.capacity) || waiting.bytes + bytes > share_of_bytes(MAX_BYTES) {
            return Err(BusError::Share { partition: number });
        }
        partition.bytes += bytes;
        partition.unconfirmed.push_back((now, bytes, user));
        partition.waits(user, bytes);
        Ok(())
    }

    /// The command that was admitted last was not given to Kafka after all.
    pub(super) fn withdraw(&mut self, number: u32) {
        if let Some(partition) = self.partitions.get_mut(number as usize)
            && let Some((_, bytes, user)) = partition.unconfirmed.pop_back()
        {
            partition.bytes -= bytes;
            partition.done(user, bytes);
        }
    }

    /// Kafka has the oldest unconfirmed one, at this offset.
    pub(super) fn confirmed(&mut self, number: u32, offset: i64) {
        if let Some(partition) = self.partitions.get_mut(number as usize) {
            if let Some((_, bytes, user)) = partition.unconfirmed.pop_front() {
                partition.bytes -= bytes;
                partition.uncommitted.insert(offset, (bytes, user));
            }
            partition.end = partition.end.max(offset.saturating_add(1));
        }
    }

    /// Kafka has refused one: nothing is admitted any more.
    pub(super) fn fail(&mut self, reason: String) {
        self.failed.get_or_insert(reason);
    }

    /// The group has committed up to this offset.
    pub(super) fn committed(&mut self, number: u32, offset: i64) {
        if let Some(partition) = self.partitions.get_mut(number as usize) {
            partition.committed = partition.committed.max(offset);
            let left = partition.uncommitted.split_off(&partition.committed);
            for (bytes, user) in std::mem::replace(&mut partition.uncommitted, left).into_values() {
                partition.done(user, bytes);
            }
            partition.done = partition.done.split_off(&partition.committed);
        }
    }

    /// A core of this process is done with what lies at these offsets. The group's offset may stay before
    /// them, for one that waits for its turn.
    pub(super) fn finished(&mut self, number: u32, offsets: impl IntoIterator<Item = i64>) {
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        for offset in offsets {
            if offset < partition.committed || partition.done.len() >= MAX_DONE {
                continue;
            }
            partition.done.insert(offset);
            if let Some((bytes, user)) = partition.uncommitted.remove(&offset) {
                partition.done(user, bytes);
            }
        }
    }

    /// Why this producer has to be given up: it failed, or has one that is unconfirmed for longer than
    /// `patience`.
    pub(super) fn lost(&self, now: Instant, patience: Duration) -> Option<String> {
        let oldest = self
            .partitions
            .iter()
            .filter_map(|partition| partition.unconfirmed.front())
            .map(|(since, ..)| *since)
            .min();
        let late =
            || oldest.filter(|since| now.duration_since(*since) > patience).map(|_| "Kafka confirms nothing".into());
        self.failed.clone().or_else(late)
    }

    /// Whether Kafka has confirmed all.
    pub(super) fn all_confirmed(&self) -> bool {
        self.partitions.iter().all(|partition| partition.unconfirmed.is_empty())
    }

    /// The partitions where something of ours may not be committed yet.
    pub(super) fn uncommitted(&self) -> Vec<u32> {
        let numbered = (0..).zip(&self.partitions);
        numbered.filter(|(_, partition)| partition.end > partition.committed).map(|(number, _)| number).collect()
    }

    /// Whether everything of ours in the partition is committed.
    pub(super) fn is_committed(&self, number: u32) -> bool {
        self.partitions.get(number as usize).is_none_or(|partition| partition.end <= partition.committed)
    }
}

impl Partition {
    fn waiting(&self) -> usize {
        let behind = usize::try_from(self.end - self.committed).unwrap_or(0);
        self.unconfirmed.len() + behind.saturating_sub(self.done.range(..self.end).count())
    }

    /// One of a user's waits.
    fn waits(&mut self, user: UserId, bytes: usize) {
        let waiting = self.users.entry(user).or_default();
        waiting.commands += 1;
        waiting.bytes += bytes;
    }

    /// One of a user's waits no more.
    fn done(&mut self, user: UserId, bytes: usize) {
        if let Entry::Occupied(mut entry) = self.users.entry(user) {
            let waiting = entry.get_mut();
            waiting.commands -= 1;
            waiting.bytes -= bytes;
            if waiting.commands == 0 {
                entry.remove();
            }
        }
    }
}

/// A broker that restarts is back sooner; after this commands are refused, and those that wait still go
/// when it is back.
const STALLED: Duration = Duration::from_secs(2);
/// Offsets of a partition that are kept as done, behind one that is not.
const MAX_DONE: usize = 16_384;
/// Unconfirmed bytes in one partition.
const MAX_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_full_until_the_group_has_committed() {
        let (mut backlog, now) = (Backlog::new(&[10, 0], 2), Instant::now());
        backlog.admit(0, UserId::new_v7(), 1, now).unwrap();
        backlog.confirmed(0, 10);
        backlog.admit(0, UserId::new_v7(), 1, now).unwrap();
        assert_eq!(backlog.admit(0, UserId::new_v7(), 1, now), Err(BusError::Full { partition: 0 }));
        backlog.admit(1, UserId::new_v7(), 1, now).unwrap();
        assert_eq!(backlog.uncommitted(), [0]);
        backlog.committed(0, 11);
        assert!(backlog.is_committed(0));
        backlog.admit(0, UserId::new_v7(), 1, now).unwrap();
        assert!(backlog.admit(2, UserId::new_v7(), 1, now).is_err());
    }

    #[test]
    fn what_is_done_does_not_count_while_one_before_it_waits_for_its_turn() {
        let (mut backlog, now) = (Backlog::new(&[0], 4), Instant::now());
        let (first, other) = (UserId::new_v7(), UserId::new_v7());
        for offset in 0..4 {
            backlog.admit(0, if offset == 0 { first } else { other }, 1, now).unwrap();
            backlog.confirmed(0, offset);
        }
        assert_eq!(backlog.admit(0, other, 1, now), Err(BusError::Full { partition: 0 }));
        backlog.finished(0, 1..4);
        backlog.committed(0, 0);
        for offset in 4..7 {
            backlog.admit(0, other, 1, now).unwrap();
            backlog.confirmed(0, offset);
        }
        assert_eq!(backlog.admit(0, other, 1, now), Err(BusError::Full { partition: 0 }));
        assert!(backlog.successor().admit(0, other, 1, now).is_err());
        assert!(!backlog.is_committed(0), "the group's offset stays");
        backlog.committed(0, 4);
        backlog.admit(0, other, 1, now).unwrap();
        backlog.committed(0, 7);
        assert!(backlog.is_committed(0) && backlog.partitions[0].done.is_empty());
        // What is said again, or belated, changes nothing.
        backlog.finished(0, 0..7);
        assert!(backlog.partitions[0].done.is_empty());
    }

    #[test]
    fn others_commands_count_when_they_are_seen() {
        let (mut backlog, now) = (Backlog::new(&[0], 10), Instant::now());
        backlog.admit(0, UserId::new_v7(), 1, now).unwrap();
        backlog.confirmed(0, 99);
        assert_eq!(backlog.admit(0, UserId::new_v7(), 1, now), Err(BusError::Full { partition: 0 }));
    }

    #[test]
    fn what_is_not_confirmed_stops_the_partition_and_then_the_producer() {
        let (mut backlog, start) = (Backlog::new(&[0, 0], 10), Instant::now());
        backlog.admit(0, UserId::new_v7(), 1, start).unwrap();
        let later = start + STALLED + Duration::from_millis(1);
        assert!(matches!(backlog.admit(0, UserId::new_v7(), 1, later), Err(BusError::Unavailable(_))));
        backlog.admit(1, UserId::new_v7(), 1, later).unwrap();
        assert_eq!(backlog.lost(later, Duration::from_secs(10)), None);
        assert!(backlog.lost(start + Duration::from_secs(11), Duration::from_secs(10)).is_some());
        assert!(!backlog.all_confirmed());
        assert!(backlog.successor().all_confirmed());
        backlog.confirmed(0, 0);
        backlog.admit(0, UserId::new_v7(), 1, later).unwrap();
    }

    #[test]
    fn bodies_are_bounded_and_a_withdrawn_one_leaves_nothing() {
        let (mut backlog, now) = (Backlog::new(&[0], 10), Instant::now());
        for _ in 0..4 {
            backlog.admit(0, UserId::new_v7(), MAX_BYTES / 4, now).unwrap();
        }
        assert_eq!(backlog.admit(0, UserId::new_v7(), 1, now), Err(BusError::Full { partition: 0 }));
        backlog.withdraw(0);
        backlog.admit(0, UserId::new_v7(), 1, now).unwrap();
        backlog.fail("refused".into());
        assert_eq!(backlog.admit(0, UserId::new_v7(), 1, now), Err(BusError::Unavailable("refused".into())));
        assert_eq!(backlog.lost(now, Duration::from_secs(10)).as_deref(), Some("refused"));
    }

    #[test]
    fn a_user_has_a_share_of_the_bytes_until_the_group_has_committed_them() {
        let (mut backlog, now, user) = (Backlog::new(&[0, 0], 1_024), Instant::now(), UserId::new_v7());
        backlog.admit(0, user, MAX_BYTES / 4, now).unwrap();
        assert_eq!(backlog.admit(0, user, 1, now), Err(BusError::Share { partition: 0 }));
        backlog.confirmed(0, 0);
        assert_eq!(backlog.admit(0, user, 1, now), Err(BusError::Share { partition: 0 }));
        assert_eq!(backlog.successor().admit(0, user, 1, now), Err(BusError::Share { partition: 0 }));
        backlog.admit(0, UserId::new_v7(), 1, now).unwrap();
        backlog.admit(1, user, 1, now).unwrap();
        backlog.committed(0, 1);
        backlog.admit(0, user, 1, now).unwrap();
    }

    #[test]
    fn a_user_has_a_share_until_the_group_has_committed_it() {
        let (mut backlog, now, user) = (Backlog::new(&[0, 0], 1_024), Instant::now(), UserId::new_v7());
        for offset in 0..256 {
            backlog.admit(0, user, 1, now).unwrap();
            backlog.confirmed(0, offset);
        }
        assert_eq!(backlog.admit(0, user, 1, now), Err(BusError::Share { partition: 0 }));
        backlog.admit(0, UserId::new_v7(), 1, now).unwrap();
        backlog.admit(1, user, 1, now).unwrap();
        backlog.withdraw(1);
        assert_eq!(backlog.successor().admit(0, user, 1, now), Err(BusError::Share { partition: 0 }));
        backlog.committed(0, 1);
        backlog.admit(0, user, 1, now).unwrap();
        assert_eq!(backlog.admit(0, user, 1, now), Err(BusError::Share { partition: 0 }));
    }
}
