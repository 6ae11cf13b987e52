//! The scenarios, one file each, and what they share.

pub(crate) mod chat;
pub(crate) mod connect;
pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod kill;
mod load;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use gogochat_client::{Dialer, Options, Target};

use crate::{cli::Way, measure::server::Server, progress, tally::Seen};

/// What a scenario works with.
pub(crate) struct Env {
    pub(crate) dialer: Dialer,
    pub(crate) target: Target,
    pub(crate) way: Way,
    pub(crate) server: Option<Server>,
}

impl Env {
    /// Clients of this transport.
    fn options(&self) -> Options {
        Options::new(self.target.clone(), self.way.transport())
    }

    /// The server's CPU time so far.
    fn cpu(&self) -> Option<Duration> {
        self.server.as_ref().and_then(Server::cpu)
    }
}

/// The server's CPU time between two readings.
fn used(then: Option<Duration>, now: Option<Duration>) -> Option<Duration> {
    Some(now?.saturating_sub(then?))
}

/// CPU time for each operation, microseconds.
fn per_operation(used: Option<Duration>, operations: u64) -> Option<f64> {
    used.filter(|_| operations > 0).map(|used| used.as_secs_f64() * 1e6 / operations as f64)
}

/// Says by code what was refused for good; how much that was.
fn refusals(seen: &[&Seen]) -> u64 {
    let mut codes = BTreeMap::<&str, u64>::new();
    for (_, code) in seen.iter().flat_map(|seen| &seen.refused) {
        *codes.entry(code).or_default() += 1;
    }
    for (code, count) in &codes {
        progress::say(&format!("refused for good: {count} with {code}"));
    }
    codes.values().sum()
}

/// Waits until `done`, or until `progress` has not moved for `patience`. Whether it is done.
async fn wait_while_it_moves(patience: Duration, progress: impl Fn() -> u64, done: impl Fn() -> bool) -> bool {
    let mut last = (progress(), Instant::now());
    loop {
        if done() {
            return true;
        }
        let now = progress();
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() > patience {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
}

const POLL: Duration = Duration::from_millis(20);
