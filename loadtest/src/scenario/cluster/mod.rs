//! A cluster of real processes (scripts/cluster) whose members go and come back while many clients send.

mod members;
mod recovery;

use std::{
    future::Future,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use gogochat_client::{Dialer, DialerOptions, Target, Trust};
use parking_lot::Mutex;
use rand::seq::IndexedRandom as _;
use tokio_util::sync::CancellationToken;

use self::{
    members::{Cluster, Member},
    recovery::{Fault, gaps, recovery},
};
use super::{truth::settle, watchful};
use crate::{
    measure::pace::{self, Watch},
    people::{self, Crew},
    progress,
    report::Report,
    tally::{Planned, Room, Run, Seen},
    transports::Transports,
};

/// Members of a cluster are killed (SIGKILL) and stopped (SIGTERM) by turns, and started again.
#[derive(Debug, Args)]
pub(crate) struct Faults {
    #[command(flatten)]
    load: ClusterLoad,
    /// Messages in all.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    messages: u64,
    /// Seconds from one fault to the next; the next waits until the member is ready again.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    every: f64,
    /// Seconds that a member stays away.
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    away: f64,
    /// Whom it may hit, in turn.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,...", default_values_t = Kind::ALL)]
    kinds: Vec<Kind>,
}

/// All cores and edges of a cluster are restarted (SIGTERM), one after the other.
#[derive(Debug, Args)]
pub(crate) struct Rolling {
    #[command(flatten)]
    load: ClusterLoad,
    /// How often all of them are.
    #[arg(long, value_name = "N", default_value_t = 1)]
    cycles: u64,
}

/// Who talks, and where.
#[derive(Debug, Args)]
struct ClusterLoad {
    /// The script that knows the cluster.
    #[arg(long, value_name = "SCRIPT", default_value = "scripts/cluster")]
    cluster: PathBuf,
    /// People: every other one over WebTransport, the rest over wss, spread over all edges.
    #[arg(long, value_name = "N", default_value_t = 100)]
    users: usize,
    /// Groups; everybody is in one of them.
    #[arg(long, value_name = "N", default_value_t = 20)]
    conversations: usize,
    /// Messages a second in all.
    #[arg(long, value_name = "R", default_value_t = 200.0)]
    rate: f64,
}

/// The kinds of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Edge,
    Core,
    Mysql,
    Redis,
    Kafka,
    Etcd,
}

impl Faults {
    /// Sends all messages while members go and come back, lets everything settle, and compares
    /// everybody's view with the logs.
    pub(crate) async fn run(self) -> anyhow::Result<Report> {
        ensure!(self.messages > 0 && !self.kinds.is_empty(), "--messages and --kinds: one or more");
        let (every, away) = (seconds(self.every, "--every")?, seconds(self.away, "--away")?);
        let kinds = self.kinds.clone();
        self.load
            .run("faults", self.messages, move |cluster, members, journal, done| async move {
                let mut times = 0_usize;
                while !done.is_cancelled() {
                    let begin = Instant::now();
                    let kind = kinds.get(times % kinds.len()).context("no kind")?;
                    let kill = (times / kinds.len()).is_multiple_of(2);
                    let of_kind: Vec<_> = members.iter().filter(|member| member.kind == kind.name()).collect();
                    let member = of_kind.choose(&mut rand::rng()).with_context(|| format!("no {}", kind.name()))?;
                    journal.note(member, if kill { "kill" } else { "stop" });
                    if kill { cluster.kill(&member.name).await } else { cluster.stop(&member.name).await }?;
                    tokio::time::sleep(away).await;
                    cluster.start(&member.name).await?;
                    times += 1;
                    let rest = every.saturating_sub(begin.elapsed());
                    let _ = tokio::time::timeout(rest, done.cancelled()).await;
                }
                Ok(())
            })
            .await
    }
}

impl Rolling {
    /// Sends until all have been restarted as often as asked, and compares.
    pub(crate) async fn run(self) -> anyhow::Result<Report> {
        ensure!(self.cycles > 0, "--cycles: one or more");
        let bar = progress::bar("restarting all", self.cycles);
        self.load
            .run("rolling", u64::MAX, move |cluster, members, journal, done| async move {
                for _ in 0..self.cycles {
                    for member in members.iter().filter(|member| ["core", "edge"].contains(&member.kind.as_str())) {
                        journal.note(member, "stop");
                        cluster.stop(&member.name).await?;
                        cluster.start(&member.name).await?;
                    }
                    bar.inc(1);
                }
                // What was said in the last moment is still felt.
                tokio::time::sleep(LAST_WORDS).await;
                done.cancel();
                Ok(())
            })
            .await
    }
}

impl ClusterLoad {
    /// Sends `messages` in open loop, fewer when the token is cancelled, while `happen` does what
    /// it does to the members; the token is cancelled when all have been sent.
    async fn run<Happening: Future<Output = anyhow::Result<()>> + Send + 'static>(
        &self,
        scenario: &'static str,
        messages: u64,
        happen: impl FnOnce(Cluster, Vec<Member>, Journal, CancellationToken) -> Happening,
    ) -> anyhow::Result<Report> {
        ensure!(self.rate > 0.0, "--rate: more than 0");
        let size = self.users.checked_div(self.conversations).unwrap_or_default();
        ensure!(size >= 2, "--conversations: each needs two or more of the --users");
        let cluster = Cluster::new(self.cluster.clone());
        let members = cluster.members().await?;
        let targets = members.iter().filter_map(Member::target).collect::<anyhow::Result<Vec<Target>>>()?;
        let dialer = Dialer::with(DialerOptions {
            trust: Trust::AnyOnLoopback,
            timeout: DIAL_TIMEOUT,
            sockets: SOCKETS,
            ..DialerOptions::default()
        })?;
        let run = Run::new();
        let Some(first) = targets.first() else { bail!("no edges") };
        let accounts = people::register(&dialer, first, &run, size * self.conversations).await?;
        let crew = Crew::start(&dialer, run, accounts, |user| watchful(&targets, user)).await?;
        let rooms = groups(&crew, size).await?;

        let journal = Journal { run: crew.run.clone(), faults: Arc::default() };
        let stop = CancellationToken::new();
        let (watch, begin) = (Watch::start(), Instant::now());
        let happening = tokio::spawn(happen(cluster, members, journal.clone(), stop.clone()));
        let (sent, dropped) = (Arc::<Mutex<Vec<(u64, usize, usize)>>>::default(), Arc::new(AtomicU64::new(0)));
        let sending = pace::open_loop_until(&stop, self.rate, messages, {
            let (clients, run, rooms) = (crew.clients.clone(), crew.run.clone(), rooms.clone());
            let (sent, dropped) = (Arc::clone(&sent), Arc::clone(&dropped));
            move |n| {
                let Some((room, sender)) = turn(&rooms, n) else { return };
                let mut sent = sent.lock();
                let id = run.id(sent.len() as u64);
                let posted = match (clients.get(sender), rooms.get(room)) {
                    (Some(client), Some(to)) => client.post_as(to.id, id, format!("message {n}")).is_ok(),
                    _ => false,
                };
                // One that is not taken has not been sent: its index goes to the next.
                if posted {
                    sent.push((n, room, sender));
                } else {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let paced = sending.await?;
        stop.cancel();
        let kept = watch.kept();
        happening.await??;

        let planned: Vec<Planned> = std::mem::take(&mut *sent.lock())
            .into_iter()
            .map(|(n, room, sender)| Planned { room, sender, intended: crew.run.micros(paced.intended(n)) })
            .collect();
        let lasted = begin.elapsed();
        let outcome = settle(&crew, &rooms, &planned).await?;
        let guards: Vec<_> = crew.seen.iter().map(|seen| seen.lock()).collect();
        let seen: Vec<&Seen> = guards.iter().map(|seen| &**seen).collect();
        let faults = journal.faults.lock();
        let (per_second, late) =
            (outcome.verdict.acked as f64 / lasted.as_secs_f64(), pace::late_percent(&paced.lateness));
        let report = outcome.report(planned.len());
        Ok(Report {
            scenario,
            transport: Transports::Mixed.name(),
            errors: report.errors + dropped.load(Ordering::Relaxed),
            per_second,
            late_percent: late,
            void: pace::void(late, &kept),
            driver_cpu_cores: kept.cores,
            rounds: faults.len() as u64,
            delivery_gap_ms: gaps(&seen),
            recovery: recovery(&faults, &planned, &seen),
            ..report
        })
    }
}

/// What has been done, and when.
#[derive(Debug, Clone)]
struct Journal {
    run: Run,
    faults: Arc<Mutex<Vec<Fault>>>,
}

impl Journal {
    fn note(&self, member: &Member, how: &'static str) {
        let at = self.run.micros(Instant::now());
        progress::say(&format!("{:>7.1} s: {how} {}", at as f64 / 1e6, member.name));
        self.faults.lock().push(Fault { at, kind: member.kind.clone(), how });
    }
}

impl Kind {
    const ALL: [Self; 6] = [Self::Edge, Self::Core, Self::Mysql, Self::Redis, Self::Kafka, Self::Etcd];

    fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Core => "core",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::Kafka => "kafka",
            Self::Etcd => "etcd",
        }
    }
}

/// Groups of so many users each.
async fn groups(crew: &Crew, size: usize) -> anyhow::Result<Vec<Room>> {
    let users: Vec<usize> = (0..crew.clients.len()).collect();
    let groups: Vec<&[usize]> = users.chunks_exact(size).collect();
    let contacts: Vec<_> = groups
        .iter()
        .filter_map(|members| members.split_first())
        .flat_map(|(owner, others)| others.iter().map(|other| (*other, *owner)))
        .collect();
    crew.befriend(&contacts).await?;
    let bar = progress::bar("making groups", groups.len() as u64);
    let mut rooms = Vec::new();
    for members in groups {
        let Some((owner, others)) = members.split_first() else { continue };
        let id = crew.group(*owner, others).await?;
        crew.await_known(members, id).await?;
        rooms.push(Room { id, members: members.to_vec() });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(rooms)
}

/// The room and the sender of the n-th message: each room in turn, and in a room each member in turn.
fn turn(rooms: &[Room], n: u64) -> Option<(usize, usize)> {
    let (room, round) = (n as usize % rooms.len().max(1), n as usize / rooms.len().max(1));
    let members = &rooms.get(room)?.members;
    Some((room, *members.get(round % members.len().max(1))?))
}

fn seconds(value: f64, key: &str) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(value).with_context(|| format!("{key}: seconds, not negative"))
}

/// Of an edge that was killed nothing tells a client over QUIC, which then goes to another.
const DIAL_TIMEOUT: Duration = Duration::from_millis(1_500);
const SOCKETS: usize = 4;
const LAST_WORDS: Duration = Duration::from_secs(2);
