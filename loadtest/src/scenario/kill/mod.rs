//! A server that is killed (SIGKILL) at random moments and started again, while clients send all the time and resume by themselves.

mod check;
mod servers;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use gogochat_client::{Backoff, Client, Dialer, DialerOptions, Options, Transport, Trust};
use gogochat_proto::{
    ids::LogId,
    limits::MAX_PAGE,
    v1::{self, event::Body},
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use self::{
    check::{Entry, converged},
    servers::Servers,
};
use super::{refusals, wait_while_it_moves};
use crate::{
    measure::pace::Watch,
    people::{self, Crew},
    progress,
    report::{Latency, Report},
    tally::{Planned, Room, Run, Seen, judge},
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
        let crew = Crew::start(&dialer, run, accounts, |user| Options {
            backfill: true,
            patience: PATIENCE,
            call_timeout: CALL_TIMEOUT,
            backoff: Backoff { first: Duration::from_millis(100), most: Duration::from_millis(500) },
            ..Options::new(target.clone(), if user % 2 == 0 { Transport::WebTransport } else { Transport::WebSocket })
        })
        .await?;
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
        let settled = || crew.counts.acked.load(Ordering::Relaxed) + crew.counts.refused.load(Ordering::Relaxed);
        let all_settled = wait_while_it_moves(SETTLING, settled, || settled() >= planned.len() as u64).await;
        let lasted = begin.elapsed();
        let mut truth = Vec::new();
        for room in &rooms {
            truth.push(log(&crew, room).await?);
        }
        let whole = || {
            rooms.iter().zip(&truth).all(|(room, truth)| {
                let messages = truth.iter().filter(|entry| entry.index.is_some()).count();
                room.members.iter().all(|member| held(&crew, *member, room.id) >= messages)
            })
        };
        let received = || crew.counts.received.load(Ordering::Relaxed);
        let mut repaired = 0;
        let waiting = Instant::now();
        while !wait_while_it_moves(QUIET, received, whole).await && waiting.elapsed() < SETTLING {
            repaired = crew.clients.len() as u64;
            for client in &crew.clients {
                client.resync().await;
            }
        }

        let guards: Vec<_> = crew.seen.iter().map(|seen| seen.lock()).collect();
        let seen: Vec<&Seen> = guards.iter().map(|seen| &**seen).collect();
        let verdict = judge(&rooms, &planned, &seen);
        let faults = converged(&rooms, &truth, &planned, &seen);
        for fault in faults.iter().take(10) {
            progress::say(&format!("fault: {fault}"));
        }
        let refused = refusals(&seen);
        let unsettled = if all_settled { 0 } else { planned.len() as u64 - settled() };
        Ok(Report {
            scenario: "kill",
            transport: "mixed",
            sent: planned.len() as u64,
            acked: verdict.acked,
            delivered: verdict.delivered,
            expected_deliveries: verdict.expected,
            lost: verdict.lost,
            duplicated: verdict.duplicated,
            reordered: verdict.reordered,
            errors: refused + unsettled + verdict.phantom + faults.len() as u64,
            per_second: verdict.acked as f64 / lasted.as_secs_f64(),
            ack_latency_ms: Latency::of(verdict.ack_latencies),
            delivery_latency_ms: Latency::of(verdict.delivery_latencies),
            driver_cpu_cores: kept.cores,
            repaired,
            rounds: self.rounds,
            ..Report::default()
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

/// The whole log as the server has it.
async fn log(crew: &Crew, room: &Room) -> anyhow::Result<Vec<Entry>> {
    let reader = *room.members.first().context("a room without members")?;
    let (mut entries, mut after) = (Vec::new(), 0);
    loop {
        let request = v1::ListEventsRequest {
            conversation_id: room.id.to_string(),
            limit: MAX_PAGE,
            from: Some(v1::list_events_request::From::AfterSeq(after)),
        };
        let page: v1::ListEventsResponse = crew.call(reader, "ChatService/ListEvents", "", &request).await?;
        for event in page.events {
            after = event.seq;
            let index =
                matches!(event.body, Some(Body::Message(_))).then(|| crew.run.index(&event.client_msg_id)).flatten();
            entries.push(Entry { seq: event.seq, index });
        }
        if !page.more {
            return Ok(entries);
        }
    }
}

fn held(crew: &Crew, user: usize, log: LogId) -> usize {
    crew.seen.get(user).map_or(0, |seen| seen.lock().receipts.iter().filter(|receipt| receipt.log == log).count())
}

/// Messages of each user that may wait, on average.
const MAX_WAITING: usize = 32;
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// A killed server says nothing: over QUIC only silence tells.
const PATIENCE: Duration = Duration::from_millis(700);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const RESUMING: Duration = Duration::from_secs(60);
const SETTLING: Duration = Duration::from_secs(60);
const QUIET: Duration = Duration::from_secs(2);
