//! Failover: what an edge does while it cannot reach a core that other edges reach.
//!
//! It hears nothing of what that core commits, and gets no answers from it. So new clients should
//! begin at other edges, and after a while the edge sends its own clients there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_edge::{Handle, Reach};
use gogochat_storage::discovery::EdgeNode;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::edges::authority;

/// The failover of this edge's clients, kept up to date by a task. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Failover(Arc<Mutex<State>>);

/// What the edge can reach, and what it has done about it.
#[derive(Debug, Default)]
struct State {
    /// The cores that are up and out of reach, by name.
    missed: Vec<String>,
    /// Those of which the log has said so.
    said: Vec<String>,
    /// Since when others have reached all cores while this one does not.
    since: Option<Instant>,
    /// When others were known to do so last.
    last: Option<Instant>,
    /// Beyond `SEND_AWAY`: edges in the same situation do not all act at one moment.
    jitter: Duration,
    /// When clients were sent away last.
    sent_away: Option<Instant>,
    is_ready: bool,
}

impl Failover {
    /// Follows what this edge reaches and what the other edges do, until `stop`. Sends clients to the
    /// others when it comes to that.
    pub(crate) fn watch(
        node: &str,
        edge: Handle,
        edges: watch::Receiver<Vec<EdgeNode>>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Self {
        let failover = Self(Arc::new(Mutex::new(State { is_ready: true, ..State::default() })));
        let (state, node) = (failover.0.clone(), node.to_owned());
        let following = async move {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let others: Vec<_> = edges.borrow().iter().filter(|edge| edge.name != node).cloned().collect();
                let targets = state.lock().tick(&edge.reach(), &others, rand::random(), Instant::now());
                if let Some(targets) = targets {
                    tracing::warn!(
                        sessions = edge.sessions(),
                        ?targets,
                        "clients are sent to edges that reach all cores"
                    );
                    edge.send_away(WITHIN, &targets);
                }
            }
        };
        tasks.spawn(stop.clone().run_until_cancelled_owned(following));
        failover
    }

    /// Whether new clients may come here. `Ok(Some)`: what is amiss all the same.
    ///
    /// # Errors
    /// Which cores are out of reach, where others reach them.
    pub(crate) fn ready(&self) -> Result<Option<String>, String> {
        self.0.lock().ready()
    }
}

impl State {
    /// Looks at what is within reach, here and at the other edges. `Some`: all clients are to go to
    /// these. `random`: 0 to 1.
    fn tick(&mut self, reach: &Reach, others: &[EdgeNode], random: f64, now: Instant) -> Option<Vec<String>> {
        let missed: Vec<_> = reach.away.iter().filter(|core| core.lives).map(|core| core.name.clone()).collect();
        self.log(reach);
        self.missed = missed;
        if self.missed.is_empty() {
            *self = Self { is_ready: true, said: std::mem::take(&mut self.said), ..Self::default() };
            return None;
        }
        let reaches_all =
            |edge: &&EdgeNode| reach.attached.iter().chain(&self.missed).all(|core| edge.cores.contains(core));
        let better: Vec<_> = others.iter().filter(reaches_all).collect();
        // If most edges are cut off, the others could not take the clients of all: each edge is as
        // good as any. The same holds if nobody reaches the core.
        if better.len() > others.len() - better.len() {
            self.last = Some(now);
        } else if self.last.is_none_or(|last| now.saturating_duration_since(last) >= FLEETING) {
            (self.since, self.is_ready) = (None, true);
            return None;
        }
        let since = *self.since.get_or_insert_with(|| {
            self.jitter = JITTER.mul_f64(random);
            now
        });
        let lasts = now.saturating_duration_since(since);
        self.is_ready = lasts < NOTICED;
        let targets: Vec<_> =
            better.into_iter().filter(|edge| authority(&edge.url).is_some()).map(|edge| edge.url.clone()).collect();
        let lately = self.sent_away.is_some_and(|last| now.saturating_duration_since(last) < SEND_AGAIN);
        if lately || lasts < SEND_AWAY + self.jitter || targets.is_empty() {
            return None;
        }
        self.sent_away = Some(now);
        Some(targets)
    }

    /// Logs what lasts. A core that has just died is still taken to be up, and one that has just been
    /// found is about to be attached to.
    fn log(&mut self, reach: &Reach) {
        let lasting = reach.away.iter().filter(|core| core.lives && core.away >= NOTICED);
        let lasting: Vec<_> = lasting.map(|core| core.name.clone()).collect();
        if lasting == self.said {
            return;
        }
        if !lasting.is_empty() {
            tracing::warn!(cores = ?lasting, "cores that are up cannot be reached from here");
        } else if self.said.iter().all(|core| reach.attached.contains(core)) {
            tracing::info!("all cores are within reach again");
        } else {
            tracing::info!(cores = ?self.said, "cores that could not be reached are not up any more");
        }
        self.said = lasting;
    }

    /// `Ok(Some)`: what is amiss all the same.
    fn ready(&self) -> Result<Option<String>, String> {
        if self.missed.is_empty() {
            return Ok(None);
        }
        let said = format!("{} cannot be reached", self.missed.join(", "));
        if self.is_ready { Ok(Some(said)) } else { Err(said) }
    }
}

const EVERY: Duration = Duration::from_secs(1);
/// Longer than a core that has died is still taken to be up.
const NOTICED: Duration = Duration::from_secs(10);
const SEND_AWAY: Duration = Duration::from_secs(30);
const JITTER: Duration = Duration::from_secs(10);
/// Those who have come since, by this edge's own address or from one that was stopped.
const SEND_AGAIN: Duration = Duration::from_mins(5);
/// What others reach is told late, and not at all for the moment in which discovery is lost and found again.
const FLEETING: Duration = Duration::from_secs(5);
/// Clients go within a quarter of that.
const WITHIN: Duration = Duration::from_secs(60);

#[cfg(test)]
#[path = "failover_tests.rs"]
mod tests;
