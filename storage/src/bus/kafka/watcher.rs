//! The thread that looks after the bus. It gives up a producer that gets nowhere, notices that
//! Kafka is back, and asks how far the group has committed while something waits. It is a thread
//! because librdkafka's calls for these block.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use gogochat_proto::partition::PARTITIONS;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaResult,
};

use super::{client::QuietConsumer, error::OpenError, shared::Shared, topic};

/// Starts the thread. It ends when `alarms` rings and the bus has been dropped.
pub(super) fn start(shared: Arc<Shared>, asks: Arc<QuietConsumer>, alarms: Receiver<()>) -> Result<(), OpenError> {
    let run = move || {
        while !shared.is_dropped() {
            shared.outgoing.settle();
            tend(&shared, &asks);
            if let Err(RecvTimeoutError::Disconnected) = alarms.recv_timeout(EVERY) {
                return;
            }
        }
    };
    thread::Builder::new().name("kafka-bus".into()).spawn(run).map(drop).map_err(OpenError::thread)
}

fn tend(shared: &Shared, asks: &QuietConsumer) {
    // Its log and its errors wait for this.
    for _ in 0..EVENTS {
        asks.poll(Duration::ZERO);
    }
    let outgoing = &shared.outgoing;
    if let Some(reason) = outgoing.lost() {
        tracing::warn!(reason, "commands on their way to Kafka are given up");
        if let Err(error) = outgoing.begin_anew() {
            tracing::error!(%error, "there is no new producer");
            return;
        }
    }
    if !outgoing.is_up() && is_whole(shared, asks, ASK).is_ok() {
        tracing::debug!("Kafka answers again");
        outgoing.answered();
    }
    let backlog = outgoing.backlog();
    let wanted = backlog.lock().uncommitted();
    if !wanted.is_empty() {
        match committed(asks, &shared.topic, &wanted) {
            Ok(offsets) => {
                let mut backlog = backlog.lock();
                for (partition, offset) in offsets {
                    backlog.committed(partition, offset);
                }
            }
            Err(error) => tracing::debug!(%error, "how far the group is remains unknown"),
        }
    }
    shared.settled.notify_waiters();
}

/// Whether commands are taken and a broker answers.
pub(super) fn check(shared: &Shared, asks: &QuietConsumer) -> Result<(), String> {
    if !shared.outgoing.is_up() {
        return Err("Kafka has not answered since commands were given up".to_owned());
    }
    is_whole(shared, asks, CHECK)
}

/// Whether the topic is there, with a leader of each partition: a broker that is up answers also where
/// another is missing.
fn is_whole(shared: &Shared, asks: &QuietConsumer, wait: Duration) -> Result<(), String> {
    match topic::partitions(asks, &shared.topic, wait)? {
        Some(has) if has == PARTITIONS => Ok(()),
        Some(has) => Err(format!("the topic {} has {has} partitions instead of {PARTITIONS}", shared.topic)),
        None => Err(format!("there is no topic {}", shared.topic)),
    }
}

/// Up to where each partition is committed, or where it begins when nobody has committed there.
pub(super) fn start_offsets(asks: &QuietConsumer, topic: &str) -> KafkaResult<Vec<i64>> {
    let all: Vec<u32> = (0..PARTITIONS).collect();
    let mut offsets = vec![None; all.len()];
    for (partition, offset) in committed(asks, topic, &all)? {
        if let Some(place) = offsets.get_mut(partition as usize) {
            *place = Some(offset);
        }
    }
    let numbered = all.into_iter().zip(offsets);
    numbered
        .map(|(partition, offset)| match offset {
            Some(offset) => Ok(offset),
            None => asks.fetch_watermarks(topic, partition as i32, ASK).map(|(low, _)| low),
        })
        .collect()
}

fn committed<C: ConsumerContext>(
    asks: &BaseConsumer<C>,
    topic: &str,
    partitions: &[u32],
) -> KafkaResult<Vec<(u32, i64)>> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(topic, *partition as i32);
    }
    let found = asks.committed_offsets(list, ASK)?;
    let offset = |offset| match offset {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    Ok(found.elements().iter().filter_map(|one| Some((one.partition() as u32, offset(one.offset())?))).collect())
}

const EVERY: Duration = Duration::from_millis(200);
const ASK: Duration = Duration::from_secs(1);
/// A question may land on a broker that has just died.
const CHECK: Duration = Duration::from_secs(3);
const EVENTS: usize = 64;
