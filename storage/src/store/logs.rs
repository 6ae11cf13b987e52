//! Logs: committing to them and reading them.

use async_trait::async_trait;
use gogochat_proto::ids::LogId;

use super::{Command, Event, Outcome, Range, Refusal, StoreError};

/// Logs: all that is appended to them and read of them.
#[async_trait]
pub trait Logs: Send + Sync + 'static {
    /// Carries out a batch of commands in one durable transaction, in order; outcome `i` belongs to
    /// command `i`. A refused command changes nothing and does not disturb the others. A contact command
    /// that comes again is answered as the first time, also with a refusal. Where the batch would move
    /// very many members' rows there are fewer outcomes than commands, but one at least: the others were
    /// not carried out, and are for the next transaction.
    ///
    /// # Errors
    /// Nothing of the batch was committed, or (only with [`StoreError::Unavailable`]) it is
    /// unknown: repeat it.
    async fn commit(&self, batch: Vec<Command>) -> Result<Vec<Outcome>, StoreError>;

    /// Which commands of a batch need rows that another transaction holds at this moment. It waits
    /// for nobody.
    async fn contended(&self, batch: &[Command]) -> Result<Vec<bool>, StoreError>;

    /// Why a command would be refused at this moment. `None`: it would be carried out, or was
    /// before. It only reads, to save a commit; what counts is what [`Self::commit`] decides.
    async fn foresee(&self, command: &Command) -> Result<Option<Refusal>, StoreError>;

    /// The same for who is about to commit it: on a connection that commits, so that it waits for nobody who
    /// reads.
    async fn foresee_here(&self, command: &Command) -> Result<Option<Refusal>, StoreError>;

    /// last_seq of a log; `None`: there is no such log.
    async fn last_seq(&self, log: LogId) -> Result<Option<i64>, StoreError>;
    /// last_seq of many logs, in no order; those that do not exist are left out, one that is named
    /// twice comes once. One statement for each 256.
    async fn last_seqs(&self, logs: &[LogId]) -> Result<Vec<(LogId, i64)>, StoreError>;
    /// Events of a log in ascending seq: at most `limit`, and at most `max_bytes` of payload (but
    /// at least one), nearest to the given end first.
    async fn events(&self, log: LogId, range: Range, limit: u32, max_bytes: usize) -> Result<Vec<Event>, StoreError>;
}
