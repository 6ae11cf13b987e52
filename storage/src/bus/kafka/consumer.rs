//! The worker's side of a consumer.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use gogochat_proto::partition::PARTITIONS;
use tokio::time::Instant;

use super::{Shared, fetcher::Member};
use crate::bus::{BusCommand, BusError, Consumer};

/// Takes what its thread has fetched. When it is dropped its thread leaves the group.
pub(super) struct KafkaConsumer {
    bus: Arc<Shared>,
    member: Arc<Member>,
    /// Behind what has been taken since the last commit, of each partition.
    taken: Vec<(u32, i64)>,
    assignment: u64,
    /// When it learned that the bus is closing.
    closing: Option<Instant>,
}

impl KafkaConsumer {
    pub(super) fn start(bus: &Arc<Shared>) -> Result<Self, BusError> {
        let number = bus.consumers.fetch_add(1, Ordering::Relaxed);
        let member = Member::join(bus, number).map_err(BusError::Unavailable)?;
        Ok(Self { bus: Arc::clone(bus), member, taken: Vec::new(), assignment: 0, closing: None })
    }

    /// What was taken is done with.
    fn pass_over(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        self.member.release(&taken, self.assignment);
        let backlog = self.bus.outgoing.backlog();
        let mut backlog = backlog.lock();
        for (partition, offset) in taken {
            backlog.committed(partition, offset);
        }
    }

    /// Whether the bus has closed, and what it published is committed as far as it is this consumer's.
    fn is_done(&mut self) -> bool {
        if !*self.bus.closing.borrow() {
            return false;
        }
        let since = *self.closing.get_or_insert_with(Instant::now);
        let backlog = self.bus.outgoing.backlog();
        let backlog = backlog.lock();
        match self.member.assigned() {
            Some(partitions) => partitions.iter().all(|partition| backlog.is_committed(*partition)),
            None => since.elapsed() > JOINING || (0..PARTITIONS).all(|partition| backlog.is_committed(partition)),
        }
    }
}

#[async_trait]
impl Consumer for KafkaConsumer {
    async fn next_batch(&mut self, max: usize) -> Option<Vec<BusCommand>> {
        self.member.release(&[], self.assignment);
        let (bus, member) = (Arc::clone(&self.bus), Arc::clone(&self.member));
        let mut closing = bus.closing.subscribe();
        loop {
            let (changed, settled) = (member.changed.notified(), bus.settled.notified());
            tokio::pin!(changed, settled);
            // From here on no change is missed.
            changed.as_mut().enable();
            settled.as_mut().enable();
            let taken = member.take(max);
            if taken.assignment != self.assignment {
                self.assignment = taken.assignment;
                self.taken.clear();
            }
            for message in &taken.messages {
                note(&mut self.taken, message.partition, message.offset + 1);
            }
            let any = !taken.messages.is_empty();
            let commands: Vec<_> = taken.messages.into_iter().filter_map(|message| message.command).collect();
            if !commands.is_empty() {
                return Some(commands);
            }
            if any {
                // None of them was a command: nobody will commit them.
                self.pass_over();
                continue;
            }
            if self.is_done() {
                return None;
            }
            tokio::select! {
                () = changed => {}
                () = settled => {}
                Ok(()) = closing.changed() => {}
            }
        }
    }

    async fn commit(&mut self) -> Result<(), BusError> {
        self.pass_over();
        Ok(())
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        self.member.stop();
    }
}

fn note(taken: &mut Vec<(u32, i64)>, partition: u32, offset: i64) {
    match taken.iter_mut().find(|(of, _)| *of == partition) {
        Some((_, last)) => *last = offset,
        None => taken.push((partition, offset)),
    }
}

/// How long a consumer of a closing bus waits for an assignment.
const JOINING: Duration = Duration::from_secs(10);
