//! The attackers: a process of their own, so that they can be told from the driver, and with the least
//! claim to the processor.

use std::{io::Read as _, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use rustix::process::nice;
use tokio::{net::lookup_host, task::JoinSet, time::Instant};

use super::kinds::{Aim, KINDS, Orders};
use crate::progress;

/// Attacks as it reads on standard input.
pub(crate) async fn run() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let orders: Orders = serde_json::from_str(&text)?;
    nice(LEAST)?;
    let [edge, http] = [&orders.edge, &orders.http];
    let edge = lookup_host(edge).await?.next().context("no address of the edge")?;
    let http = lookup_host(http).await?.next().context("no address in clear")?;
    let until = Instant::now() + Duration::from_secs(orders.seconds);
    let aim = Arc::new(Aim { edge, http, until, orders });
    let mut attacks = JoinSet::new();
    for kind in KINDS.iter().filter(|kind| aim.orders.kinds.iter().any(|name| name == kind.name)) {
        let aim = aim.clone();
        attacks.spawn(async move { (kind.name, kind.run(aim).await) });
    }
    ensure!(!attacks.is_empty(), "no such kind");
    while let Some(one) = attacks.join_next().await {
        let (name, done) = one?;
        match done {
            Ok(done) => progress::say(&format!("  {name}: {done}")),
            Err(error) => progress::say(&format!("  {name}: {error:#}")),
        }
    }
    Ok(())
}

/// Of niceness.
const LEAST: i32 = 19;
