//! The result: one JSON object, the same fields for every scenario.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::tally::Verdict;

/// What was measured. Fields that a scenario has not are 0 or null.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// chat, fanout, idle, connect, attack, kill, faults or rolling.
    pub(crate) scenario: &'static str,
    /// wt, wss, ws or mixed.
    pub(crate) transport: &'static str,
    /// Messages sent, or sessions tried.
    pub(crate) sent: u64,
    /// Messages acknowledged, or sessions opened.
    pub(crate) acked: u64,
    /// Messages received by those they were for, each once.
    pub(crate) delivered: u64,
    /// Acknowledged messages times those they were for.
    pub(crate) expected_deliveries: u64,
    /// Acknowledged, and missing at one they were for after everything had settled and was repaired.
    pub(crate) lost: u64,
    /// Handed to a recipient more than once.
    pub(crate) duplicated: u64,
    /// Handed to a recipient out of the log's or the sender's order.
    pub(crate) reordered: u64,
    /// Sends refused, sessions that failed or broke.
    pub(crate) errors: u64,
    /// Acknowledged messages, deliveries or opened sessions a second.
    pub(crate) per_second: f64,
    /// From the intended time to the acknowledgement, or to Welcome.
    pub(crate) ack_latency_ms: Latency,
    /// From the intended time to each receipt.
    pub(crate) delivery_latency_ms: Latency,
    /// User and system time of the server for each acknowledged message (chat), delivery (fanout)
    /// or opened session (connect).
    pub(crate) server_cpu_us_per_op: Option<f64>,
    /// The growth of the server's resident memory with each session, from half of them to all.
    pub(crate) rss_kib_per_session: Option<f64>,
    /// Why the figures say nothing about the server; null when they do.
    pub(crate) void: Option<String>,
    /// Sends that left more than 10 ms after their time, in per cent.
    pub(crate) late_percent: f64,
    /// The server's CPU use during the run, in cores.
    pub(crate) server_cpu_cores: Option<f64>,
    /// The driver's CPU use during the run, in cores.
    pub(crate) driver_cpu_cores: f64,
    /// Recipients that had to ask for what they missed.
    pub(crate) repaired: u64,
    /// Times the server was killed.
    pub(crate) rounds: u64,
    /// The longest time of each user without a receipt, while others sent to them all the time
    /// (faults and rolling).
    pub(crate) delivery_gap_ms: Latency,
    /// What was done to the cluster's members, and how long it was felt (faults and rolling).
    pub(crate) recovery: Vec<Recovery>,
    /// What attackers of each kind did to others (attack).
    pub(crate) attacks: Vec<Attacked>,
}

/// What attackers of one kind did to others.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Attacked {
    /// The kind, or "all".
    pub(crate) kind: String,
    /// Another user's acknowledgements beside the attack.
    pub(crate) ack_p99_ms: Option<f64>,
    /// The same beside the same attackers at a sink.
    pub(crate) sink_ack_p99_ms: Option<f64>,
    /// The one over the other.
    pub(crate) ratio: Option<f64>,
    /// How much the server's resident memory has grown at most.
    pub(crate) grown_mib: Option<f64>,
    /// Messages of the other user that were refused or not sent, and connections that broke.
    pub(crate) errors: u64,
    /// Why the figures say nothing; null when they do.
    pub(crate) void: Option<String>,
}

impl Attacked {
    /// It in a line, for people.
    pub(crate) fn summary(&self) -> String {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let void = self.void.as_ref().map_or(String::new(), |why| format!(" | void: {why}"));
        format!(
            "{}: ack p99 {} ms, beside a sink {} ms: {}x; grown by {} MiB; errors {}{void}",
            self.kind,
            number(self.ack_p99_ms),
            number(self.sink_ack_p99_ms),
            number(self.ratio),
            number(self.grown_mib),
            self.errors,
        )
    }
}

/// What was done to members of one kind.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Recovery {
    /// edge, core, mysql, redis, kafka or etcd.
    pub(crate) kind: String,
    /// kill (SIGKILL) or stop (SIGTERM).
    pub(crate) how: &'static str,
    pub(crate) times: u64,
    /// Messages that took more than half a second to be acknowledged or to reach a member, all
    /// times together.
    pub(crate) late_messages: u64,
    /// From the fault until the last such message was through; 0 when there was none. Milliseconds.
    pub(crate) median_ms: u64,
    pub(crate) longest_ms: u64,
}

/// A distribution in milliseconds; null where nothing was measured.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Latency {
    /// The median.
    pub(crate) p50: Option<f64>,
    /// One in a hundred takes longer.
    pub(crate) p99: Option<f64>,
    /// One in a thousand takes longer.
    pub(crate) p999: Option<f64>,
}

impl Latency {
    /// The distribution of these latencies, in microseconds.
    pub(crate) fn of(micros: impl IntoIterator<Item = u64>) -> Self {
        // One microsecond to ten minutes, to three digits: the bounds are valid.
        let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, MAX_MICROS, 3) else { return Self::default() };
        for value in micros {
            histogram.saturating_record(value.max(1));
        }
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| Some(histogram.value_at_quantile(quantile) as f64 / 1_000.0);
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
    }
}

impl From<Verdict> for Report {
    /// What became of the messages.
    fn from(verdict: Verdict) -> Self {
        Self {
            acked: verdict.acked,
            delivered: verdict.delivered,
            expected_deliveries: verdict.expected,
            lost: verdict.lost,
            duplicated: verdict.duplicated,
            reordered: verdict.reordered,
            errors: verdict.phantom,
            ack_latency_ms: Latency::of(verdict.ack_latencies),
            delivery_latency_ms: Latency::of(verdict.delivery_latencies),
            ..Self::default()
        }
    }
}

impl Report {
    /// Nothing acknowledged was lost, and nothing came twice or out of order.
    pub(crate) fn is_sound(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0
    }

    /// The report in a line, for people.
    pub(crate) fn summary(&self) -> String {
        let number = |value: Option<f64>, unit: &str| value.map_or("-".to_owned(), |value| format!("{value:.2}{unit}"));
        format!(
            "{} {}: sent {} acked {} delivered {}/{} lost {} duplicated {} reordered {} errors {} | {:.1}/s | ack p50 {} p99 {} | delivery p50 {} p99 {} | \
             server {} per op, {} a session{}",
            self.scenario,
            self.transport,
            self.sent,
            self.acked,
            self.delivered,
            self.expected_deliveries,
            self.lost,
            self.duplicated,
            self.reordered,
            self.errors,
            self.per_second,
            number(self.ack_latency_ms.p50, " ms"),
            number(self.ack_latency_ms.p99, " ms"),
            number(self.delivery_latency_ms.p50, " ms"),
            number(self.delivery_latency_ms.p99, " ms"),
            number(self.server_cpu_us_per_op, " us"),
            number(self.rss_kib_per_session, " KiB"),
            self.void.as_ref().map_or(String::new(), |why| format!(" | void: {why}")),
        )
    }

    /// Opens the file once before the run: that it cannot be written is better known then than
    /// afterwards. What an earlier run has left there stays until there is a report.
    pub(crate) fn try_file(file: &Path) -> anyhow::Result<()> {
        let new = !file.exists();
        let opened = OpenOptions::new().append(true).create(true).open(file);
        opened.with_context(|| format!("--json {}", file.display()))?;
        if new {
            fs::remove_file(file).with_context(|| format!("--json {}", file.display()))?;
        }
        Ok(())
    }

    /// Writes the JSON to a file, or to standard output.
    pub(crate) fn write(&self, file: Option<&Path>) -> anyhow::Result<()> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        match file {
            Some(file) => fs::write(file, json).with_context(|| format!("--json {}", file.display())),
            None => Ok(std::io::stdout().write_all(&json)?),
        }
    }
}

const MAX_MICROS: u64 = 600_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_fields() {
        let report = Report { ack_latency_ms: Latency::of((1..=1_000).map(|n| n * 1_000)), ..Report::default() };
        let json = serde_json::to_value(&report).unwrap();
        for field in [
            "scenario",
            "transport",
            "sent",
            "acked",
            "delivered",
            "expected_deliveries",
            "lost",
            "duplicated",
            "reordered",
            "errors",
            "per_second",
            "ack_latency_ms",
            "delivery_latency_ms",
            "server_cpu_us_per_op",
            "rss_kib_per_session",
            "void",
        ] {
            assert!(json.get(field).is_some(), "{field}");
        }
        assert!(json["void"].is_null() && json["delivery_latency_ms"]["p50"].is_null());
        let near = |field: &str, expected: f64| {
            let value = json["ack_latency_ms"][field].as_f64().unwrap();
            assert!((value - expected).abs() / expected < 0.002, "{field} {value}");
        };
        near("p50", 500.0);
        near("p99", 990.0);
        near("p999", 999.0);
    }
}
