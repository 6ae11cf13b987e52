//! The bus inside one process: a bounded queue for each partition.
//!
//! A consumer holds the partitions of the commands it has taken until it commits them. No other
//! consumer gets commands of these partitions meanwhile, so a partition's commands are carried out
//! in order however many consumers there are. When a consumer is dropped, what it took and did not
//! commit is lost, as it is when the process ends.

use std::sync::Arc;

use async_trait::async_trait;
use gogochat_proto::{ids::UserId, partition::PARTITIONS};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::{
    Bus, BusCommand, BusError, Consumer, Room,
    queues::{Queues, Waits},
    room::{share, share_of_bytes},
};

/// The bus inside one process.
#[derive(Debug)]
pub struct ChannelBus {
    shared: Arc<Shared>,
    /// All, for there is no other process.
    assigned: watch::Sender<Vec<u32>>,
    /// What is lost is lost with the process: there is one.
    era: watch::Sender<u64>,
}

impl ChannelBus {
    /// A bus whose partitions hold `capacity` commands each, and 16 MiB of bodies.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let state = State { queues: Queues::new(PARTITIONS), closed: false };
        Self {
            shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new(), capacity }),
            assigned: watch::Sender::new((0..PARTITIONS).collect()),
            era: watch::Sender::new(0),
        }
    }
}

#[async_trait]
impl Bus for ChannelBus {
    async fn publish(&self, command: BusCommand) -> Result<(), BusError> {
        self.shared.state.lock().push(command, self.shared.capacity)?;
        self.shared.changed.notify_one();
        Ok(())
    }

    async fn consumer(&self) -> Result<Box<dyn Consumer>, BusError> {
        Ok(Box::new(ChannelConsumer { shared: Arc::clone(&self.shared), held: Vec::new() }))
    }

    fn assigned(&self) -> watch::Receiver<Vec<u32>> {
        self.assigned.subscribe()
    }

    fn era(&self) -> watch::Receiver<u64> {
        self.era.subscribe()
    }

    /// It is where the process is.
    async fn check(&self) -> Result<(), BusError> {
        Ok(())
    }

    async fn close(&self) {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_waiters();
    }
}

/// Takes from all partitions in turn.
struct ChannelConsumer {
    shared: Arc<Shared>,
    held: Vec<u32>,
}

#[async_trait]
impl Consumer for ChannelConsumer {
    async fn next_batch(&mut self, room: Room) -> Option<Vec<BusCommand>> {
        self.release();
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            {
                let mut state = self.shared.state.lock();
                let batch = state.queues.take(room, &mut self.held);
                if !batch.is_empty() {
                    if state.queues.ready() {
                        self.shared.changed.notify_one();
                    }
                    return Some(batch);
                }
                if state.closed && state.queues.is_empty() {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// There is nobody to give anything to again: the queues end with the process.
    async fn commit(&mut self, _keep: &[u32]) -> Result<(), BusError> {
        self.release();
        Ok(())
    }
}

impl ChannelConsumer {
    fn release(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let mut state = self.shared.state.lock();
        state.queues.release(self.held.drain(..));
        let (ready, closed) = (state.queues.ready(), state.closed);
        drop(state);
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
    state: Mutex<State>,
    changed: Notify,
    capacity: usize,
}

#[derive(Debug)]
struct State {
    queues: Queues<BusCommand>,
    closed: bool,
}

impl State {
    fn push(&mut self, command: BusCommand, capacity: usize) -> Result<(), BusError> {
        if self.closed {
            return Err(BusError::Unavailable("it has been closed".into()));
        }
        let number = command.partition;
        let Some((count, bytes)) = self.queues.waiting(number) else {
            return Err(BusError::Unavailable(format!("there is no partition {number}")));
        };
        if count >= capacity || bytes + command.body.len() > MAX_BYTES {
            return Err(BusError::Full { partition: number });
        }
        let (commands, of_user) = self.queues.waiting_of(number, command.user);
        if commands >= share(capacity) || of_user + command.body.len() > share_of_bytes(MAX_BYTES) {
            return Err(BusError::Share { partition: number });
        }
        self.queues.push(number, command);
        Ok(())
    }
}

impl Waits for BusCommand {
    fn user(&self) -> UserId {
        self.user
    }

    fn rows(&self) -> usize {
        self.cost()
    }

    fn bytes(&self) -> usize {
        self.body.len()
    }
}

/// Bodies that wait in one partition.
const MAX_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gogochat_proto::ids::{CommandId, DeviceId, UserId};

    use super::*;
    use crate::bus::ReplyTo;

    fn command(body: Vec<u8>) -> BusCommand {
        BusCommand {
            id: CommandId::new_v7(),
            published_ms: 0,
            partition: 3,
            reply_to: ReplyTo { attachment: 1, session: 1, call_id: 1 },
            user: UserId::new_v7(),
            device: DeviceId::new_v7(),
            method: String::new(),
            body: Bytes::from(body),
            rows: 0,
        }
    }

    /// However much of a queue's room one user takes, another finds some.
    #[tokio::test]
    async fn a_user_has_a_share_and_no_more() {
        let bus = ChannelBus::new(1_024);
        let (user, other) = (command(Vec::new()).user, command(Vec::new()));
        for _ in 0..256 {
            bus.publish(BusCommand { user, ..command(Vec::new()) }).await.unwrap();
        }
        let more = BusCommand { user, ..command(Vec::new()) };
        assert_eq!(bus.publish(more.clone()).await, Err(BusError::Share { partition: 3 }));
        bus.publish(other).await.unwrap();
        bus.publish(BusCommand { partition: 4, ..more.clone() }).await.unwrap();
        let mut consumer = bus.consumer().await.unwrap();
        assert_eq!(consumer.next_batch(Room::of(2)).await.unwrap().len(), 2);
        bus.publish(more).await.unwrap();
    }

    #[tokio::test]
    async fn a_user_has_a_share_of_the_bytes_and_no_more() {
        let bus = ChannelBus::new(4_096);
        let quarter = command(vec![0; MAX_BYTES / 4]);
        bus.publish(quarter.clone()).await.unwrap();
        let more = BusCommand { user: quarter.user, ..command(vec![0]) };
        assert_eq!(bus.publish(more.clone()).await, Err(BusError::Share { partition: 3 }));
        bus.publish(command(vec![0])).await.unwrap();
        bus.publish(BusCommand { partition: 4, ..more.clone() }).await.unwrap();
        let mut consumer = bus.consumer().await.unwrap();
        assert_eq!(consumer.next_batch(Room::of(1)).await.unwrap().len(), 1);
        bus.publish(more).await.unwrap();
    }

    #[tokio::test]
    async fn bodies_are_bounded_together() {
        let bus = ChannelBus::new(4_096);
        for _ in 0..4 {
            bus.publish(command(vec![0; MAX_BYTES / 4])).await.unwrap();
        }
        assert_eq!(bus.publish(command(vec![0])).await, Err(BusError::Full { partition: 3 }));
        let mut consumer = bus.consumer().await.unwrap();
        assert_eq!(consumer.next_batch(Room::of(1)).await.unwrap().len(), 1);
        bus.publish(command(vec![0])).await.unwrap();
    }
}
