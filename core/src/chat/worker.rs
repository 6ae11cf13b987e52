//! The worker: takes a batch of commands from the bus, has it committed, and passes the outcomes to
//! the announcer. While a commit is in flight, the next batch gathers on the bus.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_proto::{error::ErrorCode, v1};
use gogochat_storage::{
    bus::{BusCommand, Consumer, Room},
    store::{Command, Committed, Done, Logs, Outcome, StoreError},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    announce::Settled,
    commit::Committer,
    marks::LateMarks,
    pending::{Kind, Pending},
    sender_order::{SenderOrder, Turn},
    unknown::UnknownMethods,
};
use crate::{
    authorize::Caller,
    clock::now_ms,
    command::{OrderedMethod, Stamp, partition_of},
    failure,
    fanout::Fanout,
    metrics::Metrics,
};

/// Commits what the bus brings.
pub(crate) struct Worker {
    committer: Committer,
    room: Room,
    fanout: Arc<Fanout>,
    methods: HashMap<&'static str, &'static OrderedMethod>,
    /// Commands that are no method of a client's and change nothing in the store.
    notices: &'static [&'static str],
    order: SenderOrder,
    unknown: UnknownMethods,
    late_marks: LateMarks,
    swept: Instant,
}

impl Worker {
    pub(crate) fn new(
        store: Arc<dyn Logs>,
        fanout: Arc<Fanout>,
        metrics: Arc<Metrics>,
        methods: HashMap<&'static str, &'static OrderedMethod>,
        notices: &'static [&'static str],
        room: Room,
    ) -> Self {
        Self {
            committer: Committer::new(store, fanout.clone(), metrics, room),
            room,
            fanout,
            methods,
            notices,
            order: SenderOrder::new(MAX_WAITING),
            unknown: UnknownMethods::default(),
            late_marks: LateMarks::default(),
            swept: Instant::now(),
        }
    }

    /// Works until the bus shuts down, or `stop`. What is settled goes to `announcer`, in order.
    pub(crate) async fn run(
        &mut self,
        mut consumer: Box<dyn Consumer>,
        announcer: &mpsc::Sender<Settled>,
        stop: &CancellationToken,
    ) {
        let mut kept = Vec::new();
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => return,
                batch = consumer.next_batch(self.room) => batch,
                () = tokio::time::sleep(KEPT_LOOK), if !kept.is_empty() => Some(Vec::new()),
            };
            let Some(batch) = batch else { return };
            let settled = self.settle(batch).await;
            kept = self.kept();
            if let Err(error) = consumer.commit(&kept).await {
                // It may come again, and finds itself committed.
                tracing::warn!(%error, "the bus did not note a batch as done");
            }
            if announcer.send(settled).await.is_err() {
                return;
            }
        }
    }

    /// Partitions with a command that was refused and has not come again. A core that is given them next does
    /// not know of that, and would commit what lies behind it on the bus: so the bus brings it the refused
    /// one again, before that.
    fn kept(&self) -> Vec<u32> {
        let now = Instant::now();
        let refused = self.order.fresh(now).map(partition_of);
        let partitions: BTreeSet<u32> = refused.chain(self.unknown.partitions(now)).collect();
        partitions.into_iter().collect()
    }

    async fn settle(&mut self, batch: Vec<BusCommand>) -> Settled {
        let mut settled = Settled {
            batch: self.fanout.progress.begin(),
            commands: batch.len(),
            answers: Vec::with_capacity(batch.len()),
            repeated: Vec::new(),
            unanswered: Vec::new(),
            notices: Vec::new(),
            marks: Vec::new(),
            events: Vec::with_capacity(batch.len()),
        };
        self.fanout.progress.moved(i64::try_from(batch.len()).unwrap_or(0));
        let now = now_ms();
        let mut commands = Vec::with_capacity(batch.len());
        let mut pending = Vec::with_capacity(batch.len());
        for marks in self.late_marks.take(self.room.commands) {
            commands.push(marks.command());
            pending.push(Pending::of_late(marks));
        }
        for command in batch {
            if self.notices.contains(&command.method.as_str()) {
                settled.notices.push(command);
                continue;
            }
            let reply_to = command.reply_to.clone();
            match self.read(command, now) {
                Ok((command, what)) => {
                    commands.push(command);
                    pending.push(what);
                }
                Err(error) => settled.answers.push((reply_to, Err(error))),
            }
        }
        for (pending, outcome) in pending.iter().zip(self.committer.commit(commands).await) {
            self.take(&mut settled, pending, outcome);
        }
        settled.events.extend(self.committer.take_stray());
        self.sweep();
        settled
    }

    fn read(&mut self, command: BusCommand, now: i64) -> Result<(Command, Pending), v1::Error> {
        let Some(method) = self.methods.get(command.method.as_str()) else {
            // The core that took it knows it. This one is older, and is about to be replaced by one
            // that does.
            self.unknown.refuse(&command, Instant::now());
            return Err(ErrorCode::Unavailable.with("this core does not know the method yet: repeat it"));
        };
        let behind_unknown = self.unknown.holds(&command, Instant::now());
        let caller = Caller { user: command.user, device: command.device };
        method.when_late.check(command.published_ms, now)?;
        let reply_to = command.reply_to;
        let request = (method.parse)(command.body)?;
        let command = request.command(Stamp { caller, id: command.id, now })?;
        let pending = Pending::of(&command, caller, reply_to, method.reply);
        if let Kind::InOrder(sender, id) = pending.kind
            && (behind_unknown || self.order.come(sender, id, Instant::now()) == Turn::OutOfOrder)
        {
            return Err(ErrorCode::OutOfOrder.with("an earlier command was refused: repeat that one first"));
        }
        Ok((command, pending))
    }

    fn take(&mut self, settled: &mut Settled, pending: &Pending, outcome: Result<Outcome, StoreError>) {
        let answer = match outcome {
            Ok(Ok(Committed { done, events, mark })) => {
                if let (Some(log), Done::Appended { seq, duplicate: true, .. }) = (pending.log, &done) {
                    settled.repeated.push((log, *seq));
                }
                settled.events.extend(events);
                settled.marks.extend(mark);
                (pending.reply)(&done)
            }
            Ok(Err(refusal)) => Err(failure::refusal(refusal)),
            Err(error) => {
                if matches!(error, StoreError::Unavailable(_)) {
                    settled.unanswered.extend(pending.log.iter().chain(&pending.others));
                }
                let error = failure::stored(&error);
                if error.retryable() {
                    match pending.kind {
                        Kind::InOrder(sender, id) => self.order.refused(sender, id, Instant::now()),
                        Kind::Marks(marks) if pending.reply_to.call_id == 0 => self.late_marks.keep(marks),
                        _ => {}
                    }
                }
                Err(error)
            }
        };
        settled.answers.push((pending.reply_to.clone(), answer));
    }

    fn sweep(&mut self) {
        if self.order.len() > 0 && self.swept.elapsed() > SWEEP {
            self.swept = Instant::now();
            let fanout = &self.fanout;
            self.order.sweep(self.swept, |sender| fanout.is_open(sender.attachment, sender.session));
        }
    }
}

const MAX_WAITING: usize = 1 << 18;
/// How often a look is taken whether partitions are still to be kept, when nothing comes.
const KEPT_LOOK: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(30);
