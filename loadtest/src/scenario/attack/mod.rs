//! One pair talks beside attackers: what they do to its acknowledgements and to the server's memory. Beside
//! the same attackers at a sink, which is what their own work costs on this machine.

pub(crate) mod attacker;
mod kinds;

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::{Args, builder::PossibleValuesParser};
use gogochat_client::Account;
use gogochat_proto::{
    ids::{ClientMsgId, LogId},
    v1,
};
use gogochat_testkit::attack::sink::Sink;
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use self::kinds::{HISTORY, KINDS, Orders};
use super::{
    Env,
    load::{Load, Operation},
    marks::Marks,
};
use crate::{
    people::{self, Crew},
    progress,
    report::{Attacked, Report},
    tally::{Room, Run},
};

/// A pair talks beside attackers of each kind, and of all at once.
#[derive(Debug, Args)]
pub(crate) struct Attack {
    /// A kind; may be repeated. "all": all at once. Without: each, and then all at once.
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(names()))]
    kind: Vec<String>,
    /// How long each lasts, beside the sink and beside the server.
    #[arg(long, value_name = "S", default_value_t = 60)]
    seconds: u64,
    /// Messages a second of the pair.
    #[arg(long, value_name = "R", default_value_t = 50.0)]
    rate: f64,
    /// Where the server takes REST and WebSockets in clear; --target is where it has TLS and QUIC.
    #[arg(long, value_name = "HOST:PORT")]
    http: String,
}

fn names() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).chain([ALL]).collect()
}

impl Attack {
    /// Registers the pair and the attacker, and measures kind by kind.
    pub(crate) async fn run(self, env: Env) -> anyhow::Result<Report> {
        ensure!(self.rate > 0.0 && self.seconds > 0, "--rate and --seconds: more than 0");
        let target = env.target()?;
        ensure!(target.is_secure(), "--transport: wt or wss, as attackers come over TLS and QUIC too");
        let run = Run::new();
        let people = people::register(&env.dialer, target, &run, 4).await?;
        let [one, other, attacker, accomplice] = people.try_into().map_err(|_| anyhow::anyhow!("four people"))?;
        let pair = vec![one, other];
        let crew = Crew::start(&env.dialer, run, pair.clone(), |user| env.options(user)).await?;
        let id = *crew.befriend(&[(0, 1)]).await?.first().context("no conversation")?;
        drop(crew);
        let orders = orders(&env, &attacker, &accomplice).await?;
        let orders = Orders { edge: target.authority(), http: self.http.clone(), ..orders };

        let mut total = Report { scenario: "attack", transport: env.transports.name(), ..Report::default() };
        let named =
            if self.kind.is_empty() { names().into_iter().map(str::to_owned).collect() } else { self.kind.clone() };
        for name in named {
            let kinds =
                if name == ALL { KINDS.iter().map(|kind| kind.name.to_owned()).collect() } else { vec![name.clone()] };
            let sink = Sink::open().await?;
            let address = sink.address.to_string();
            let aside = Orders { kinds: kinds.clone(), edge: address.clone(), http: address, ..orders.clone() };
            let (before, _) = self.beside(&env, &pair, id, aside).await?;
            drop(sink);
            let rss = env.server.as_ref().and_then(|server| server.rss_kib());
            let (during, most) = self.beside(&env, &pair, id, Orders { kinds, ..orders.clone() }).await?;
            let [sink_p99, p99] = [&before, &during].map(|report| report.ack_latency_ms.p99);
            let attacked = Attacked {
                kind: name,
                ack_p99_ms: p99,
                sink_ack_p99_ms: sink_p99,
                ratio: p99.zip(sink_p99).map(|(p99, sink)| p99 / sink),
                grown_mib: rss.zip(most).map(|(rss, most)| (most - rss).max(0.0) / 1024.0),
                errors: during.errors,
                void: during.void.clone().or_else(|| before.void.clone()),
            };
            progress::say(&attacked.summary());
            total.attacks.push(attacked);
            for report in [before, during] {
                total.sent += report.sent;
                total.acked += report.acked;
                total.delivered += report.delivered;
                total.expected_deliveries += report.expected_deliveries;
                total.lost += report.lost;
                total.duplicated += report.duplicated;
                total.reordered += report.reordered;
                total.errors += report.errors;
            }
        }
        Ok(total)
    }

    /// The pair's messages beside attackers, and the most memory that the server had, in KiB.
    async fn beside(
        &self,
        env: &Env,
        pair: &[Arc<Account>],
        id: LogId,
        orders: Orders,
    ) -> anyhow::Result<(Report, Option<f64>)> {
        let crew = Crew::start(&env.dialer, Run::new(), pair.to_vec(), |user| env.options(user)).await?;
        crew.await_known(&[0, 1], id).await?;
        let attackers = start(&Orders { seconds: self.seconds + SPARE, ..orders }).await?;
        let most = Most::watch(env);
        let (rate, seconds) = (self.rate, self.seconds);
        let rooms = vec![Room { id, members: vec![0, 1] }];
        let turn = |_: &[Room], n: u64| (0, (n % 2) as usize);
        let load = Load {
            rooms,
            rate,
            seconds,
            size: 160,
            turn,
            operation: Operation::Acknowledgement,
            marks: Marks::default(),
        };
        let report = load.drive(env, &crew).await?;
        let most = most.seen();
        end(attackers).await;
        Ok((report, most))
    }
}

/// What the attacker has: a conversation with a history, and a group.
async fn orders(env: &Env, attacker: &Arc<Account>, accomplice: &Arc<Account>) -> anyhow::Result<Orders> {
    let people = vec![attacker.clone(), accomplice.clone()];
    let crew = Crew::start(&env.dialer, Run::new(), people, |user| env.options(user)).await?;
    let conversation = crew.befriend(&[(0, 1)]).await?.first().context("no conversation")?.to_string();
    for _ in 1..HISTORY {
        let message = v1::SendMessageRequest {
            conversation_id: conversation.clone(),
            client_msg_id: ClientMsgId::new_v7().to_string(),
            text: "x".repeat(160),
        };
        crew.call::<_, v1::SendMessageResponse>(0, "ChatService/SendMessage", &conversation, &message).await?;
    }
    let group = crew.group(0, &[1]).await?.to_string();
    Ok(Orders { token: attacker.token().await?, conversation, group, ..Orders::default() })
}

async fn start(orders: &Orders) -> anyhow::Result<Child> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("attacker")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("no way to the attackers")?;
    stdin.write_all(&serde_json::to_vec(orders)?).await?;
    drop(stdin);
    Ok(child)
}

/// Waits until they say what they did, and go.
async fn end(mut attackers: Child) {
    if tokio::time::timeout(Duration::from_secs(2 * SPARE), attackers.wait()).await.is_err() {
        progress::say("the attackers do not end");
    }
}

/// The most memory that the server has had.
struct Most {
    kib: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Most {
    fn watch(env: &Env) -> Self {
        let (server, kib) = (env.server.clone(), Arc::new(AtomicU64::new(0)));
        let most = kib.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(LOOK);
            loop {
                ticks.tick().await;
                let now = server.as_ref().and_then(|server| server.rss_kib()).unwrap_or_default();
                most.fetch_max(now as u64, Ordering::Relaxed);
            }
        });
        Self { kib, task }
    }

    fn seen(&self) -> Option<f64> {
        self.task.abort();
        Some(self.kib.load(Ordering::Relaxed)).filter(|kib| *kib > 0).map(|kib| kib as f64)
    }
}

const ALL: &str = "all";
/// Seconds that attackers go on, as the pair needs time to settle before and after.
const SPARE: u64 = 10;
const LOOK: Duration = Duration::from_millis(100);
