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

/// A command on its way to the worker of its partition. A bus may give it more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusCommand {
    /// Drawn where it is published: what is given again has the same.
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
    /// Rows that it may load and write where it is carried out: its share of a batch. 0: it does not say.
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
    /// The edge's attachment at the core that took the command; 0 for a call that waits in that core itself.
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

    /// Like [`Self::publish`], but only while it is this [era](Self::era). For who keeps an order: a
    /// command that comes after one which was lost with an earlier era does not overtake its repeat.
    ///
    /// # Errors
    /// As [`Self::publish`]; another era has begun.
    async fn publish_in(&self, era: u64, command: BusCommand) -> Result<(), BusError> {
        if *self.era().borrow() != era {
            return Err(BusError::Unavailable("commands that were on their way have been lost".into()));
        }
        self.publish(command).await
    }

    /// Rises when commands that had been taken were lost on their way: whoever published waits for
    /// answers that may never come, and has to treat them as unanswered. They may have arrived all the
    /// same, so that a repeat has to be recognised by its id.
    fn era(&self) -> watch::Receiver<u64>;

    /// The partitions whose commands the consumers of this process are given. A hint: it may be late,
    /// and two may believe in one.
    fn assigned(&self) -> watch::Receiver<Vec<u32>>;

    /// Takes part in consuming: the partitions are shared among all who do.
    async fn consumer(&self) -> Result<Box<dyn Consumer>, BusError>;

    /// Whether it takes commands, as far as can be seen without one.
    ///
    /// # Errors
    /// It is not reachable.
    async fn check(&self) -> Result<(), BusError>;

    /// Takes no more commands. Consumers are given what is left, then `None`.
    async fn close(&self);

    /// Waits until the consumers that have been dropped take no part any more, so that others have their
    /// partitions at once. Not for ever.
    async fn left(&self) {}
}

/// One consumer.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for commands and gives what there is, as far as there is `room`; of one partition and user in
    /// their order. Users of a partition have equal shares, by rows. `None`: the bus has shut down.
    async fn next_batch(&mut self, room: Room) -> Option<Vec<BusCommand>>;

    /// What was given is done with, and will not be given again; except in the partitions `keep`, where
    /// something was refused that has to come again before what follows it: there all from the batch on
    /// where they were first kept is given again to whoever consumes them next, until a later call does
    /// not keep them. A partition where very much has followed is not kept.
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
