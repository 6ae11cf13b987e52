//! The bus over Kafka: a topic with as many partitions as [`gogochat_proto::partition`] tells, any core produces, and Kafka's group
//! assignment decides which core consumes a partition: that is the sharding and the failover.

mod backlog;
mod client;
mod consumer;
mod fetcher;
mod outgoing;
mod properties;
mod topic;
mod watcher;
mod wire;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, SyncSender},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::error::KafkaError;
use tokio::sync::{Notify, watch};

use self::{
    client::{Quiet, QuietConsumer},
    consumer::KafkaConsumer,
    outgoing::Outgoing,
};
use super::{Bus, BusCommand, BusError, Consumer, KafkaConfig};

/// The bus over Kafka.
pub struct KafkaBus {
    shared: Arc<Shared>,
    asks: Arc<QuietConsumer>,
    alarm: SyncSender<()>,
}

/// Why the bus did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No broker answers.
    #[error("no Kafka broker answers at core.kafka = {brokers:?}: {reason}")]
    Unreachable {
        /// As configured.
        brokers: String,
        /// What the last attempt ended with.
        reason: String,
    },
    /// A broker's certificate is not believed.
    #[error(
        "core.kafka_properties: the certificate of a broker of core.kafka = {brokers:?} is refused: {reason} (give the authority that signed it in \"ssl.ca.location\"; it has to be for the host that the broker is called by)"
    )]
    Untrusted {
        /// As configured.
        brokers: String,
        /// What librdkafka says.
        reason: String,
    },
    /// A broker does not take the user.
    #[error(
        "core.kafka_properties: Kafka at {brokers:?} refuses the user or password (\"sasl.mechanism\", \"sasl.username\", \"sasl.password\"): {reason}"
    )]
    Refused {
        /// As configured.
        brokers: String,
        /// What librdkafka says.
        reason: String,
    },
    /// The topic has another number of partitions.
    #[error(
        "core.kafka: the topic {topic:?} has {has} partitions, and has to have {}: give the cluster another name (cluster.name), or delete the topic",
        gogochat_proto::partition::PARTITIONS
    )]
    Partitions {
        /// Which.
        topic: String,
        /// How many it has.
        has: u32,
    },
    /// The topic cannot be made.
    #[error("core.kafka: the topic {topic:?} cannot be made: {reason}")]
    Topic {
        /// Which.
        topic: String,
        /// What the broker says.
        reason: String,
    },
    /// librdkafka does not take the configuration.
    #[error("core.kafka, or core.kafka_properties, is refused: {0}")]
    Config(String),
    /// The machine gives no thread.
    #[error("no thread for Kafka: {0}")]
    Thread(String),
}

impl OpenError {
    #[allow(clippy::needless_pass_by_value, reason = "it is a function for map_err")]
    fn config(error: KafkaError) -> Self {
        Self::Config(match error {
            // The value may be a password.
            KafkaError::ClientConfig(_, why, key, value) if value.is_empty() => format!("{key}: {why}"),
            KafkaError::ClientConfig(_, why, key, value) => format!("{key}: {}", why.replace(&value, "...")),
            other => other.to_string(),
        })
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is a function for map_err")]
    fn thread(error: std::io::Error) -> Self {
        Self::Thread(error.to_string())
    }
}

/// Whether librdkafka takes the configuration, as far as that is known before it connects.
///
/// # Errors
/// It knows no such property, or not this value.
pub fn check(config: &KafkaConfig) -> Result<(), OpenError> {
    for client in [config.consumer(), config.producer()] {
        client.create_native_config().map_err(OpenError::config)?;
    }
    Ok(())
}

impl KafkaBus {
    /// Connects, and makes the topic where it is not there. `capacity`: commands that may be under way in each partition, given to Kafka
    /// and not committed by the group.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(config: KafkaConfig, capacity: usize) -> Result<Self, OpenError> {
        topic::ensure(&config).await?;
        let asks: QuietConsumer = config.consumer().create_with_context(Quiet::default()).map_err(OpenError::config)?;
        let topic = config.topic();
        let asks = Arc::new(asks);
        let committed = start_offsets(&config, &asks).await?;
        let (alarm, alarms) = mpsc::sync_channel(1);
        let outgoing = Outgoing::new(config.clone(), &committed, capacity, alarm.clone()).map_err(OpenError::config)?;
        let shared = Arc::new(Shared {
            config,
            topic,
            outgoing,
            assigned: watch::Sender::default(),
            assignments: Mutex::default(),
            consumers: AtomicU64::new(0),
            settled: Notify::new(),
            leaving: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            dropped: AtomicBool::new(false),
        });
        watcher::start(Arc::clone(&shared), Arc::clone(&asks), alarms)?;
        Ok(Self { shared, asks, alarm })
    }
}

/// Up to where the group has committed.
async fn start_offsets(config: &KafkaConfig, asks: &Arc<QuietConsumer>) -> Result<Vec<i64>, OpenError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let (asks, topic) = (Arc::clone(asks), config.topic());
        let asked = tokio::task::spawn_blocking(move || watcher::start_offsets(&asks, &topic)).await;
        match asked.map_err(|error| error.to_string()).and_then(|offsets| offsets.map_err(|error| error.to_string())) {
            Ok(offsets) => return Ok(offsets),
            // A topic that has just been made is known everywhere a moment later; so is a group's coordinator.
            Err(_) if Instant::now() < until => tokio::time::sleep(PAUSE).await,
            Err(reason) => return Err(OpenError::Unreachable { brokers: config.brokers.clone(), reason }),
        }
    }
}

#[async_trait]
impl Bus for KafkaBus {
    async fn publish(&self, command: BusCommand) -> Result<(), BusError> {
        self.shared.outgoing.publish(None, command)
    }

    async fn publish_in(&self, era: u64, command: BusCommand) -> Result<(), BusError> {
        self.shared.outgoing.publish(Some(era), command)
    }

    fn era(&self) -> watch::Receiver<u64> {
        self.shared.outgoing.era()
    }

    fn assigned(&self) -> watch::Receiver<Vec<u32>> {
        self.shared.assigned.subscribe()
    }

    async fn consumer(&self) -> Result<Box<dyn Consumer>, BusError> {
        Ok(Box::new(KafkaConsumer::start(&self.shared)?))
    }

    /// Asks for the topic, so that a broker that is away is noticed while nothing is sent.
    async fn check(&self) -> Result<(), BusError> {
        let (shared, asks) = (Arc::clone(&self.shared), Arc::clone(&self.asks));
        let asked = tokio::task::spawn_blocking(move || watcher::check(&shared, &asks)).await;
        asked.map_err(|error| error.to_string()).and_then(|answer| answer).map_err(BusError::Unavailable)
    }

    /// Waits until Kafka has what was taken. Consumers are given what this bus has published in the partitions that are theirs, then
    /// `None`; what others publish waits for those who take over.
    async fn close(&self) {
        self.shared.outgoing.close().await;
        self.shared.closing.send_replace(true);
        self.shared.settled.notify_waiters();
    }

    async fn left(&self) {
        let mut leaving = self.shared.leaving.subscribe();
        if tokio::time::timeout(LEAVING, leaving.wait_for(|leaving| *leaving == 0)).await.is_err() {
            tracing::warn!("a consumer did not leave Kafka's group in time");
        }
    }
}

impl Drop for KafkaBus {
    fn drop(&mut self) {
        self.shared.dropped.store(true, Ordering::Release);
        let _ = self.alarm.try_send(());
    }
}

/// What the bus, its consumers and its threads share.
struct Shared {
    config: KafkaConfig,
    topic: String,
    outgoing: Outgoing,
    assigned: watch::Sender<Vec<u32>>,
    /// Of each consumer.
    assignments: Mutex<HashMap<u64, Vec<u32>>>,
    /// How many consumers there have been.
    consumers: AtomicU64,
    /// It is known anew how far the group has committed.
    settled: Notify,
    /// Threads of dropped consumers that have not left the group yet.
    leaving: watch::Sender<usize>,
    closing: watch::Sender<bool>,
    dropped: AtomicBool,
}

impl Shared {
    fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// A consumer has been assigned these partitions, or none.
    fn assign(&self, consumer: u64, partitions: Vec<u32>) {
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

/// How long a node that starts waits for its broker.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);
/// How long a consumer takes to leave when all is well, and more.
const LEAVING: Duration = Duration::from_secs(5);
