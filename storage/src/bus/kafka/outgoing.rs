//! The way of commands to Kafka.
//!
//! A command counts as taken once librdkafka has it, so that a session's commands follow each other
//! without waiting for the broker. From then on nothing of its producer overtakes it or is dropped
//! on its own: the producer is idempotent, and no command has a time limit of its own. When Kafka
//! has not confirmed one for too long, the producer is given up with all that it has under way, and
//! a new one begins a new era. What was given up may have arrived all the same; its repeat is
//! recognised by the store.

use std::{
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError},
    },
    time::Instant,
};

use parking_lot::Mutex;
use rdkafka::{
    client::ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Message},
    producer::{BaseRecord, ProducerContext, ThreadedProducer},
};
use tokio::sync::{Notify, watch};

use super::{backlog::Backlog, client, wire};
use crate::bus::{BusCommand, BusError, KafkaConfig};

/// Gives commands to Kafka.
pub(super) struct Outgoing {
    config: KafkaConfig,
    topic: String,
    sending: Mutex<Sending>,
    era: watch::Sender<u64>,
    settled: Arc<Notify>,
    /// Wakes who looks after this.
    alarm: SyncSender<()>,
}

struct Sending {
    producer: ThreadedProducer<Deliveries>,
    backlog: Arc<Mutex<Backlog>>,
    /// Kafka has answered since the producer was made.
    up: bool,
    closed: bool,
}

impl Outgoing {
    /// `committed`: up to where the group has committed each partition; `capacity`: commands that may be under way in each.
    ///
    /// # Errors
    /// The configuration is not one of a producer.
    pub(super) fn new(
        config: KafkaConfig,
        committed: &[i64],
        capacity: usize,
        alarm: SyncSender<()>,
    ) -> Result<Self, KafkaError> {
        let settled = Arc::new(Notify::new());
        let backlog = Arc::new(Mutex::new(Backlog::new(committed, capacity)));
        let producer = producer(&config, &backlog, &settled, &alarm)?;
        let sending = Mutex::new(Sending { producer, backlog, up: true, closed: false });
        let topic = config.topic();
        Ok(Self { config, topic, sending, era: watch::Sender::new(0), settled, alarm })
    }

    /// Gives a command to Kafka, behind those given before; when an era is named, only while it is that one.
    pub(super) fn publish(&self, era: Option<u64>, command: BusCommand) -> Result<(), BusError> {
        let (partition, user) = (command.partition, command.user);
        let payload = wire::encode(command);
        let sending = self.sending.lock();
        if sending.closed {
            return Err(unavailable("it has been closed"));
        }
        // Under the lock that a new era is begun under.
        if era.is_some_and(|era| *self.era.borrow() != era) {
            return Err(unavailable("commands that were on their way have been lost"));
        }
        if !sending.up {
            return Err(unavailable("Kafka does not answer"));
        }
        sending.backlog.lock().admit(partition, user, payload.len(), Instant::now())?;
        let record = BaseRecord::<(), [u8]>::to(&self.topic).partition(partition as i32).payload(&payload);
        sending.producer.send(record).map_err(|(error, _)| {
            sending.backlog.lock().withdraw(partition);
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => BusError::Full { partition },
                _ => BusError::Unavailable(error.to_string()),
            }
        })
    }

    pub(super) fn era(&self) -> watch::Receiver<u64> {
        self.era.subscribe()
    }

    /// The books of the present producer.
    pub(super) fn backlog(&self) -> Arc<Mutex<Backlog>> {
        Arc::clone(&self.sending.lock().backlog)
    }

    /// Why the producer has to be given up.
    pub(super) fn lost(&self) -> Option<String> {
        self.backlog().lock().lost(Instant::now(), self.config.delivery_timeout)
    }

    /// Gives the producer up with all it has under way, and begins a new era. Until [`Self::answered`]
    /// nothing is taken.
    ///
    /// # Errors
    /// There cannot be a new one.
    pub(super) fn begin_anew(&self) -> Result<(), KafkaError> {
        let backlog = Arc::new(Mutex::new(self.backlog().lock().successor()));
        let producer = producer(&self.config, &backlog, &self.settled, &self.alarm)?;
        let old = {
            let mut sending = self.sending.lock();
            sending.up = false;
            sending.backlog = backlog;
            self.era.send_modify(|era| *era += 1);
            std::mem::replace(&mut sending.producer, producer)
        };
        // Nothing of it is sent after this.
        drop(old);
        Ok(())
    }

    pub(super) fn is_up(&self) -> bool {
        self.sending.lock().up
    }

    /// Kafka answers: commands are taken.
    pub(super) fn answered(&self) {
        self.sending.lock().up = true;
    }

    /// Takes no more commands, and waits until Kafka has those that were taken, or they are given up.
    pub(super) async fn close(&self) {
        self.sending.lock().closed = true;
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.backlog().lock().all_confirmed() {
                return;
            }
            settled.await;
        }
    }

    /// Wakes who waits in [`Self::close`].
    pub(super) fn settle(&self) {
        self.settled.notify_waiters();
    }
}

/// Keeps the books of one producer as Kafka confirms.
struct Deliveries {
    backlog: Arc<Mutex<Backlog>>,
    settled: Arc<Notify>,
    alarm: SyncSender<()>,
}

impl Deliveries {
    fn fail(&self, reason: String) {
        self.backlog.lock().fail(reason);
        if let Err(TrySendError::Disconnected(())) = self.alarm.try_send(()) {
            tracing::debug!("the bus has been dropped");
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => self.fail(reason.to_owned()),
            _ => tracing::debug!(%error, reason, "Kafka"),
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                let mut backlog = self.backlog.lock();
                backlog.confirmed(message.partition() as u32, message.offset());
                if backlog.all_confirmed() {
                    self.settled.notify_waiters();
                }
            }
            Err((error, _)) => self.fail(error.to_string()),
        }
    }
}

fn producer(
    config: &KafkaConfig,
    backlog: &Arc<Mutex<Backlog>>,
    settled: &Arc<Notify>,
    alarm: &SyncSender<()>,
) -> Result<ThreadedProducer<Deliveries>, KafkaError> {
    let context = Deliveries { backlog: Arc::clone(backlog), settled: Arc::clone(settled), alarm: alarm.clone() };
    config.producer().create_with_context(context)
}

fn unavailable(reason: &str) -> BusError {
    BusError::Unavailable(reason.into())
}
