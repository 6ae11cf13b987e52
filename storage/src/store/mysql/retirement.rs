//! Connections that lead to a server which takes no writes.
//!
//! When another server becomes the primary, new connections lead there. Open ones stay with the old
//! server, which answers and refuses every write, for ever. So once a server has refused a write
//! for that reason, all older connections are closed, those of readers too: what they read may be
//! old.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sea_orm::DbErr;

use super::error;
use crate::{log_throttle::LogThrottle, store::sql::db::Observer};

/// Which connections of a store are not to be used any more.
#[derive(Debug)]
pub(super) struct Retirement {
    /// Those that were made before this.
    before: Mutex<Option<Instant>>,
    /// A server has refused writes, and none that takes them has been met since.
    looking: AtomicBool,
    said: LogThrottle,
}

impl Retirement {
    pub(super) fn new() -> Self {
        Self { before: Mutex::new(None), looking: AtomicBool::new(false), said: LogThrottle::new(SAY) }
    }

    /// Whether a connection of this age is not to be used any more.
    pub(super) fn is_of(&self, age: Duration) -> bool {
        self.before.lock().is_some_and(|before| before.elapsed() <= age)
    }

    /// Whether a new connection is to say if its server takes writes.
    pub(super) fn is_looking(&self) -> bool {
        self.looking.load(Ordering::Relaxed)
    }

    /// One does: what was made while the address led to the old one still is not used any more either.
    pub(super) fn found(&self) {
        if self.looking.swap(false, Ordering::Relaxed) {
            *self.before.lock() = Some(Instant::now());
            tracing::info!("core.store: MySQL takes writes again");
        }
    }
}

impl Observer for Retirement {
    fn saw(&self, error: &DbErr) {
        if !error::is_read_only(error) {
            return;
        }
        self.looking.store(true, Ordering::Relaxed);
        let mut before = self.before.lock();
        // While no server takes writes, new connections are told the same: they are not made anew for
        // each refusal.
        if before.is_some_and(|last| last.elapsed() < SELDOM) {
            return;
        }
        *before = Some(Instant::now());
        drop(before);
        if let Some(times) = self.said.due() {
            tracing::warn!(
                %error, times,
                "core.store: MySQL takes no writes, as a replica does: its connections are closed, and made anew where core.store leads now"
            );
        }
    }
}

/// How often connections are closed at most.
const SELDOM: Duration = Duration::from_secs(1);
/// How often that is said at most.
const SAY: Duration = Duration::from_secs(30);
