//! Looks at the cores and at every session's clock, once a second.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_proto::{close::CloseCode, error::ErrorCode};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Hub, output, resync, session_open};
use crate::metrics as names;

/// Sweeps until `stop`.
pub(crate) async fn run(hub: Arc<Hub>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        sweep(&hub).await;
    }
}

/// Looks at the cores, and at every session's clock.
async fn sweep(hub: &Arc<Hub>) {
    let now = Instant::now();
    let attached = hub.upstreams.is_attached();
    let reach = hub.upstreams.reach(now);
    metrics::gauge!(names::OUT_OF_REACH).set(reach.away.iter().filter(|core| core.lives).count() as f64);
    resync::check(hub, &reach, now);
    hub.registry.forget_departed();
    hub.signed_out.lock().retain(|_, since| now.saturating_duration_since(*since) < SIGNED_OUT_KEPT);
    let (mut bytes, mut frames) = (0, 0);
    for (index, peer) in hub.registry.all().into_iter().enumerate() {
        if index % 1_024 == 1_023 {
            tokio::task::yield_now().await;
        }
        let backlog = peer.outlet.backlog(now);
        bytes += backlog.bytes;
        frames += backlog.frames;
        if backlog.stalled.is_some_and(|stalled| stalled >= hub.limits.stalled) && peer.session.lock().is_live() {
            peer.outlet.close(CloseCode::SlowConsumer);
        }
        let (ticked, overdue) = {
            let mut session = peer.session.lock();
            (session.tick(attached, now), session.overdue_calls(now))
        };
        if !overdue.is_empty() {
            for id in overdue {
                peer.refuse(id, &ErrorCode::DeadlineExceeded.with("the core did not answer in time"));
            }
            hub.settle(&peer);
        }
        session_open::ask_again(&peer);
        match ticked {
            Err(code) => peer.outlet.close(code),
            Ok(outputs) => {
                for output in outputs {
                    output::perform(hub, &peer, output).await;
                }
            }
        }
    }
    metrics::gauge!(names::QUEUED_BYTES).set(bytes as f64);
    metrics::gauge!(names::QUEUED_FRAMES).set(frames as f64);
}

const SWEEP: Duration = Duration::from_secs(1);
/// Longer than a core takes to open a session.
const SIGNED_OUT_KEPT: Duration = Duration::from_secs(30);
