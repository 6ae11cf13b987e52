//! Bounded queues, one for each partition, from which batches are taken in equal shares.

use std::collections::VecDeque;

/// What waits in each partition, and whose turn it is.
#[derive(Debug)]
pub(super) struct Queues<T> {
    partitions: Vec<Partition<T>>,
    /// The partition that the next batch begins with.
    next: usize,
}

#[derive(Debug)]
struct Partition<T> {
    queue: VecDeque<T>,
    bytes: usize,
    /// A consumer has some of it that it has not committed.
    held: bool,
}

/// What can wait in a queue.
pub(super) trait Waits {
    /// How many bytes it counts for.
    fn bytes(&self) -> usize;
}

impl<T: Waits> Queues<T> {
    pub(super) fn new(partitions: u32) -> Self {
        let empty = || Partition { queue: VecDeque::new(), bytes: 0, held: false };
        Self { partitions: (0..partitions).map(|_| empty()).collect(), next: 0 }
    }

    /// Adds to a partition that is there.
    pub(super) fn push(&mut self, partition: u32, item: T) {
        if let Some(partition) = self.partitions.get_mut(partition as usize) {
            partition.bytes += item.bytes();
            partition.queue.push_back(item);
        }
    }

    /// How many wait in a partition, and their bytes; nothing for one that is not there.
    pub(super) fn waiting(&self, partition: u32) -> Option<(usize, usize)> {
        self.partitions.get(partition as usize).map(|partition| (partition.queue.len(), partition.bytes))
    }

    /// Takes at most `max`, an equal share of each partition that nobody holds (and what others leave of
    /// theirs), and notes whose they are.
    pub(super) fn take(&mut self, max: usize, held: &mut Vec<u32>) -> Vec<T> {
        let count = self.partitions.len();
        let order = (0..count).map(|offset| (self.next + offset) % count.max(1));
        let free = |index: &usize| self.partitions.get(*index).is_some_and(Partition::ready);
        let mut waiting: Vec<usize> = order.filter(free).collect();
        self.next = waiting.first().map_or(self.next, |first| first + 1);

        let mut batch = Vec::new();
        while batch.len() < max && !waiting.is_empty() {
            let share = ((max - batch.len()) / waiting.len()).max(1);
            waiting.retain(|index| {
                let Some(partition) = self.partitions.get_mut(*index) else { return false };
                let room = share.min(max - batch.len()).min(partition.queue.len());
                if room > 0 && !partition.held {
                    partition.held = true;
                    held.push(*index as u32);
                }
                for item in partition.queue.drain(..room) {
                    partition.bytes -= item.bytes();
                    batch.push(item);
                }
                !partition.queue.is_empty()
            });
        }
        batch
    }

    /// What was taken of these is done with: others may have what follows.
    pub(super) fn release(&mut self, held: impl IntoIterator<Item = u32>) {
        for index in held {
            if let Some(partition) = self.partitions.get_mut(index as usize) {
                partition.held = false;
            }
        }
    }

    /// Forgets what waits in a partition.
    #[cfg(any(test, feature = "cluster"))]
    pub(super) fn clear(&mut self, partition: u32) {
        if let Some(partition) = self.partitions.get_mut(partition as usize) {
            partition.queue.clear();
            partition.bytes = 0;
        }
    }

    /// Whether somebody could take something.
    pub(super) fn ready(&self) -> bool {
        self.partitions.iter().any(Partition::ready)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.iter().all(|partition| partition.queue.is_empty())
    }
}

impl<T> Partition<T> {
    fn ready(&self) -> bool {
        !self.held && !self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Waits for (u32, u32) {
        fn bytes(&self) -> usize {
            10
        }
    }

    fn queues(counts: &[u32]) -> Queues<(u32, u32)> {
        let mut queues = Queues::new(counts.len() as u32);
        for (partition, count) in (0..).zip(counts) {
            for number in 0..*count {
                queues.push(partition, (partition, number));
            }
        }
        queues
    }

    #[test]
    fn a_batch_has_equal_shares_and_what_others_leave() {
        let mut queues = queues(&[100, 1, 1, 100]);
        let mut held = Vec::new();
        let batch = queues.take(32, &mut held);
        assert_eq!(batch.len(), 32);
        for partition in 0..4 {
            let of_it: Vec<u32> = batch.iter().filter(|item| item.0 == partition).map(|item| item.1).collect();
            assert_eq!(of_it, (0..of_it.len() as u32).collect::<Vec<_>>());
            assert!(!of_it.is_empty(), "{partition} has no share");
        }
        assert_eq!(queues.waiting(0).unwrap().1, queues.waiting(0).unwrap().0 * 10);
        // All that has something left is held.
        assert!(queues.take(32, &mut held).is_empty() && !queues.ready());
        queues.release(held);
        assert!(queues.ready());
    }

    #[test]
    fn one_at_a_time_each_has_its_turn() {
        let mut queues = queues(&[3, 0, 3, 3]);
        let mut turns = Vec::new();
        for _ in 0..6 {
            let mut held = Vec::new();
            turns.extend(queues.take(1, &mut held).into_iter().map(|item| item.0));
            queues.release(held);
        }
        assert_eq!(turns, [0, 2, 3, 0, 2, 3]);
        queues.clear(0);
        assert_eq!(queues.waiting(0), Some((0, 0)));
        assert_eq!(queues.waiting(9), None);
    }
}
