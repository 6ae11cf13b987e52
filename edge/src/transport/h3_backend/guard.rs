//! What the streams of one HTTP/3 connection share: the end of all of them, and what they may cost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use h3::{
    error::Code,
    quic::{ConnectionErrorIncoming, StreamErrorIncoming},
};
use parking_lot::Mutex;

use super::{super::budget::Budget, error};

/// Watches over one connection.
#[derive(Debug)]
pub(crate) struct Guard {
    connection: quinn::Connection,
    budget: Mutex<Budget>,
    has_settings: AtomicBool,
}

/// The peer breaks HTTP/3, and the connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Fault {
    /// The error of RFC 9114 section 8.1.
    pub(super) code: Code,
    /// For the peer's developer.
    pub(super) why: &'static str,
}

impl Guard {
    /// Of a connection that has just begun.
    pub(crate) fn new(connection: quinn::Connection) -> Arc<Self> {
        let budget = Mutex::new(Budget::new(Instant::now()));
        Arc::new(Self { connection, budget, has_settings: AtomicBool::new(false) })
    }

    /// Whether the client has sent its SETTINGS.
    pub(crate) fn has_settings(&self) -> bool {
        self.has_settings.load(Ordering::Relaxed)
    }

    /// The client has sent its SETTINGS.
    pub(super) fn set_settings(&self) {
        self.has_settings.store(true, Ordering::Relaxed);
    }

    /// So much was skipped.
    ///
    /// # Errors
    /// It is too much.
    pub(super) fn spend(&self, frames: usize, bytes: usize) -> Result<(), Fault> {
        let spent = self.budget.lock().spend(frames, bytes, Instant::now());
        spent.map_err(|_| Fault { code: Code::H3_EXCESSIVE_LOAD, why: "too many frames without a meaning" })
    }

    /// Closes the connection with an error of HTTP/3.
    pub(crate) fn close(&self, code: Code, why: &str) {
        self.connection.close(error::code(code.value()), why.as_bytes());
    }

    /// Closes the connection, and gives what h3 is told of it.
    pub(super) fn fail(&self, fault: Fault) -> ConnectionErrorIncoming {
        tracing::debug!(address = %self.connection.remote_address(), code = %fault.code, why = fault.why, "HTTP/3 was broken");
        self.close(fault.code, fault.why);
        ConnectionErrorIncoming::Undefined(Arc::new(fault))
    }

    /// The same, where a stream was read.
    pub(super) fn fail_stream(&self, fault: Fault) -> StreamErrorIncoming {
        StreamErrorIncoming::ConnectionErrorIncoming { connection_error: self.fail(fault) }
    }
}
