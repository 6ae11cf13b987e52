//! The bus: carries commands from the gateways to the workers of their partitions. It may lose
//! everything: clients send again what was not committed.

pub mod channel;
mod config;
#[cfg(feature = "cluster")]
pub mod kafka;
mod queues;
mod room;

use async_trait::async_trait;
use bytes::Bytes;
use gogochat_proto::ids::{CommandId, DeviceId, UserId};
use tokio::sync::watch;

pub use self::{config::KafkaConfig, room::Room};

/// A command on its way to the worker of its partition. A bus may deliver it more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusCommand {
    /// Drawn where it is published. When it is delivered again it has the same.
    pub id: CommandId,
    /// When it was published, by the clock of that node: ms since 1970. 0: it does not say.
    pub published_ms: i64,
    /// `gogochat_proto::partition::partition` of the conversation.
    pub partition: u32,
    /// Where the reply goes.
    pub reply_to: ReplyTo,
    /// Who.
    pub user: UserId,
    /// From which device.
    pub device: DeviceId,
    /// "gogochat.v1.ChatService/SendMessage".
    pub method: String,
    /// The request message.
    pub body: Bytes,
    /// Rows that it may load and write where it is carried out: its share of a batch. 0: it does
    /// not say.
    pub rows: u32,
}

impl BusCommand {
    /// Its rows; as many as a message has where it does not say.
    #[must_use]
    pub fn cost(&self) -> usize {
        if self.rows == 0 { ROWS_OF_A_MESSAGE as usize } else { self.rows as usize }
    }
}

/// Rows that a message loads and writes.
pub const ROWS_OF_A_MESSAGE: u32 = 8;

/// The return address of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo {
    /// The edge's attachment at the core that took the command; 0 for a call that waits in that
    /// core itself.
    pub attachment: u64,
    /// The session there, or the waiting call.
    pub session: u64,
    /// The client's call id; 0 wants no reply (marks).
    pub call_id: u32,
}

/// A way for commands to reach the workers.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Puts a command on its partition's queue, behind those that were put there before.
    ///
    /// # Errors
    /// The queue is full, or has enough of this user, or the bus is not reachable.
    async fn publish(&self, command: BusCommand) -> Result<(), BusError>;

    /// Like [`Self::publish`], but only while it is this [era](Self::era). For callers that keep an
    /// order: when a command was lost with an earlier era, the next one does not overtake its
    /// repeat.
    ///
    /// # Errors
    /// As [`Self::publish`]; another era has begun.
    async fn publish_in(&self, era: u64, command: BusCommand) -> Result<(), BusError> {
        if *self.era().borrow() != era {
            return Err(BusError::Unavailable("commands that were on their way have been lost".into()));
        }
        self.publish(command).await
    }

    /// Rises when commands that the bus had taken were lost on their way. Whoever published has to
    /// treat its open commands as unanswered. They may have arrived all the same, so a repeat has
    /// to be recognised by its id.
    fn era(&self) -> watch::Receiver<u64>;

    /// The partitions whose commands the consumers of this process get. A hint: it may be late, and
    /// two processes may name the same partition.
    fn assigned(&self) -> watch::Receiver<Vec<u32>>;

    /// A new consumer. The partitions are shared among all consumers.
    async fn consumer(&self) -> Result<Box<dyn Consumer>, BusError>;

    /// Whether it takes commands, as far as can be seen without one.
    ///
    /// # Errors
    /// It is not reachable.
    async fn check(&self) -> Result<(), BusError>;

    /// Takes no more commands. Consumers are given what is left, then `None`.
    async fn close(&self);

    /// Waits until dropped consumers have left, so that others have their partitions at once. The
    /// wait is bounded.
    async fn left(&self) {}
}

/// One consumer.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for commands and gives what there is, within `room`. Commands of one partition and
    /// user come in their order. Users of a partition have equal shares, by rows. `None`: the bus
    /// has shut down.
    async fn next_batch(&mut self, room: Room) -> Option<Vec<BusCommand>>;

    /// The batch is finished and is not delivered again, except in the partitions `keep`: there a
    /// command was refused that has to come again before what follows it. A kept partition is
    /// redelivered from the first kept batch on, to whoever consumes it next, until a later call
    /// does not keep it. A partition in which very much has followed is no longer kept.
    async fn commit(&mut self, keep: &[u32]) -> Result<(), BusError>;
}

/// Why a command was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The partition's queue is full.
    #[error("the queue of partition {partition} is full")]
    Full {
        /// Which.
        partition: u32,
    },
    /// So many commands of this user wait in the partition that others would find no room.
    #[error("too many commands of one user wait in partition {partition}")]
    Share {
        /// Which.
        partition: u32,
    },
    /// Not reachable, or shut down.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
}
