//! The announcer: takes settled batches, sends the answers, then publishes the events. While one
//! batch is announced, the worker commits the next.

use std::sync::Arc;

use bytes::Bytes;
use gogochat_proto::{ids::LogId, v1};
use gogochat_storage::{
    bus::{BusCommand, ReplyTo},
    store::{Event, Logs, Range},
};
use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::resyncs::{LATE, Resyncs};
use crate::fanout::Fanout;

/// A batch that is settled: whom to answer and what to send.
pub(crate) struct Settled {
    pub(super) batch: u64,
    pub(super) commands: usize,
    pub(super) answers: Vec<(ReplyTo, Result<Bytes, v1::Error>)>,
    pub(super) events: Vec<Event>,
    /// Committed before, and perhaps by a core that was lost before it sent them to anybody.
    pub(super) repeated: Vec<(LogId, i64)>,
    /// Where something may have been committed, for the store gave no answer.
    pub(super) unanswered: Vec<LogId>,
    /// What goes to a service beside the store.
    pub(super) notices: Vec<BusCommand>,
}

impl Settled {
    /// A batch of this number, of so many commands, with nothing settled yet.
    pub(super) fn begin(batch: u64, commands: usize) -> Self {
        Self {
            batch,
            commands: 0,
            answers: Vec::with_capacity(commands),
            repeated: Vec::new(),
            unanswered: Vec::new(),
            notices: Vec::new(),
            events: Vec::with_capacity(commands),
        }
    }
}

/// Announces what was settled: a batch's answers before its events. `notice` takes what goes to no store.
pub(crate) async fn run(
    fanout: Arc<Fanout>,
    store: Arc<dyn Logs>,
    mut settled: mpsc::Receiver<Settled>,
    notice: impl Fn(&BusCommand),
) {
    let mut resyncs = Resyncs::default();
    let mut late = tokio::time::interval(LATE);
    late.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let settled = tokio::select! {
            settled = settled.recv() => settled,
            _ = late.tick(), if !resyncs.is_empty() => {
                for log in resyncs.turn() {
                    fanout.resync(log);
                }
                continue;
            }
        };
        let Some(settled) = settled else { return };
        let Settled { batch, commands, answers, events, repeated, unanswered, notices } = settled;
        for (to, answer) in answers {
            fanout.answer(&to, answer);
        }
        for event in &events {
            fanout.publish(event);
        }
        notices.iter().for_each(&notice);
        fanout.progress.sent(batch);
        fanout.progress.moved(-i64::try_from(commands).unwrap_or(0));
        for (log, seq) in repeated {
            send_again(&fanout, &*store, log, seq).await;
        }
        for log in unanswered {
            if fanout.resync(log) {
                resyncs.add(log);
            }
        }
    }
}

/// The core that committed it may have been lost before it sent it. An edge that lacks what comes before
/// it asks for that.
async fn send_again(fanout: &Fanout, store: &dyn Logs, log: LogId, seq: i64) {
    if !fanout.is_lacking(log, seq) {
        return;
    }
    match store.events(log, Range::After(seq - 1), 1, usize::MAX).await {
        Ok(events) => events.iter().for_each(|event| fanout.publish(event)),
        Err(error) => tracing::warn!(%log, %error, "what was committed before is not sent again"),
    }
}
