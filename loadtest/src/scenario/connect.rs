//! Sessions that are opened, signed in and closed, at a rate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::ensure;
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gogochat_proto::close::CloseCode;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{ACCOUNTS, Env, per_operation, place, used, wait_while_it_moves};
use crate::{
    measure::pace::{self, Watch},
    people, progress,
    report::{Latency, Report},
    tally::Run,
};

/// Sessions that are opened, signed in and closed.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// Sessions, one after the other.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    sessions: u64,
    /// Sessions a second.
    #[arg(long, value_name = "R", default_value_t = 100.0)]
    rate: f64,
}

/// What became of the sessions.
#[derive(Debug, Default)]
struct Outcome {
    /// From the intended time to Welcome: the n-th, and when it was welcome.
    opened: Mutex<Vec<(u64, Instant)>>,
    failed: AtomicU64,
    closed: AtomicU64,
    first_error: Mutex<Option<String>>,
}

impl Connect {
    /// Opens and closes. Each handshake is a full one.
    pub(crate) async fn run(self, env: Env) -> anyhow::Result<Report> {
        ensure!(self.sessions > 0 && self.rate > 0.0, "--sessions and --rate: more than 0");
        let run = Run::new();
        let accounts = people::register(&env.dialer, env.target()?, &run, ACCOUNTS.min(self.sessions as usize)).await?;
        let tokens = stream::iter(&accounts).then(|account| account.token()).try_collect::<Vec<_>>().await?;
        let outcome = Arc::new(Outcome::default());

        let (cpu, watch, begin) = (env.cpu(), Watch::start(), Instant::now());
        let bar = progress::bar("connecting", self.sessions);
        let paced = pace::open_loop(self.rate, self.sessions, {
            let (outcome, runtime) = (Arc::clone(&outcome), Handle::current());
            let (dialer, targets, transports) = (env.dialer.clone(), env.targets.clone(), env.transports);
            move |n| {
                let token = tokens.get(n as usize % tokens.len()).cloned().unwrap_or_default();
                let (outcome, bar) = (Arc::clone(&outcome), bar.clone());
                let (dialer, targets) = (dialer.clone(), targets.clone());
                runtime.spawn(async move {
                    let opened = async {
                        let (target, transport) = place(&targets, transports, n as usize)?;
                        let mut connection = dialer.open(target, transport).await?;
                        connection.hello(&token).await?;
                        anyhow::Ok(connection)
                    };
                    match opened.await {
                        Ok(connection) => {
                            outcome.opened.lock().push((n, Instant::now()));
                            connection.close(CloseCode::Done).await;
                            outcome.closed.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            outcome.failed.fetch_add(1, Ordering::Relaxed);
                            outcome.first_error.lock().get_or_insert_with(|| progress::words(&error));
                        }
                    }
                    bar.inc(1);
                });
            }
        })
        .await?;
        let over = || outcome.closed.load(Ordering::Relaxed) + outcome.failed.load(Ordering::Relaxed);
        wait_while_it_moves(pace::PATIENCE, over, || over() >= self.sessions).await;
        let (kept, elapsed, used) = (watch.kept(), begin.elapsed(), used(cpu, env.cpu()));

        if let Some(error) = outcome.first_error.lock().take() {
            progress::say(&format!("the first session that failed: {error}"));
        }
        let opened = outcome.opened.lock();
        let latencies = opened.iter().map(|(n, at)| {
            u64::try_from(at.saturating_duration_since(paced.intended(*n)).as_micros()).unwrap_or(u64::MAX)
        });
        let late = pace::late_percent(&paced.lateness);
        Ok(Report {
            scenario: "connect",
            transport: env.transports.name(),
            sent: self.sessions,
            acked: opened.len() as u64,
            errors: self.sessions - opened.len() as u64,
            per_second: opened.len() as f64 / elapsed.as_secs_f64(),
            ack_latency_ms: Latency::of(latencies),
            server_cpu_us_per_op: per_operation(used, opened.len() as u64),
            void: pace::void(late, &kept),
            late_percent: late,
            server_cpu_cores: used.map(|used| used.as_secs_f64() / elapsed.as_secs_f64()),
            driver_cpu_cores: kept.cores,
            ..Report::default()
        })
    }
}
