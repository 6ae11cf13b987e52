//! A bus under watch: what was published, to give it again as a bus does whose consumer was lost before it noted what was done; and which partitions its
//! consumer was told to keep.

use gogochat_storage::bus::{Bus, BusCommand, BusError, Consumer, Room, channel::ChannelBus};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

pub(crate) struct Watched {
    /// What is published here is not remembered.
    pub(crate) bus: ChannelBus,
    pub(crate) published: Mutex<Vec<BusCommand>>,
    /// As told last.
    pub(crate) kept: Arc<Mutex<Vec<u32>>>,
}

impl Watched {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { bus: ChannelBus::new(64), published: Mutex::default(), kept: Arc::default() })
    }
}

struct Watching {
    consumer: Box<dyn Consumer>,
    kept: Arc<Mutex<Vec<u32>>>,
}

#[tonic::async_trait]
impl Bus for Watched {
    async fn publish(&self, command: BusCommand) -> Result<(), BusError> {
        self.published.lock().push(command.clone());
        self.bus.publish(command).await
    }

    fn era(&self) -> watch::Receiver<u64> {
        self.bus.era()
    }

    fn assigned(&self) -> watch::Receiver<Vec<u32>> {
        self.bus.assigned()
    }

    async fn consumer(&self) -> Result<Box<dyn Consumer>, BusError> {
        Ok(Box::new(Watching { consumer: self.bus.consumer().await?, kept: self.kept.clone() }))
    }

    async fn check(&self) -> Result<(), BusError> {
        self.bus.check().await
    }

    async fn close(&self) {
        self.bus.close().await;
    }
}

#[tonic::async_trait]
impl Consumer for Watching {
    async fn next_batch(&mut self, room: Room) -> Option<Vec<BusCommand>> {
        self.consumer.next_batch(room).await
    }

    async fn commit(&mut self, keep: &[u32]) -> Result<(), BusError> {
        *self.kept.lock() = keep.to_vec();
        self.consumer.commit(keep).await
    }
}
