//! How many connections a store has for each kind of work, and how long a statement that reads may
//! take.

use std::time::Duration;

/// Connections of a store. 0: as many as the database's own default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// For commits of commands alone. SQLite has one, which also writes all else, between two commits.
    pub commits: u32,
    /// For what else is written: accounts and devices.
    pub writes: u32,
    /// For reading who somebody is: log-ins, sessions that open, refreshes.
    pub sessions: u32,
    /// For reading pages: history, conversations, members, contacts.
    pub pages: u32,
    /// For reading what may take long: searches, looks at very many rows.
    pub heavy: u32,
    /// How long a statement that reads may take before it is stopped. One waits six times as long for a
    /// connection, unless its caller gives up before.
    pub read_limit: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self { commits: 0, writes: 0, sessions: 0, pages: 0, heavy: 0, read_limit: Duration::from_secs(5) }
    }
}

impl Connections {
    /// With a database's defaults where nothing is said.
    pub(super) fn or(self, defaults: Self) -> Self {
        let or = |given: u32, default: u32| if given == 0 { default } else { given };
        Self {
            commits: or(self.commits, defaults.commits),
            writes: or(self.writes, defaults.writes),
            sessions: or(self.sessions, defaults.sessions),
            pages: or(self.pages, defaults.pages),
            heavy: or(self.heavy, defaults.heavy),
            read_limit: self.read_limit,
        }
    }
}
