//! A server that is killed (SIGKILL) at random moments and started again, while clients send all
//! the time and resume by themselves.

mod servers;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use gogochat_client::{Client, Dialer, DialerOptions, Trust};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use self::servers::Servers;
use super::{truth::settle, watchful};
use crate::{
    measure::pace::Watch,
    people::{self, Crew},
    progress,
    report::Report,
    tally::{Planned, Room, Run, Seen},
    transports::Transports,
};

/// A server that is killed (SIGKILL) and started again while clients send.
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// The binary `gogochat`.
    #[arg(long, value_name = "BINARY")]
    server: PathBuf,
    /// How often it is killed.
    #[arg(long, value_name = "N", default_value_t = 10)]
    rounds: u64,
    /// People who send: every other one over WebTransport, the rest over wss.
    #[arg(long, value_name = "U", default_value_t = 20)]
    users: usize,
    /// Edge and core as two processes, killed by turns.
    #[arg(long)]
    split: bool,
    /// Messages a second of each user, while fewer than 32 of theirs wait.
    #[arg(long, value_name = "R", default_value_t = 10.0)]
    user_rate: f64,
}

/// What all senders have sent, by index.
type Sent = Arc<Mutex<Vec<Planned>>>;

impl Kill {
    /// Runs the rounds, lets everything settle, and compares everybody's view with the log.
    pub(crate) async fn run(self) -> anyhow::Result<Report> {
        ensure!(self.users >= 2 && self.users.is_multiple_of(2), "--users: pairs need an even number, 2 or more");
        ensure!(self.users <= 200, "--users: 200 at most");
        let mut servers = Servers::start(&self.server, self.split).await?;
        let outcome = self.rounds(&mut servers).await;
        if outcome.as_ref().map_or(true, |report| !report.is_sound() || report.errors > 0) {
            progress::say(&format!("the server's data and logs are kept in {}", servers.keep().display()));
        }
        outcome
    }

    async fn rounds(&self, servers: &mut Servers) -> anyhow::Result<Report> {
        let dialer = Dialer::with(DialerOptions {
            trust: Trust::AnyOnLoopback,
            timeout: DIAL_TIMEOUT,
            ..DialerOptions::default()
        })?;
        let run = Run::new();
        let accounts = people::register(&dialer, &servers.target(), &run, self.users).await?;
        let target = servers.target();
        let crew = Crew::start(&dialer, run, accounts, |user| watchful(std::slice::from_ref(&target), user)).await?;
        let rooms = self.rooms(&crew).await?;

        let watch = Watch::start();
        let begin = Instant::now();
        let sent: Sent = Arc::default();
        let stop = CancellationToken::new();
        let sending = tokio::spawn(send(
            crew.clients.clone(),
            crew.run.clone(),
            rooms.clone(),
            Arc::clone(&sent),
            self.user_rate,
            stop.clone(),
            Arc::clone(&crew.counts),
        ));
        let bar = progress::bar("killing", self.rounds);
        for round in 0..self.rounds {
            let moment = Duration::from_millis(rand::random_range(0..1_000));
            tokio::time::sleep(moment).await;
            servers.kill_and_restart(round).await.with_context(|| format!("round {round}"))?;
            self.await_progress(&crew).await.with_context(|| format!("after round {round}"))?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        stop.cancel();
        sending.await?;
        let kept = watch.kept();

        let planned = std::mem::take(&mut *sent.lock());
        let lasted = begin.elapsed();
        let outcome = settle(&crew, &rooms, &planned).await?;
        let per_second = outcome.verdict.acked as f64 / lasted.as_secs_f64();
        Ok(Report {
            scenario: "kill",
            transport: Transports::Mixed.name(),
            per_second,
            driver_cpu_cores: kept.cores,
            rounds: self.rounds,
            ..outcome.report(planned.len())
        })
    }

    /// Pairs, and a group of all.
    async fn rooms(&self, crew: &Crew) -> anyhow::Result<Vec<Room>> {
        let pairs: Vec<_> = (0..self.users / 2).map(|pair| (2 * pair + 1, 2 * pair)).collect();
        let with_owner: Vec<_> = (2..self.users).map(|other| (other, 0)).collect();
        let ids = crew.befriend(&pairs).await?;
        crew.befriend(&with_owner).await?;
        let mut rooms: Vec<_> =
            ids.into_iter().zip(pairs).map(|(id, (one, other))| Room { id, members: vec![other, one] }).collect();
        let others: Vec<usize> = (1..self.users).collect();
        let id = crew.group(0, &others).await?;
        rooms.push(Room { id, members: (0..self.users).collect() });
        for room in &rooms {
            crew.await_known(&room.members, room.id).await?;
        }
        Ok(rooms)
    }

    /// Waits until messages are acknowledged again to everybody.
    async fn await_progress(&self, crew: &Crew) -> anyhow::Result<()> {
        let begin = Instant::now();
        let acks = |user: &Arc<Mutex<Seen>>| user.lock().acks.len();
        let before: Vec<usize> = crew.seen.iter().map(acks).collect();
        while crew.seen.iter().zip(&before).any(|(user, before)| acks(user) <= *before) {
            if begin.elapsed() > RESUMING {
                let stuck: Vec<_> = crew
                    .seen
                    .iter()
                    .zip(&before)
                    .enumerate()
                    .filter(|(_, (user, before))| acks(user) <= **before)
                    .map(|(user, _)| user)
                    .collect();
                bail!("users {stuck:?} got no acknowledgement within {RESUMING:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// Everybody says something at their rate: to their partner, and every eighth time to the group.
async fn send(
    clients: Vec<Client>,
    run: Run,
    rooms: Vec<Room>,
    sent: Sent,
    rate: f64,
    stop: CancellationToken,
    counts: Arc<people::Counts>,
) {
    let group = rooms.len() - 1;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    let most = (clients.len() * MAX_WAITING) as u64;
    for turn in 0_u64.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        for (user, client) in clients.iter().enumerate() {
            let mut sent = sent.lock();
            let index = sent.len() as u64;
            let waiting = index - counts.acked.load(Ordering::Relaxed) - counts.refused.load(Ordering::Relaxed);
            if waiting >= most {
                break;
            }
            let room = if (turn + user as u64).is_multiple_of(8) { group } else { user / 2 };
            let Some(target) = rooms.get(room) else { continue };
            // One that is not taken has not been sent: its index goes to the next.
            if client.post_as(target.id, run.id(index), format!("message {index}")).is_ok() {
                sent.push(Planned { room, sender: user, intended: run.micros(Instant::now()) });
            }
        }
    }
}

/// Messages of each user that may wait, on average.
const MAX_WAITING: usize = 32;
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
const RESUMING: Duration = Duration::from_secs(60);
