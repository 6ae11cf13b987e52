//! Resyncs: has a core look into the store for what other cores may have committed and not sent
//! here.

use std::{sync::Arc, time::Instant};

use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::upstream::Reach;

/// A core was lost that may have committed what it did not send. Another looks into the store, now
/// and once the lost core's in-flight commits have settled.
pub(super) fn core_lost(hub: &Hub, now: Instant) {
    let resync = hub.resync.lock().core_lost(now);
    if resync {
        hub.resync_wanted.notify_one();
    }
}

/// Begins a resync when one is due. To be called now and then.
pub(super) fn check(hub: &Hub, reach: &Reach, now: Instant) {
    let due = {
        let mut schedule = hub.resync.lock();
        let due = schedule.is_due(now);
        reach.away.iter().any(|core| schedule.core_away(core.away, core.lives, now)) || due
    };
    if due {
        hub.resync_wanted.notify_one();
    }
}

/// Carries the resyncs out, one after the other. What is wanted meanwhile begins when that has ended.
pub(crate) async fn run(hub: Arc<Hub>, stop: CancellationToken) {
    let resyncing = async {
        loop {
            hub.resync_wanted.notified().await;
            for log in hub.registry.logs() {
                if !hub.upstreams.room(log).await {
                    // Whoever attaches next is sent all logs.
                    break;
                }
                hub.registry.announce(log, |have| hub.upstreams.ask(log, have, true));
            }
        }
    };
    stop.run_until_cancelled(resyncing).await;
}
