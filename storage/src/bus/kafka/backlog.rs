//! What has been given to Kafka and is not done with yet, for each partition: commands that it has not
//! confirmed, and confirmed ones that no core has committed.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::bus::BusError;

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
    /// When each was given to Kafka, and its bytes, in order.
    unconfirmed: VecDeque<(Instant, usize)>,
    bytes: usize,
    /// The offset behind the last one of ours that is confirmed.
    end: i64,
    /// The offset up to which the group has committed.
    committed: i64,
}

impl Backlog {
    /// Books for partitions whose commands are committed up to these offsets.
    pub(super) fn new(committed: &[i64], capacity: usize) -> Self {
        let partition = |committed: &i64| Partition { committed: *committed, end: *committed, ..Partition::default() };
        Self { partitions: committed.iter().map(partition).collect(), capacity, failed: None }
    }

    /// The books of the next producer: what this one had not confirmed is given up.
    pub(super) fn successor(&self) -> Self {
        let partition = |old: &Partition| Partition { end: old.end, committed: old.committed, ..Partition::default() };
        Self { partitions: self.partitions.iter().map(partition).collect(), capacity: self.capacity, failed: None }
    }

    /// Takes a command of so many bytes into the books.
    ///
    /// # Errors
    /// The partition is full, or Kafka has not confirmed anything there for a while.
    pub(super) fn admit(&mut self, number: u32, bytes: usize, now: Instant) -> Result<(), BusError> {
        if let Some(reason) = &self.failed {
            return Err(BusError::Unavailable(reason.clone()));
        }
        let Some(partition) = self.partitions.get_mut(number as usize) else {
            return Err(BusError::Unavailable(format!("there is no partition {number}")));
        };
        if partition.unconfirmed.front().is_some_and(|(since, _)| now.duration_since(*since) > STALLED) {
            return Err(BusError::Unavailable("Kafka confirms nothing".into()));
        }
        if partition.waiting() >= self.capacity || partition.bytes + bytes > MAX_BYTES {
            return Err(BusError::Full { partition: number });
        }
        partition.bytes += bytes;
        partition.unconfirmed.push_back((now, bytes));
        Ok(())
    }

    /// The command that was admitted last was not given to Kafka after all.
    pub(super) fn withdraw(&mut self, number: u32) {
        if let Some(partition) = self.partitions.get_mut(number as usize)
            && let Some((_, bytes)) = partition.unconfirmed.pop_back()
        {
            partition.bytes -= bytes;
        }
    }

    /// Kafka has the oldest unconfirmed one, at this offset.
    pub(super) fn confirmed(&mut self, number: u32, offset: i64) {
        if let Some(partition) = self.partitions.get_mut(number as usize) {
            if let Some((_, bytes)) = partition.unconfirmed.pop_front() {
                partition.bytes -= bytes;
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
        }
    }

    /// Why this producer has to be given up: it failed, or has one that is unconfirmed for longer than
    /// `patience`.
    pub(super) fn lost(&self, now: Instant, patience: Duration) -> Option<String> {
        let oldest =
            self.partitions.iter().filter_map(|partition| partition.unconfirmed.front()).map(|(since, _)| *since).min();
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
        self.unconfirmed.len() + usize::try_from(self.end - self.committed).unwrap_or(0)
    }
}

/// A broker that restarts is back sooner; after this commands are refused, and those that wait still go
/// when it is back.
const STALLED: Duration = Duration::from_secs(2);
/// Unconfirmed bytes in one partition.
const MAX_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_full_until_the_group_has_committed() {
        let (mut backlog, now) = (Backlog::new(&[10, 0], 2), Instant::now());
        backlog.admit(0, 1, now).unwrap();
        backlog.confirmed(0, 10);
        backlog.admit(0, 1, now).unwrap();
        assert_eq!(backlog.admit(0, 1, now), Err(BusError::Full { partition: 0 }));
        backlog.admit(1, 1, now).unwrap();
        assert_eq!(backlog.uncommitted(), [0]);
        backlog.committed(0, 11);
        assert!(backlog.is_committed(0));
        backlog.admit(0, 1, now).unwrap();
        assert!(backlog.admit(2, 1, now).is_err());
    }

    #[test]
    fn others_commands_count_when_they_are_seen() {
        let (mut backlog, now) = (Backlog::new(&[0], 10), Instant::now());
        backlog.admit(0, 1, now).unwrap();
        backlog.confirmed(0, 99);
        assert_eq!(backlog.admit(0, 1, now), Err(BusError::Full { partition: 0 }));
    }

    #[test]
    fn what_is_not_confirmed_stops_the_partition_and_then_the_producer() {
        let (mut backlog, start) = (Backlog::new(&[0, 0], 10), Instant::now());
        backlog.admit(0, 1, start).unwrap();
        let later = start + STALLED + Duration::from_millis(1);
        assert!(matches!(backlog.admit(0, 1, later), Err(BusError::Unavailable(_))));
        backlog.admit(1, 1, later).unwrap();
        assert_eq!(backlog.lost(later, Duration::from_secs(10)), None);
        assert!(backlog.lost(start + Duration::from_secs(11), Duration::from_secs(10)).is_some());
        assert!(!backlog.all_confirmed());
        assert!(backlog.successor().all_confirmed());
        backlog.confirmed(0, 0);
        backlog.admit(0, 1, later).unwrap();
    }

    #[test]
    fn bodies_are_bounded_and_a_withdrawn_one_leaves_nothing() {
        let (mut backlog, now) = (Backlog::new(&[0], 10), Instant::now());
        backlog.admit(0, MAX_BYTES, now).unwrap();
        assert_eq!(backlog.admit(0, 1, now), Err(BusError::Full { partition: 0 }));
        backlog.withdraw(0);
        backlog.admit(0, 1, now).unwrap();
        backlog.fail("refused".into());
        assert_eq!(backlog.admit(0, 1, now), Err(BusError::Unavailable("refused".into())));
        assert_eq!(backlog.lost(now, Duration::from_secs(10)).as_deref(), Some("refused"));
    }
}
