//! How a client works, and where it begins.

use std::time::Duration;

use gogochat_proto::v1;

use super::backoff::Backoff;
use crate::{Target, Transport, session::PATIENCE};

/// How a client works.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub target: Target,
    /// More addresses of the same server, as a cluster has an edge at each: when one takes no
    /// session, the next is tried, and the first again after the last.
    pub others: Vec<Target>,
    /// How to reach it.
    pub path: Path,
    /// Where this device stood when it was last stopped.
    pub cursors: Cursors,
    /// Without cursors: hand out all history (true), or begin with what comes after the first
    /// [`Update::CaughtUp`](super::Update::CaughtUp).
    pub backfill: bool,
    /// Send delivered marks for what is handed out.
    pub delivered: bool,
    /// How long a question may go without a sign of life before a ping, and a ping before the
    /// session counts as dead.
    pub patience: Duration,
    /// How long a call may go without its reply before it is repeated (a message) or given up (a
    /// call of the application's).
    pub call_timeout: Duration,
    /// The waits between tries to connect.
    pub backoff: Backoff,
}

/// Which transports a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// This one.
    Only(Transport),
    /// WebTransport, and a WebSocket when it does not open within 3 s; the next connection tries
    /// WebTransport again.
    Auto,
}

/// Where a device stands in its logs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cursors {
    /// The last seq of the user's own log; `None`: a new device.
    pub own_seq: Option<i64>,
    /// For each conversation what the device knows, `last_seq` being the last event that it has.
    pub logs: Vec<v1::Head>,
    /// The history that they are of; empty: not known. When the server tells another one, the device
    /// begins as a new one.
    pub epoch: String,
    /// What has moved up to here is in them; 0: not known.
    pub position: i64,
}

impl Options {
    /// The usual.
    #[must_use]
    pub fn new(target: Target, path: impl Into<Path>) -> Self {
        Self {
            target,
            others: Vec::new(),
            path: path.into(),
            cursors: Cursors::default(),
            backfill: false,
            delivered: true,
            patience: PATIENCE,
            call_timeout: Duration::from_secs(15),
            backoff: Backoff::default(),
        }
    }
}

impl From<Transport> for Path {
    fn from(transport: Transport) -> Self {
        Self::Only(transport)
    }
}
