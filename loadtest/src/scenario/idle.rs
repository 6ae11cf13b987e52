//! Sessions that do nothing: what each costs in memory, and whether it stays.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gogochat_client::Session;

use super::{ACCOUNTS, Env, used};
use crate::{measure::pace::Watch, measure::server::Server, people, progress, report::Report, tally::Run};

/// Sessions that do nothing.
#[derive(Debug, Args)]
pub(crate) struct Idle {
    /// Sessions.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    sessions: usize,
    /// How long they stay once all are open.
    #[arg(long, value_name = "S", default_value_t = 30)]
    seconds: u64,
}

impl Idle {
    /// Opens half, measures, opens the rest, measures, waits.
    pub(crate) async fn run(self, env: Env) -> anyhow::Result<Report> {
        ensure!(self.sessions >= 2, "--sessions: 2 or more");
        let run = Run::new();
        let accounts = people::register(&env.dialer, env.target()?, &run, ACCOUNTS.min(self.sessions)).await?;
        let tokens = stream::iter(&accounts).then(|account| account.token()).try_collect::<Vec<_>>().await?;

        let half = self.sessions / 2;
        let bar = progress::bar("opening", self.sessions as u64);
        let mut sessions = Vec::with_capacity(self.sessions);
        let mut memory = Vec::new();
        for range in [0..half, half..self.sessions] {
            let opened: Vec<Session> = stream::iter(range)
                .map(|n| {
                    let (env, tokens, bar) = (&env, &tokens, bar.clone());
                    async move {
                        let token = tokens.get(n % tokens.len()).map_or("", String::as_str);
                        let (target, transport) = env.place(n)?;
                        let (session, _told) = Session::connect(&env.dialer, target, transport, token).await?;
                        bar.inc(1);
                        anyhow::Ok(session)
                    }
                })
                .buffer_unordered(OPENING)
                .try_collect()
                .await?;
            sessions.extend(opened);
            memory.push(settled_rss(env.server.as_ref()).await);
        }
        bar.finish_and_clear();
        let per_session = match memory.as_slice() {
            [Some(half_rss), Some(all_rss)] => Some((all_rss - half_rss) / (self.sessions - half) as f64),
            _ => None,
        };

        let (cpu, watch) = (env.cpu(), Watch::start());
        let bar = progress::clock("waiting", Duration::from_secs(self.seconds));
        for _ in 0..self.seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bar.inc(1);
        }
        bar.finish_and_clear();
        let used = used(cpu, env.cpu());
        let kept = watch.kept();
        let broken = sessions.iter().filter(|session| session.is_closed()).count();
        Ok(Report {
            scenario: "idle",
            transport: env.transports.name(),
            sent: self.sessions as u64,
            acked: sessions.len() as u64,
            errors: broken as u64,
            rss_kib_per_session: per_session,
            server_cpu_cores: used.map(|used| used.as_secs_f64() / self.seconds.max(1) as f64),
            driver_cpu_cores: kept.cores,
            ..Report::default()
        })
    }
}

/// The server's memory once it has stopped moving.
async fn settled_rss(server: Option<&Server>) -> Option<f64> {
    let server = server?;
    let mut last = server.rss_kib()?;
    for _ in 0..MAX_SETTLING {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = server.rss_kib()?;
        if (now - last).abs() < 0.002 * last {
            return Some(now);
        }
        last = now;
    }
    Some(last)
}

/// Sessions that are being opened at the same time.
const OPENING: usize = 32;
/// Seconds, at most, for memory to settle.
const MAX_SETTLING: usize = 20;
