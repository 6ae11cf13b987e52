//! The command line: `gogochat-loadtest SCENARIO --target URL --transport wt|wss|ws --json FILE`.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Parser, Subcommand};
use gogochat_client::{Dialer, DialerOptions, Target, Trust};

use crate::{
    measure::{files, server::Server},
    progress,
    report::Report,
    scenario::{
        Env,
        attack::{self, attacker},
        chat, cluster, connect, fanout, idle, kill,
    },
    transports::Transports,
};

/// Drives a gogochat server as many clients would, and says in JSON how it did.
#[derive(Debug, Parser)]
#[command(name = "gogochat-loadtest", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// The server: https://EDGE for wt and wss, http://HTTP for ws. May be repeated: sessions are
    /// spread over several edges.
    #[arg(long, global = true, value_name = "URL")]
    target: Vec<Target>,
    /// How frames travel.
    #[arg(long, global = true, value_enum, default_value_t = Transports::Wt)]
    transport: Transports,
    /// Where the result goes; without it, to standard output.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A process of the server, for its CPU time and memory; may be repeated. Without it: whoever
    /// owns the target's port on this machine.
    #[arg(long, global = true, value_name = "PID")]
    server_pid: Vec<u32>,
    /// The authority that signs the server's certificate (PEM). On loopback any certificate is
    /// accepted without it.
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Threads of the driver [default: one for each core].
    #[arg(long, global = true, value_name = "N")]
    workers: Option<usize>,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Pairs talk one to one.
    Chat(chat::Chat),
    /// One member of a group talks to all others.
    Fanout(fanout::Fanout),
    /// Sessions that do nothing.
    Idle(idle::Idle),
    /// Sessions that are opened, signed in and closed.
    Connect(connect::Connect),
    /// A pair talks beside attackers.
    Attack(attack::Attack),
    /// The attackers, as the scenario starts them: what to do is read from standard input.
    #[command(hide = true)]
    Attacker,
    /// A server that is killed (SIGKILL) and started again while clients send.
    Kill(kill::Kill),
    /// A cluster (scripts/cluster) whose members are killed and stopped by turns while clients send.
    Faults(cluster::Faults),
    /// A cluster (scripts/cluster) whose edges and cores are all restarted, one after the other,
    /// while clients send.
    Rolling(cluster::Rolling),
}

impl Cli {
    /// Runs the scenario and writes the report. False when messages were lost, doubled or out of order.
    pub(crate) fn run(self) -> anyhow::Result<bool> {
        files::raise_limit();
        let workers = self.common.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, Into::into));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
        if matches!(self.scenario, Scenario::Attacker) {
            return runtime.block_on(attacker::run()).map(|()| true);
        }
        let json = self.common.json.clone();
        if let Some(file) = &json {
            Report::try_file(file)?;
        }
        let report = runtime.block_on(self.measure())?;
        runtime.shutdown_background();
        progress::say(&report.summary());
        report.write(json.as_deref())?;
        Ok(report.is_sound())
    }

    async fn measure(self) -> anyhow::Result<Report> {
        match self.scenario {
            Scenario::Kill(kill) => kill.run().await,
            Scenario::Faults(faults) => faults.run().await,
            Scenario::Rolling(rolling) => rolling.run().await,
            Scenario::Attacker => attacker::run().await.map(|()| Report::default()),
            Scenario::Attack(attack) => attack.run(self.common.env(true)?).await,
            Scenario::Chat(chat) => chat.run(self.common.env(true)?).await,
            Scenario::Fanout(fanout) => fanout.run(self.common.env(true)?).await,
            Scenario::Idle(idle) => idle.run(self.common.env(true)?).await,
            // A handshake that resumes another is none.
            Scenario::Connect(connect) => connect.run(self.common.env(false)?).await,
        }
    }
}

impl Common {
    fn env(self, resume_tls: bool) -> anyhow::Result<Env> {
        let first = self.target.first().context("--target URL is needed")?;
        let secure = self.transport != Transports::Ws;
        if self.target.iter().any(|target| target.is_secure() != secure) {
            bail!("--transport {} needs an {} target", self.transport.name(), if secure { "https" } else { "http" });
        }
        let trust = match &self.ca {
            Some(file) => Trust::Authorities(fs::read(file).with_context(|| format!("--ca {}", file.display()))?),
            None => Trust::AnyOnLoopback,
        };
        let dialer = Dialer::with(DialerOptions { trust, resume_tls, sockets: SOCKETS, ..DialerOptions::default() })?;
        let server = Server::find(&self.server_pid, first);
        ensure!(self.server_pid.is_empty() || server.is_some(), "--server-pid: there is no such process");
        Ok(Env { dialer, targets: self.target, transports: self.transport, server })
    }
}

/// UDP sockets of the driver: enough that no receive buffer overflows, few enough that each wake-up
/// finds several packets.
const SOCKETS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_documented_lines() {
        for line in [
            "gogochat-loadtest chat --users 100 --rate 500 --seconds 30 --target https://127.0.0.1:8443 --transport wt --json r.json",
            "gogochat-loadtest fanout --members 1000 --rate 10 --seconds 20 --target http://127.0.0.1:8080 --transport ws --json r.json --server-pid 7",
            "gogochat-loadtest chat --users 400 --group 200 --marks 30 --rate 50 --seconds 30 --target https://127.0.0.1:8443 --transport wt",
            "gogochat-loadtest fanout --members 200 --rate 10 --seconds 30 --marks 100 --target https://127.0.0.1:8443 --transport wss",
            "gogochat-loadtest idle --sessions 1000 --seconds 10 --target https://127.0.0.1:8443 --transport wss --json r.json --ca ca.pem",
            "gogochat-loadtest --target https://127.0.0.1:8443 --transport wss --json r.json connect --sessions 1000 --rate 100",
            "gogochat-loadtest kill --server gogochat --rounds 3 --users 10 --json r.json",
            "gogochat-loadtest kill --server gogochat --rounds 3 --users 10 --split",
            "gogochat-loadtest chat --target https://127.0.0.1:24441 --target https://127.0.0.1:24442 --transport mixed",
            "gogochat-loadtest faults --users 1000 --conversations 200 --messages 100000 --rate 500 --every 5 --json r.json",
            "gogochat-loadtest attack --kind quic-capsule --kind all --seconds 60 --http 127.0.0.1:8080 --target https://127.0.0.1:8443 --transport wss",
            "gogochat-loadtest rolling --cycles 10 --rate 200",
        ] {
            parse(line).unwrap();
        }
        assert!(parse("gogochat-loadtest chat --users 3 --target ftp://x").is_err());
    }

    #[test]
    fn transport_and_target_fit() {
        for (target, transport, fits) in [
            ("http://127.0.0.1:1", "ws", true),
            ("https://127.0.0.1:1", "ws", false),
            ("http://127.0.0.1:1", "wt", false),
            ("http://127.0.0.1:1", "wss", false),
            ("https://127.0.0.1:1", "wss", true),
        ] {
            let line =
                format!("gogochat-loadtest idle --sessions 1 --seconds 1 --target {target} --transport {transport}");
            assert_eq!(parse(&line).unwrap().common.env(true).is_ok(), fits, "{line}");
        }
    }
}
