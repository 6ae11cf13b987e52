//! The bus over Kafka: one topic, with the partitions of [`gogochat_proto::partition`]. Any core
//! produces. Kafka's group assignment decides which core consumes a partition, which gives both
//! sharding and failover.

mod backlog;
mod client;
mod consumer;
mod error;
mod fetcher;
mod outgoing;
mod properties;
mod shared;
mod topic;
mod watcher;
mod wire;

use std::{
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::error::OpenError;
use self::{
    client::{PATIENCE, PAUSE, Quiet, QuietConsumer},
    consumer::KafkaConsumer,
    outgoing::Outgoing,
    shared::Shared,
};
use super::{Bus, BusCommand, BusError, Consumer, KafkaConfig};

/// The bus over Kafka.
pub struct KafkaBus {
    shared: Arc<Shared>,
    asks: Arc<QuietConsumer>,
    alarm: SyncSender<()>,
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
    /// Connects, and makes the topic where it is not there. `capacity`: commands that may be under way
    /// in each partition, given to Kafka and not committed by the group.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(config: KafkaConfig, capacity: usize) -> Result<Self, OpenError> {
        topic::ensure(&config).await?;
        let asks: QuietConsumer = config.consumer().create_with_context(Quiet::default()).map_err(OpenError::config)?;
        let asks = Arc::new(asks);
        let committed = start_offsets(&config, &asks).await?;
        let (alarm, alarms) = mpsc::sync_channel(1);
        let outgoing = Outgoing::new(config.clone(), &committed, capacity, alarm.clone()).map_err(OpenError::config)?;
        let shared = Arc::new(Shared::new(config, outgoing));
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
            // A topic that has just been made is known everywhere a moment later; so is a group's
            // coordinator.
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

    /// Waits until Kafka has what was taken. Consumers are given what this bus has published in the
    /// partitions that are theirs, then
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
        self.shared.drop_bus();
        let _ = self.alarm.try_send(());
    }
}

/// How long a consumer takes to leave when all is well, and more.
const LEAVING: Duration = Duration::from_secs(5);
