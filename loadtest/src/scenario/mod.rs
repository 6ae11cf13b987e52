//! The scenarios, one file each, and what they share.

pub(crate) mod attack;
pub(crate) mod chat;
pub(crate) mod cluster;
pub(crate) mod connect;
pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod kill;
mod load;
mod marks;
mod truth;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gogochat_client::{Backoff, Dialer, Options, Target, Transport};

use crate::{measure::server::Server, progress, tally::Seen, transports::Transports};

/// What a scenario works with.
pub(crate) struct Env {
    pub(crate) dialer: Dialer,
    /// Where the server is; clients and sessions take them in turn. Not empty.
    pub(crate) targets: Vec<Target>,
    pub(crate) transports: Transports,
    pub(crate) server: Option<Server>,
}

impl Env {
    /// Where users are registered.
    fn target(&self) -> anyhow::Result<&Target> {
        self.targets.first().context("--target URL is needed")
    }

    /// The n-th client's.
    fn options(&self, n: usize) -> anyhow::Result<Options> {
        let (target, transport) = self.place(n)?;
        Ok(Options::new(target.clone(), transport))
    }

    /// The same; `delivered`: whether it marks what is delivered.
    fn options_that_mark(&self, n: usize, delivered: bool) -> anyhow::Result<Options> {
        Ok(Options { delivered, ..self.options(n)? })
    }

    /// Where the n-th client or session goes, and how.
    fn place(&self, n: usize) -> anyhow::Result<(&Target, Transport)> {
        place(&self.targets, self.transports, n)
    }

    /// The server's CPU time so far.
    fn cpu(&self) -> Option<Duration> {
        self.server.as_ref().and_then(Server::cpu)
    }
}

/// Where the n-th client or session goes, and how: all pairs of a target and a transport come in turn.
fn place(targets: &[Target], transports: Transports, n: usize) -> anyhow::Result<(&Target, Transport)> {
    let in_turn = transports.in_turn();
    let transport = in_turn.get(n % in_turn.len()).context("no transport")?;
    let target = targets.get(n / in_turn.len() % targets.len().max(1)).context("--target URL is needed")?;
    Ok((target, *transport))
}

/// A client that keeps all history, notices soon that its edge is gone, and goes to another; every
/// other one is over WebTransport.
fn watchful(targets: &[Target], n: usize) -> anyhow::Result<Options> {
    let (target, transport) = place(targets, Transports::Mixed, n)?;
    Ok(Options {
        others: targets.iter().filter(|other| *other != target).cloned().collect(),
        backfill: true,
        patience: PATIENCE,
        call_timeout: CALL_TIMEOUT,
        backoff: Backoff { first: Duration::from_millis(100), most: Duration::from_millis(500) },
        ..Options::new(target.clone(), transport)
    })
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

/// A killed server says nothing: over QUIC only silence tells.
const PATIENCE: Duration = Duration::from_millis(700);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Several sessions share an account, as devices of one person would.
const ACCOUNTS: usize = 200;
const POLL: Duration = Duration::from_millis(20);
