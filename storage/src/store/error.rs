//! Why the store did not do something.

/// Why the store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, locked or timed out: repeat later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The disk is full: reads work.
    #[error("the disk is full")]
    Full,
    /// A fault in the program or the data.
    #[error("the store failed: {0}")]
    Failed(String),
}
