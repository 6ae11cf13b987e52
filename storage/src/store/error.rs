//! Why the store did not do something.

/// Why the store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, locked or timed out: repeat later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Others held rows that some of it needs for too long: nothing was done, and the rest may go without
    /// that. [`Logs::contended`](super::Logs::contended) says which it is.
    #[error("others hold what it needs: {0}")]
    Contended(String),
    /// The disk is full: reads work.
    #[error("the disk is full")]
    Full,
    /// A fault in the program or the data.
    #[error("the store failed: {0}")]
    Failed(String),
}
