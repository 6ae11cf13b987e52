//! Errors of the store.

/// Why the store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, locked or timed out: repeat later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Another transaction held rows for too long that some of the batch needs. Nothing was done.
    /// [`Logs::contended`](super::Logs::contended) says which commands need them; the rest may be
    /// committed without those.
    #[error("others hold what it needs: {0}")]
    Contended(String),
    /// The disk is full: reads work.
    #[error("the disk is full")]
    Full,
    /// A fault in the program or the data.
    #[error("the store failed: {0}")]
    Failed(String),
}
