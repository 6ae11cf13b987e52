//! What the bus, its consumers and its threads share.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::outgoing::Outgoing;
use crate::bus::KafkaConfig;

/// What the bus, its consumers and its threads share.
pub(super) struct Shared {
    pub(super) config: KafkaConfig,
    pub(super) topic: String,
    pub(super) outgoing: Outgoing,
    pub(super) assigned: watch::Sender<Vec<u32>>,
    /// Of each consumer.
    assignments: Mutex<HashMap<u64, Vec<u32>>>,
    /// How many consumers there have been.
    pub(super) consumers: AtomicU64,
    /// It is known anew how far the group has committed.
    pub(super) settled: Notify,
    /// Threads of dropped consumers that have not left the group yet.
    pub(super) leaving: watch::Sender<usize>,
    pub(super) closing: watch::Sender<bool>,
    dropped: AtomicBool,
}

impl Shared {
    pub(super) fn new(config: KafkaConfig, outgoing: Outgoing) -> Self {
        Self {
            topic: config.topic(),
            config,
            outgoing,
            assigned: watch::Sender::default(),
            assignments: Mutex::default(),
            consumers: AtomicU64::new(0),
            settled: Notify::new(),
            leaving: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            dropped: AtomicBool::new(false),
        }
    }

    /// The bus is gone: its threads end.
    pub(super) fn drop_bus(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// A consumer has been assigned these partitions, or none.
    pub(super) fn assign(&self, consumer: u64, partitions: Vec<u32>) {
        let mut assignments = self.assignments.lock();
        if partitions.is_empty() {
            assignments.remove(&consumer);
        } else {
            assignments.insert(consumer, partitions);
        }
        let mut all: Vec<u32> = assignments.values().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        self.assigned.send_if_modified(|assigned| {
            let changed = *assigned != all;
            *assigned = all;
            changed
        });
    }
}
