//! Errors of the store.

/// Why the store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, locked or timed out: repeat later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Of a commit: others held rows that it needs for too long. Nothing was done. Of a batch the rest may
    /// go without what needs them: [`Logs::contended`](super::Logs::contended) says which it is.
    #[error("others hold what it needs: {0}")]
    Contended(String),
    /// Who does it is no administrator, or not any more, or was disabled: nothing was done.
    #[error("not by an administrator")]
    NotPermitted,
    /// The disk is full: reads work.
    #[error("the disk is full")]
    Full,
    /// A fault in the program or the data.
    #[error("the store failed: {0}")]
    Failed(String),
}
