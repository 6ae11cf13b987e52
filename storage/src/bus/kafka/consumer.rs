//! The worker's side of a consumer.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use gogochat_proto::partition::PARTITIONS;
use tokio::time::Instant;

use super::{fetcher::Member, shared::Shared};
use crate::bus::{BusCommand, BusError, Consumer, Room};

/// Takes what its thread has fetched. When it is dropped its thread leaves the group.
pub(super) struct KafkaConsumer {
    bus: Arc<Shared>,
    member: Arc<Member>,
    /// What has been taken of each partition under this assignment.
    taken: Vec<Span>,
    /// Partitions that are not passed over.
    kept: Vec<u32>,
    assignment: u64,
    /// When it learned that the bus is closing.
    closing: Option<Instant>,
}

/// Offsets of a partition. Users take turns there, so what was taken may have gaps.
struct Span {
    partition: u32,
    /// The first that has been taken and not passed over.
    first: Option<i64>,
    /// Behind the last that was ever taken.
    behind: i64,
    /// Those of the last batch.
    batch: Vec<i64>,
}

impl KafkaConsumer {
    pub(super) fn start(bus: &Arc<Shared>) -> Result<Self, BusError> {
        let number = bus.consumers.fetch_add(1, Ordering::Relaxed);
        let member = Member::join(bus, number).map_err(BusError::Unavailable)?;
        Ok(Self { bus: Arc::clone(bus), member, taken: Vec::new(), kept: Vec::new(), assignment: 0, closing: None })
    }

    /// What was taken is done with, as far as nothing before it waits. In partitions that are kept the
    /// group's offset stays, so that whoever is assigned them is given it again.
    fn pass_over(&mut self) {
        let backlog = self.bus.outgoing.backlog();
        let mut backlog = backlog.lock();
        let mut passed = Vec::with_capacity(self.taken.len());
        for span in &mut self.taken {
            backlog.finished(span.partition, span.batch.drain(..));
            let Some(first) = span.first else { continue };
            let waits = self.member.first_waiting(span.partition);
            let done = waits.map_or(span.behind, |waits| waits.min(span.behind));
            backlog.committed(span.partition, done);
            if !self.kept.contains(&span.partition) || span.behind - first > KEPT {
                span.first = None;
                passed.push((span.partition, done));
            }
        }
        drop(backlog);
        self.member.release(&passed, self.assignment);
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
    async fn next_batch(&mut self, room: Room) -> Option<Vec<BusCommand>> {
        self.member.release(&[], self.assignment);
        let (bus, member) = (Arc::clone(&self.bus), Arc::clone(&self.member));
        let mut closing = bus.closing.subscribe();
        loop {
            let (changed, settled) = (member.changed.notified(), bus.settled.notified());
            tokio::pin!(changed, settled);
            // From here on no change is missed.
            changed.as_mut().enable();
            settled.as_mut().enable();
            let taken = member.take(room);
            if taken.assignment != self.assignment {
                self.assignment = taken.assignment;
                self.taken.clear();
            }
            for message in &taken.messages {
                note(&mut self.taken, message.partition, message.offset);
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

    async fn commit(&mut self, keep: &[u32]) -> Result<(), BusError> {
        self.kept.clear();
        self.kept.extend(keep);
        self.pass_over();
        Ok(())
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        self.member.stop();
    }
}

fn note(taken: &mut Vec<Span>, partition: u32, offset: i64) {
    match taken.iter_mut().find(|span| span.partition == partition) {
        Some(span) => {
            span.first = Some(span.first.map_or(offset, |first| first.min(offset)));
            span.behind = span.behind.max(offset + 1);
            span.batch.push(offset);
        }
        None => taken.push(Span { partition, first: Some(offset), behind: offset + 1, batch: vec![offset] }),
    }
}

/// Messages past which a partition is not kept: what the group has not committed counts against what may
/// be under way in it.
const KEPT: i64 = 1_024;

/// How long a consumer of a closing bus waits for an assignment.
const JOINING: Duration = Duration::from_secs(10);
