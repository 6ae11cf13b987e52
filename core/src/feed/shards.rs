//! How far a follower has got in each of its shards. No clock and no I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use gogochat_proto::ids::LogId;
use gogochat_storage::store::Place;

use crate::command::partition_of;

/// The shards that are followed here.
#[derive(Debug, Default)]
pub(super) struct Shards {
    places: BTreeMap<u16, Place>,
    /// Those that another has taken over, and until when they are left to it.
    left: BTreeMap<u16, Instant>,
}

impl Shards {
    /// Whether a shard is followed here that is not among those assigned.
    pub(super) fn has_lost(&self, assigned: &[u32]) -> bool {
        self.places.keys().any(|shard| !assigned.contains(&u32::from(*shard)))
    }

    /// Lets go of what is not assigned, and gives what is to be taken over.
    pub(super) fn assign(&mut self, assigned: &[u32], now: Instant) -> BTreeSet<u16> {
        let assigned: BTreeSet<u16> = assigned.iter().filter_map(|shard| u16::try_from(*shard).ok()).collect();
        self.places.retain(|shard, _| assigned.contains(shard));
        self.left.retain(|_, until| *until > now);
        assigned
            .into_iter()
            .filter(|shard| !self.places.contains_key(shard) && !self.left.contains_key(shard))
            .collect()
    }

    /// A shard was taken over.
    pub(super) fn take(&mut self, shard: u16, place: Place) {
        self.places.insert(shard, place);
    }

    /// Another has taken a shard over: it is left to it for a while, so that two do not take it from each
    /// other all the time where both believe that it is theirs.
    pub(super) fn lose(&mut self, shard: u16, now: Instant) {
        self.places.remove(&shard);
        self.left.insert(shard, now + LEFT);
    }

    /// How far it has got in each.
    pub(super) fn places(&self) -> Vec<(u16, Place)> {
        self.places.iter().map(|(shard, place)| (*shard, *place)).collect()
    }

    /// The log behind which walks go on; `None`: none walks.
    pub(super) fn walked(&self) -> Option<LogId> {
        self.places.values().filter_map(|place| place.walked).min()
    }

    /// Whether a log is still to come in the walk of its shard.
    pub(super) fn walks(&self, log: LogId) -> bool {
        self.of(log).and_then(|place| place.walked).is_some_and(|walked| walked < log)
    }

    /// All logs up to this one were handled.
    pub(super) fn walked_to(&mut self, log: LogId) {
        for walked in self.places.values_mut().filter_map(|place| place.walked.as_mut()) {
            *walked = log.max(*walked);
        }
    }

    /// There are no more logs: what was committed since the walks began is read from there on.
    pub(super) fn end_walk(&mut self) {
        self.places.values_mut().for_each(|place| place.walked = None);
    }

    /// The position behind which reading goes on; `None`: no shard reads.
    pub(super) fn position(&self) -> Option<i64> {
        self.reading().map(|place| place.position).min()
    }

    /// Whether a commit of a log is still to come in its shard.
    pub(super) fn reads(&self, log: LogId, position: i64) -> bool {
        self.of(log).is_some_and(|place| place.walked.is_none() && place.position < position)
    }

    /// All commits up to this one were handled.
    pub(super) fn read_to(&mut self, position: i64) {
        for place in self.places.values_mut().filter(|place| place.walked.is_none()) {
            place.position = place.position.max(position);
        }
    }

    /// How many positions the slowest shard is behind.
    pub(super) fn behind(&self, last: i64) -> i64 {
        self.places.values().map(|place| last - place.position).max().unwrap_or(0).max(0)
    }

    fn reading(&self) -> impl Iterator<Item = &Place> {
        self.places.values().filter(|place| place.walked.is_none())
    }

    fn of(&self, log: LogId) -> Option<&Place> {
        self.places.get(&u16::try_from(partition_of(log)).ok()?)
    }
}

/// How long a shard is left to another core.
const LEFT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn first() -> LogId {
        Uuid::nil().into()
    }

    fn read_up_to(position: i64) -> Place {
        Place { position, walked: None }
    }

    /// A log of this shard.
    fn log(shard: u32) -> LogId {
        std::iter::repeat_with(LogId::new_v7).find(|log| partition_of(*log) == shard).unwrap()
    }

    #[test]
    fn shards_come_and_go_with_what_is_assigned() {
        let (mut shards, now) = (Shards::default(), Instant::now());
        assert_eq!(shards.assign(&[3, 5], now), [3, 5].into());
        for shard in [3, 5] {
            shards.take(shard, read_up_to(7));
        }
        assert!(shards.assign(&[3, 5], now).is_empty() && !shards.has_lost(&[3, 5, 6]));
        assert!(shards.has_lost(&[3, 6]));
        assert_eq!(shards.assign(&[3, 6], now), [6].into());
        assert_eq!(shards.places(), [(3, read_up_to(7))]);
        // One that another has taken over is left to it for a while.
        shards.lose(3, now);
        assert_eq!(shards.assign(&[3], now + LEFT / 2), [].into());
        assert_eq!(shards.assign(&[3], now + LEFT * 2), [3].into());
    }

    #[test]
    fn commits_come_once_to_each_shard_from_the_slowest_on() {
        let mut shards = Shards::default();
        shards.take(1, read_up_to(10));
        shards.take(2, read_up_to(20));
        assert_eq!((shards.position(), shards.behind(25)), (Some(10), 15));
        let (one, two, other) = (log(1), log(2), log(3));
        assert_eq!([one, two, other].map(|log| shards.reads(log, 15)), [true, false, false]);
        shards.read_to(15);
        assert_eq!([one, two].map(|log| shards.reads(log, 21)), [true, true]);
        shards.read_to(21);
        assert_eq!((shards.position(), shards.behind(21)), (Some(21), 0));
    }

    #[test]
    fn a_walk_goes_through_all_logs_before_what_was_committed_since() {
        let mut shards = Shards::default();
        shards.take(1, Place { position: 10, walked: Some(first()) });
        shards.take(2, read_up_to(12));
        let (one, two) = (log(1), log(2));
        assert_eq!(shards.walked(), Some(first()));
        assert!(shards.walks(one) && !shards.walks(two) && !shards.reads(one, 15));
        shards.walked_to(one);
        assert!(!shards.walks(one) && shards.walks(log(1)));
        shards.read_to(30);
        shards.end_walk();
        assert_eq!((shards.walked(), shards.position()), (None, Some(10)));
        assert!(shards.reads(one, 11) && !shards.reads(two, 30));
    }
}
