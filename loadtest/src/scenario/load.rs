//! Messages at a rate, from the first to the verdict.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Env, marks::Marks, per_operation, refusals, used, wait_while_it_moves};
use crate::{
    measure::pace::{self, Watch},
    people::Crew,
    progress,
    report::Report,
    tally::{Planned, Room, Seen, judge},
};

/// Who says what, and how often.
pub(super) struct Load {
    /// All of one size.
    pub(super) rooms: Vec<Room>,
    /// Messages a second.
    pub(super) rate: f64,
    pub(super) seconds: u64,
    /// Bytes of text.
    pub(super) size: usize,
    /// The room and the sender (both as places in their lists) of the n-th message.
    pub(super) turn: fn(&[Room], u64) -> (usize, usize),
    pub(super) operation: Operation,
    pub(super) marks: Marks,
}

/// What counts as one, for the figures by operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Acknowledgement,
    Delivery,
}

impl Load {
    /// Sends in open loop, waits until all has settled, repairs what is missing as a client would,
    /// and compares.
    pub(super) async fn drive(self, env: &Env, crew: &Crew) -> anyhow::Result<Report> {
        let count = (self.rate * self.seconds as f64).round() as u64;
        let recipients = self.rooms.first().map_or(0, |room| room.members.len() as u64 - 1);
        let dropped = Arc::new(AtomicU64::new(0));
        // Marks and presence that making contacts and groups has brought about are none of what is measured.
        let set_up = Instant::now();
        let told = || crew.counts.told.load(Ordering::Relaxed);
        wait_while_it_moves(QUIET, told, || set_up.elapsed() > SETTLING).await;

        let readers = self.marks.read(crew, &self.rooms);
        let (cpu, watch, begin) = (env.cpu(), Watch::start(), Instant::now());
        let paced = pace::open_loop(self.rate, count, self.sender(crew, &dropped)).await?;
        let dropped = dropped.load(Ordering::Relaxed);
        let acked = || crew.counts.acked.load(Ordering::Relaxed);
        let received = || crew.counts.received.load(Ordering::Relaxed);
        let settled = || acked() + crew.counts.refused.load(Ordering::Relaxed) + dropped;
        let whole = || settled() >= count && received() >= acked() * recipients;
        wait_while_it_moves(QUIET, || settled() + received(), whole).await;
        let (kept, elapsed, used) = (watch.kept(), begin.elapsed(), used(cpu, env.cpu()));
        drop((watch, readers));

        let planned: Vec<Planned> = (0..count)
            .map(|n| {
                let (room, sender) = (self.turn)(&self.rooms, n);
                Planned { room, sender, intended: crew.run.micros(paced.intended(n)) }
            })
            .collect();
        let repaired = self.repair(crew, whole).await;

        let guards: Vec<_> = crew.seen.iter().map(|seen| seen.lock()).collect();
        let seen: Vec<&Seen> = guards.iter().map(|seen| &**seen).collect();
        let verdict = judge(&self.rooms, &planned, &seen);
        let refused = refusals(&seen);
        let breaks: u64 = seen.iter().map(|seen| seen.breaks).sum();
        let (operations, last) = match self.operation {
            Operation::Acknowledgement => {
                (verdict.acked, seen.iter().flat_map(|seen| &seen.acks).map(|ack| ack.at).max())
            }
            Operation::Delivery => {
                (verdict.delivered, seen.iter().flat_map(|seen| &seen.receipts).map(|receipt| receipt.at).max())
            }
        };
        let first = planned.first().map_or(0, |planned| planned.intended);
        let lasted = last.unwrap_or_default().saturating_sub(first) as f64 / 1e6;
        let late = pace::late_percent(&paced.lateness);
        let report = Report::from(verdict);
        Ok(Report {
            transport: env.transports.name(),
            sent: count,
            errors: report.errors + refused + breaks + dropped,
            per_second: operations as f64 / lasted.max(self.seconds as f64),
            server_cpu_us_per_op: per_operation(used, operations),
            void: pace::void(late, &kept),
            late_percent: late,
            server_cpu_cores: used.map(|used| used.as_secs_f64() / elapsed.as_secs_f64()),
            driver_cpu_cores: kept.cores,
            repaired,
            ..report
        })
    }

    /// What sends the n-th message.
    fn sender(&self, crew: &Crew, dropped: &Arc<AtomicU64>) -> impl Fn(u64) + Send + 'static {
        let (clients, run, rooms, turn) = (crew.clients.clone(), crew.run.clone(), self.rooms.clone(), self.turn);
        let (dropped, text) = (Arc::clone(dropped), "x".repeat(self.size));
        let (bar, second) = (progress::clock("sending", Duration::from_secs(self.seconds)), self.rate.ceil() as u64);
        move |n| {
            let (room, sender) = turn(&rooms, n);
            let posted = match (clients.get(sender), rooms.get(room)) {
                (Some(client), Some(room)) => client.post_as(room.id, run.id(n), text.clone()).is_ok(),
                _ => false,
            };
            if !posted {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
            if n % second.max(1) == 0 {
                bar.inc(1);
            }
        }
    }

    /// Has those who miss something ask for it, until nothing is missing or the time is over. How
    /// many had to.
    async fn repair(&self, crew: &Crew, whole: impl Fn() -> bool) -> u64 {
        let begin = Instant::now();
        let mut repaired = 0;
        while !whole() && begin.elapsed() < REPAIR {
            for client in &crew.clients {
                client.resync().await;
            }
            repaired = crew.clients.len() as u64;
            wait_while_it_moves(QUIET, || crew.counts.received.load(Ordering::Relaxed), &whole).await;
        }
        repaired
    }
}

/// Nothing has come for so long: nothing is on its way.
const QUIET: Duration = Duration::from_secs(2);
const SETTLING: Duration = Duration::from_secs(30);
const REPAIR: Duration = Duration::from_secs(30);
