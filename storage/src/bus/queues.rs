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

    /// Takes at most `max`, an equal share of each partition that nobody holds (and what others leave of theirs), and notes whose they
    /// are.
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
