//! The state of a lock that only one process may have.

/// How it stands with the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It is this process's.
    Held,
    /// The server does not answer: another may get it first when it does.
    Unsure,
    /// Another process has it. It does not come back.
    Lost,
}
