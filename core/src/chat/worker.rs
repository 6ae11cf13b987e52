//! The worker: takes what waits on the bus, commits it in one transaction, then answers, then tells. While a commit is in flight the next
//! batch gathers on the bus; while a batch is answered and told the next one commits.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gogochat_proto::{
    error::ErrorCode,
    ids::{ClientMsgId, LogId, UserId},
    v1,
};
use gogochat_storage::{
    bus::{BusCommand, Consumer, ReplyTo},
    store::{Command, Committed, Done, Event, MovedMark, Outcome, Range, Store, StoreError},
};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    doubts::{Doubts, LATE},
    lane::{Lane, Lanes, Turn},
    marks::{LateMarks, Marks},
};
use crate::{
    authorize::Caller,
    clock::now_ms,
    command::{Ordered, Stamp, partition_of},
    failure,
    fanout::Hub,
    metrics::Metrics,
};

/// Commits what the bus brings.
pub(crate) struct Worker {
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    methods: HashMap<&'static str, &'static Ordered>,
    /// Commands that are no method of a client's and change nothing in the store.
    notices: &'static [&'static str],
    batch_max: usize,
    lanes: Lanes,
    late_marks: LateMarks,
    swept: Instant,
}

/// A batch that is settled: whom to answer and what to tell.
pub(crate) struct Settled {
    batch: u64,
    commands: usize,
    answers: Vec<(ReplyTo, Result<Bytes, v1::Error>)>,
    marks: Vec<MovedMark>,
    events: Vec<Event>,
    /// Committed before, and perhaps by a core that was lost before it told anybody.
    repeated: Vec<(LogId, i64)>,
    /// Where something may have been committed, for the store gave no answer.
    doubtful: Vec<LogId>,
    /// What goes to a service beside the store.
    notices: Vec<BusCommand>,
}

/// A command that goes to the store, and how its answer is made.
struct Pending {
    reply_to: ReplyTo,
    log: Option<LogId>,
    /// The other logs that it writes to.
    others: Vec<LogId>,
    kind: Kind,
    reply: fn(&Done) -> Result<Bytes, v1::Error>,
}

/// What has to be remembered of a command in case the store does not take it.
#[derive(Clone, Copy)]
enum Kind {
    /// Later ones of its lane wait for it.
    InLane(Lane, ClientMsgId),
    /// Nobody repeats marks that ask for no reply.
    Marks(Marks),
    /// Nothing.
    Plain,
}

impl Worker {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        hub: Arc<Hub>,
        metrics: Arc<Metrics>,
        methods: HashMap<&'static str, &'static Ordered>,
        notices: &'static [&'static str],
        batch_max: usize,
    ) -> Self {
        Self {
            store,
            hub,
            metrics,
            methods,
            notices,
            batch_max,
            lanes: Lanes::new(MAX_LANES),
            late_marks: LateMarks::default(),
            swept: Instant::now(),
        }
    }

    /// Works until the bus shuts down, or `stop`. What is settled goes to `teller`, in order.
    pub(crate) async fn run(
        &mut self,
        mut consumer: Box<dyn Consumer>,
        teller: &mpsc::Sender<Settled>,
        stop: &CancellationToken,
    ) {
        let mut kept = Vec::new();
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => return,
                batch = consumer.next_batch(self.batch_max) => batch,
                () = tokio::time::sleep(KEPT_LOOK), if !kept.is_empty() => Some(Vec::new()),
            };
            let Some(batch) = batch else { return };
            let settled = self.settle(batch).await;
            kept = self.kept();
            if let Err(error) = consumer.commit(&kept).await {
                // It may come again, and finds itself committed.
                tracing::warn!(%error, "the bus did not note a batch as done");
            }
            if teller.send(settled).await.is_err() {
                return;
            }
        }
    }

    /// Partitions with a command that was refused and has not come again. If another core is given them now, it does not know of that, and
    /// would commit what lies behind it on the bus: so it is given the refused one again, before that.
    fn kept(&self) -> Vec<u32> {
        let partitions: BTreeSet<u32> = self.lanes.fresh(Instant::now()).map(partition_of).collect();
        partitions.into_iter().collect()
    }

    async fn settle(&mut self, batch: Vec<BusCommand>) -> Settled {
        let mut settled = Settled {
            batch: self.hub.progress.begin(),
            commands: batch.len(),
            answers: Vec::with_capacity(batch.len()),
            repeated: Vec::new(),
            doubtful: Vec::new(),
            notices: Vec::new(),
            marks: Vec::new(),
            events: Vec::with_capacity(batch.len()),
        };
        self.hub.progress.moved(i64::try_from(batch.len()).unwrap_or(0));
        let now = now_ms();
        let mut commands = Vec::with_capacity(batch.len());
        let mut pending = Vec::with_capacity(batch.len());
        for marks in self.late_marks.take(self.batch_max) {
            commands.push(marks.command());
            pending.push(Pending {
                reply_to: NOBODY,
                log: None,
                others: Vec::new(),
                kind: Kind::Marks(marks),
                reply: |_| Ok(Bytes::new()),
            });
        }
        for command in batch {
            if self.notices.contains(&command.method.as_str()) {
                settled.notices.push(command);
                continue;
            }
            let reply_to = command.reply_to.clone();
            match self.read(command, now) {
                Ok((command, waits)) => {
                    commands.push(command);
                    pending.push(waits);
                }
                Err(error) => settled.answers.push((reply_to, Err(error))),
            }
        }
        for (pending, outcome) in pending.iter().zip(self.commit(commands).await) {
            self.take(&mut settled, pending, outcome);
        }
        self.sweep();
        settled
    }

    fn read(&mut self, command: BusCommand, now: i64) -> Result<(Command, Pending), v1::Error> {
        let method = self
            .methods
            .get(command.method.as_str())
            // The core that took it knows it: this one is older, and is about to be replaced by one that does as well.
            .ok_or_else(|| ErrorCode::Unavailable.with("this core does not know the method yet: repeat it"))?;
        let caller = Caller { user: command.user, device: command.device };
        method.late.admit(command.published_ms, now)?;
        let reply_to = command.reply_to;
        let command = (method.command)(command.body, Stamp { caller, id: command.id, now })?;
        let kind = kind(&command, caller, &reply_to);
        if let Kind::InLane(lane, id) = kind
            && self.lanes.come(lane, id, Instant::now()) == Turn::OutOfOrder
        {
            return Err(ErrorCode::OutOfOrder.with("an earlier command was refused: repeat that one first"));
        }
        let (log, others) = (log(&command), others(&command));
        Ok((command, Pending { reply_to, log, others, kind, reply: method.reply }))
    }

    /// The outcome of each command, or why it has none.
    async fn commit(&self, commands: Vec<Command>) -> Vec<Result<Outcome, StoreError>> {
        let count = commands.len();
        if count == 0 {
            return Vec::new();
        }
        let single = (count > 1).then(|| commands.clone());
        match self.transaction(commands).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(StoreError::Failed(reason)) if let Some(commands) = single => {
                // One of them cannot be committed: it must not take the others with it.
                tracing::error!(reason, count, "a batch failed; its commands go one by one");
                let mut outcomes = Vec::with_capacity(count);
                for command in commands {
                    let outcome = match self.transaction(vec![command]).await {
                        Ok(one) => one.into_iter().next().ok_or_else(|| StoreError::Failed("no outcome".into())),
                        Err(error) => Err(error),
                    };
                    let away = matches!(outcome, Err(StoreError::Unavailable(_) | StoreError::Full));
                    outcomes.push(outcome);
                    if away {
                        break;
                    }
                }
                // What will be repeated must not be overtaken by what came behind it.
                let rest = outcomes.last().cloned();
                outcomes.extend(rest.into_iter().cycle().take(count - outcomes.len()));
                outcomes
            }
            Err(error) => vec![Err(error); count],
        }
    }

    async fn transaction(&self, commands: Vec<Command>) -> Result<Vec<Outcome>, StoreError> {
        let count = commands.len();
        self.metrics.batch.record(count as f64);
        let began = Instant::now();
        let result = self.store.commit(commands).await.and_then(|outcomes| match outcomes.len() == count {
            true => Ok(outcomes),
            false => Err(StoreError::Failed(format!("{} outcomes for {count} commands", outcomes.len()))),
        });
        self.metrics.commit_seconds.record(began.elapsed());
        match &result {
            Ok(_) => self.metrics.commits.increment(1),
            Err(error) => {
                tracing::warn!(%error, count, "a batch was not committed");
                if matches!(error, StoreError::Unavailable(_)) {
                    self.hub.progress.unanswered(Instant::now());
                }
                self.metrics.commit_failures.increment(1);
            }
        }
        result
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
                    settled.doubtful.extend(pending.log.iter().chain(&pending.others));
                }
                let error = failure::stored(&error);
                if error.retryable() {
                    match pending.kind {
                        Kind::InLane(lane, id) => self.lanes.refused(lane, id, Instant::now()),
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
        if self.lanes.len() > 0 && self.swept.elapsed() > SWEEP {
            self.swept = Instant::now();
            let hub = &self.hub;
            self.lanes.sweep(self.swept, |lane| hub.is_open(lane.attachment, lane.session));
        }
    }
}

/// The conversation that a message stands in.
fn log(command: &Command) -> Option<LogId> {
    match command {
        Command::Append { log, .. } => Some(*log),
        _ => None,
    }
}

/// The logs that a command writes events to, beside a message's own conversation.
fn others(command: &Command) -> Vec<LogId> {
    let own = |user: &UserId| LogId::from(*user);
    match command {
        Command::Append { .. } | Command::Mark { .. } => Vec::new(),
        Command::RequestContact { origin, to: other, .. }
        | Command::AcceptContact { origin, from: other, .. }
        | Command::RemoveContact { origin, peer: other } => vec![own(&origin.sender), own(other)],
        Command::CreateGroup { origin, members, .. } => members.iter().chain([&origin.sender]).map(own).collect(),
        Command::AddMembers { log, users, .. } => users.iter().map(own).chain([*log]).collect(),
        Command::LeaveGroup { log, origin } => vec![*log, own(&origin.sender)],
    }
}

fn kind(command: &Command, caller: Caller, reply_to: &ReplyTo) -> Kind {
    // Calls by REST and gRPC come one by one: they have no lane.
    let in_lane = |log, id| match reply_to.attachment {
        0 => Kind::Plain,
        attachment => Kind::InLane(Lane { attachment, session: reply_to.session, log }, id),
    };
    match command {
        Command::Append { log, origin, .. }
        | Command::AddMembers { log, origin, .. }
        | Command::LeaveGroup { log, origin } => in_lane(*log, origin.client_msg_id),
        Command::CreateGroup { origin, .. } => in_lane(origin.sender.into(), origin.client_msg_id),
        Command::Mark { log, delivered, read, .. } => {
            Kind::Marks(Marks { log: *log, caller, delivered: *delivered, read: *read })
        }
        Command::RequestContact { .. } | Command::AcceptContact { .. } | Command::RemoveContact { .. } => Kind::Plain,
    }
}

/// Answers and tells what was settled: acknowledgements of a batch before its fan-out. `notice` takes what goes to no store.
pub(crate) async fn tell(
    hub: Arc<Hub>,
    store: Arc<dyn Store>,
    mut settled: mpsc::Receiver<Settled>,
    notice: impl Fn(&BusCommand),
) {
    let mut doubts = Doubts::default();
    let mut late = tokio::time::interval(LATE);
    late.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let settled = tokio::select! {
            settled = settled.recv() => settled,
            _ = late.tick(), if !doubts.is_empty() => {
                for log in doubts.turn() {
                    hub.doubt(log);
                }
                continue;
            }
        };
        let Some(settled) = settled else { return };
        let Settled { batch, commands, answers, marks, events, repeated, doubtful, notices } = settled;
        for (to, answer) in answers {
            hub.answer(&to, answer);
        }
        for event in &events {
            hub.publish(event);
        }
        for mark in &marks {
            hub.publish_mark(mark);
        }
        notices.iter().for_each(&notice);
        hub.progress.told(batch);
        hub.progress.moved(-i64::try_from(commands).unwrap_or(0));
        for (log, seq) in repeated {
            tell_again(&hub, &*store, log, seq).await;
        }
        for log in doubtful {
            if hub.doubt(log) {
                doubts.add(log);
            }
        }
    }
}

/// Who committed it may have been lost before it was told. An edge that has less before it asks for that.
async fn tell_again(hub: &Hub, store: &dyn Store, log: LogId, seq: i64) {
    if !hub.is_lacking(log, seq) {
        return;
    }
    match store.events(log, Range::After(seq - 1), 1, usize::MAX).await {
        Ok(events) => events.iter().for_each(|event| hub.publish(event)),
        Err(error) => tracing::warn!(%log, %error, "what was committed before is not told again"),
    }
}

/// The return address of what nobody waits for.
const NOBODY: ReplyTo = ReplyTo { attachment: u64::MAX, session: 0, call_id: 0 };
const MAX_LANES: usize = 1 << 18;
/// How often a look is taken whether partitions are still to be kept, when nothing comes.
const KEPT_LOOK: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(30);
