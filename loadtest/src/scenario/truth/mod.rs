//! After the sending: everything settles, what is missing is asked for as a client would, and
//! everybody's view is compared with the log itself.

mod check;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gogochat_proto::{
    ids::LogId,
    limits::MAX_PAGE,
    v1::{self, event::Body},
};

use self::check::{Entry, converged};
use super::{refusals, wait_while_it_moves};
use crate::{
    people::Crew,
    progress,
    report::Report,
    tally::{Planned, Room, Seen, Verdict, judge},
};

/// How it went.
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// Where views and logs differ.
    differences: usize,
    refused: u64,
    /// Messages that were neither acknowledged nor refused.
    unsettled: u64,
    repaired: u64,
}

/// Waits until nothing moves any more, and compares.
///
/// # Errors
/// A log cannot be read.
pub(super) async fn settle(crew: &Crew, rooms: &[Room], planned: &[Planned]) -> anyhow::Result<Outcome> {
    let settled = || crew.counts.acked.load(Ordering::Relaxed) + crew.counts.refused.load(Ordering::Relaxed);
    let all_settled = wait_while_it_moves(SETTLING, settled, || settled() >= planned.len() as u64).await;
    let unsettled = if all_settled { 0 } else { planned.len() as u64 - settled() };
    let mut truth = Vec::new();
    for room in rooms {
        truth.push(log(crew, room).await?);
    }
    let whole = || {
        rooms.iter().zip(&truth).all(|(room, truth)| {
            let messages = truth.iter().filter(|entry| entry.index.is_some()).count();
            room.members.iter().all(|member| held(crew, *member, room.id) >= messages)
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
    let verdict = judge(rooms, planned, &seen);
    let differences = converged(rooms, &truth, planned, &seen);
    for difference in differences.iter().take(10) {
        progress::say(&format!("fault: {difference}"));
    }
    Ok(Outcome { verdict, differences: differences.len(), refused: refusals(&seen), unsettled, repaired })
}

impl Outcome {
    /// The report's part about what became of the messages.
    pub(super) fn report(self, sent: usize) -> Report {
        let report = Report::from(self.verdict);
        let errors = report.errors + self.refused + self.unsettled + self.differences as u64;
        Report { sent: sent as u64, errors, repaired: self.repaired, ..report }
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

const SETTLING: Duration = Duration::from_secs(60);
const QUIET: Duration = Duration::from_secs(2);
