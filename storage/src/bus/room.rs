//! How much a batch may have, and how much of a queue one user may have.

/// What a batch may have: no more of anything, but at least one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Commands.
    pub commands: usize,
    /// Rows that they load and write.
    pub rows: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
}

impl Room {
    /// For so many commands, however large they are.
    #[must_use]
    pub fn of(commands: usize) -> Self {
        Self { commands, rows: usize::MAX, bytes: usize::MAX }
    }
}

/// Commands of one user that may wait in a partition where so many may wait in all.
pub(super) fn share(capacity: usize) -> usize {
    (capacity / USERS).max(SMALL)
}

/// The same of their bytes.
pub(super) fn share_of_bytes(max: usize) -> usize {
    max / USERS
}

/// Users who together fill a partition.
const USERS: usize = 4;
/// What each may have however small the queue is.
const SMALL: usize = 64;
