//! Whether discovery works: a metric, and a reason in `/readyz`. A node stays ready without
//! discovery, because it goes by what it knew last.

use std::{sync::Arc, time::Duration};

use gogochat_storage::discovery::Discovery;
use metrics::{describe_gauge, gauge};

use crate::status::Check;

/// Counts it for as long as it lives.
pub(crate) async fn watch(discovery: Arc<dyn Discovery>) {
    describe_gauge!(UP, "1: discovery answers and takes what this node says of itself, 0: it does not");
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        gauge!(UP).set(if discovery.trouble().is_none() { 1.0 } else { 0.0 });
    }
}

/// Ready all the time, with what is amiss.
pub(crate) fn check(discovery: Arc<dyn Discovery>) -> Check {
    Arc::new(move || Ok(discovery.trouble()))
}

const UP: &str = "gogochat_discovery_up";
const LOOK: Duration = Duration::from_secs(1);
