//! The bus inside one process: a bounded queue for each partition.
//!
//! What a consumer has taken it holds until it commits: no other gets commands of those partitions meanwhile, so that a partition's
//! commands are carried out in order however many consumers there are. What a consumer took and did not commit before it was dropped is
//! lost, as it is when the process ends.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use gogochat_proto::partition::PARTITIONS;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Bus, BusCommand, BusError, Consumer};

/// The bus inside one process.
#[derive(Debug)]
pub struct ChannelBus {
    shared: Arc<Shared>,
}

impl ChannelBus {
    /// A bus whose partitions hold `capacity` commands each, and 16 MiB of bodies.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let partitions = (0..PARTITIONS).map(|_| Partition::default()).collect();
        let queues = Queues { partitions, next: 0, closed: false };
        Self { shared: Arc::new(Shared { queues: Mutex::new(queues), changed: Notify::new(), capacity }) }
    }
}

#[async_trait]
impl Bus for ChannelBus {
    async fn publish(&self, command: BusCommand) -> Result<(), BusError> {
        self.shared.queues.lock().push(command, self.shared.capacity)?;
        self.shared.changed.notify_one();
        Ok(())
    }

    async fn consumer(&self) -> Result<Box<dyn Consumer>, BusError> {
        Ok(Box::new(ChannelConsumer { shared: Arc::clone(&self.shared), held: Vec::new() }))
    }

    async fn close(&self) {
        self.shared.queues.lock().closed = true;
        self.shared.changed.notify_waiters();
    }
}

/// Takes from all partitions in turn.
struct ChannelConsumer {
    shared: Arc<Shared>,
    held: Vec<usize>,
}

#[async_trait]
impl Consumer for ChannelConsumer {
    async fn next_batch(&mut self, max: usize) -> Option<Vec<BusCommand>> {
        self.release();
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            {
                let mut queues = self.shared.queues.lock();
                let batch = queues.take(max, &mut self.held);
                if !batch.is_empty() {
                    if queues.ready() {
                        self.shared.changed.notify_one();
                    }
                    return Some(batch);
                }
                if queues.closed && queues.partitions.iter().all(|partition| partition.queue.is_empty()) {
                    return None;
                }
            }
            changed.await;
        }
    }

    async fn commit(&mut self) -> Result<(), BusError> {
        self.release();
        Ok(())
    }
}

impl ChannelConsumer {
    fn release(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let mut queues = self.shared.queues.lock();
        for index in self.held.drain(..) {
            if let Some(partition) = queues.partitions.get_mut(index) {
                partition.held = false;
            }
        }
        let (ready, closed) = (queues.ready(), queues.closed);
        drop(queues);
        if closed {
            self.shared.changed.notify_waiters();
        } else if ready {
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for ChannelConsumer {
    fn drop(&mut self) {
        self.release();
    }
}

#[derive(Debug)]
struct Shared {
    queues: Mutex<Queues>,
    changed: Notify,
    capacity: usize,
}

#[derive(Debug)]
struct Queues {
    partitions: Vec<Partition>,
    /// The partition that the next batch begins with.
    next: usize,
    closed: bool,
}

#[derive(Debug, Default)]
struct Partition {
    queue: VecDeque<BusCommand>,
    bytes: usize,
    /// A consumer has commands of it that it has not committed.
    held: bool,
}

impl Queues {
    fn push(&mut self, command: BusCommand, capacity: usize) -> Result<(), BusError> {
        if self.closed {
            return Err(BusError::Unavailable("it has been closed".into()));
        }
        let number = command.partition;
        let Some(partition) = self.partitions.get_mut(number as usize) else {
            return Err(BusError::Unavailable(format!("there is no partition {number}")));
        };
        let bytes = partition.bytes + command.body.len();
        if partition.queue.len() >= capacity || bytes > MAX_BYTES {
            return Err(BusError::Full { partition: number });
        }
        partition.bytes = bytes;
        partition.queue.push_back(command);
        Ok(())
    }

    /// Takes at most `max` commands, an equal share of each partition that nobody holds (and what others leave of theirs), and notes
    /// whose they are.
    fn take(&mut self, max: usize, held: &mut Vec<usize>) -> Vec<BusCommand> {
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
                    held.push(*index);
                }
                for command in partition.queue.drain(..room) {
                    partition.bytes -= command.body.len();
                    batch.push(command);
                }
                !partition.queue.is_empty()
            });
        }
        batch
    }

    /// Whether somebody could take something.
    fn ready(&self) -> bool {
        self.partitions.iter().any(Partition::ready)
    }
}

impl Partition {
    fn ready(&self) -> bool {
        !self.held && !self.queue.is_empty()
    }
}

/// Bodies that wait in one partition.
const MAX_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gogochat_proto::ids::{DeviceId, UserId};

    use super::*;
    use crate::bus::ReplyTo;

    fn command(body: Vec<u8>) -> BusCommand {
        BusCommand {
            partition: 3,
            reply_to: ReplyTo { attachment: 1, session: 1, call_id: 1 },
            user: UserId::new_v7(),
            device: DeviceId::new_v7(),
            method: String::new(),
            body: Bytes::from(body),
        }
    }

    #[tokio::test]
    async fn bodies_are_bounded_together() {
        let bus = ChannelBus::new(4_096);
        let half = vec![0; MAX_BYTES / 2];
        bus.publish(command(half.clone())).await.unwrap();
        bus.publish(command(half)).await.unwrap();
        assert_eq!(bus.publish(command(vec![0])).await, Err(BusError::Full { partition: 3 }));
        let mut consumer = bus.consumer().await.unwrap();
        assert_eq!(consumer.next_batch(1).await.unwrap().len(), 1);
        bus.publish(command(vec![0])).await.unwrap();
    }
}
