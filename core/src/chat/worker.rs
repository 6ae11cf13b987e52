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
    commands::Mark,
    commit::Committer,
    marks::MarkCollector,
    pending::{Kind, Pending},
    sender_order::{SenderOrder, Turn},
    sliced::{Sliced, TooMany, Unfinished},
    slices::Slices,
    unknown::UnknownMethods,
};
use crate::{
    authorize::Caller,
    clock::now_ms,
    command::{Ordered as _, OrderedMethod, Stamp, partition_of},
    failure,
    fanout::Fanout,
    metrics::Metrics,
};

/// Commits what the bus brings.
pub(crate) struct Worker {
    committer: Committer,
    sliced: Sliced,
    room: Room,
    fanout: Arc<Fanout>,
    methods: HashMap<&'static str, &'static OrderedMethod>,
    /// Commands that are no method of a client's and change nothing in the store.
    notices: &'static [&'static str],
    order: SenderOrder,
    unknown: UnknownMethods,
    marks: Arc<MarkCollector>,
    swept: Instant,
}

impl Worker {
    pub(crate) fn new(
        store: Arc<dyn Logs>,
        fanout: Arc<Fanout>,
        metrics: Arc<Metrics>,
        methods: HashMap<&'static str, &'static OrderedMethod>,
        notices: &'static [&'static str],
        marks: Arc<MarkCollector>,
        room: Room,
    ) -> Self {
        Self {
            committer: Committer::new(store, fanout.clone(), metrics, room),
            sliced: Sliced::default(),
            room,
            fanout,
            methods,
            notices,
            order: SenderOrder::new(MAX_WAITING),
            unknown: UnknownMethods::default(),
            marks,
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
                biased;
                () = stop.cancelled() => return,
                batch = consumer.next_batch(self.room) => batch,
                () = std::future::ready(()), if !self.sliced.is_empty() => Some(Vec::new()),
                () = tokio::time::sleep(KEPT_LOOK), if !kept.is_empty() => Some(Vec::new()),
            };
            let batch = match batch {
                None if self.sliced.is_empty() => return,
                batch => batch.unwrap_or_default(),
            };
            let settled = self.settle(batch).await;
            kept = self.kept();
            if let Err(error) = consumer.commit(&kept).await {
                // It may come again, and finds itself committed.
                tracing::warn!(%error, "the bus did not note a batch as done");
            }
            if announcer.send(settled).await.is_err() {
                return;
            }
            // Who was in the batch has an answer before it.
            if let Some(settled) = self.slice().await
                && announcer.send(settled).await.is_err()
            {
                return;
            }
        }
    }

    /// Partitions with a command that was refused and has not come again, or of which slices are missing. A
    /// core that is given them next does not know of that, and would commit what lies behind it on the bus: so
    /// the bus brings it that one again, before that.
    fn kept(&self) -> Vec<u32> {
        let now = Instant::now();
        let refused = self.order.fresh(now).map(partition_of);
        let unfinished = self.sliced.partitions();
        let partitions: BTreeSet<u32> = refused.chain(self.unknown.partitions(now)).chain(unfinished).collect();
        partitions.into_iter().collect()
    }

    async fn settle(&mut self, batch: Vec<BusCommand>) -> Settled {
        let (taken, waited) = (batch.len(), self.sliced.len());
        let mut settled = Settled::begin(self.fanout.progress.begin(), taken);
        self.fanout.progress.moved(i64::try_from(taken).unwrap_or(0));
        let now = now_ms();
        let mut commands = Vec::with_capacity(batch.len());
        let mut pending = Vec::with_capacity(batch.len());
        let released = self.sliced.take_released();
        for command in released.into_iter().chain(batch) {
            if self.notices.contains(&command.method.as_str()) {
                settled.notices.push(command);
                continue;
            }
            let reply_to = command.reply_to.clone();
            if command.method == Mark::NAME {
                settled.answers.extend(self.pass_on(command).err().map(|error| (reply_to, Err(error))));
                continue;
            }
            match self.read(command, now) {
                Ok(Some((command, what))) => {
                    commands.push(command);
                    pending.push(what);
                }
                Ok(None) => {}
                Err(error) => settled.answers.push((reply_to, Err(error))),
            }
        }
        for (pending, outcome) in pending.iter().zip(self.committer.commit(commands).await) {
            self.take(&mut settled, pending, outcome);
        }
        settled.commands = taken + waited - self.sliced.len();
        self.sweep();
        settled
    }

    /// Carries out one slice of what goes in slices, if anything does.
    async fn slice(&mut self) -> Option<Settled> {
        let waited = self.sliced.len();
        let one = self.sliced.next()?;
        let mut settled = Settled::begin(self.fanout.progress.begin(), 1);
        self.slice_of(one, &mut settled).await;
        settled.commands = waited - self.sliced.len();
        Some(settled)
    }

    async fn slice_of(&mut self, mut one: Unfinished, settled: &mut Settled) {
        if let Some(whole) = one.begins() {
            // By now it is known what became of what its sender sent before.
            if let Kind::InOrder(sender, id) = one.pending.kind
                && self.order.come(sender, id, Instant::now()) == Turn::OutOfOrder
            {
                let pending = self.sliced.finish(one);
                settled.answers.push((pending.reply_to, Err(out_of_order())));
                return;
            }
            if let Some(refusal) = self.committer.look(whole).await {
                let pending = self.sliced.finish(one);
                self.take(settled, &pending, Ok(Err(refusal)));
                return;
            }
        }
        match self.committer.alone(one.slice()).await {
            Ok(Ok(committed)) if !one.advance(&committed.done) => {
                settled.events.extend(committed.events);
                self.sliced.again(one);
            }
            outcome => {
                let pending = self.sliced.finish(one);
                self.take(settled, &pending, outcome);
            }
        }
    }

    /// What a command asks the store for. `None`: it waits, or goes in slices.
    fn read(&mut self, command: BusCommand, now: i64) -> Result<Option<(Command, Pending)>, v1::Error> {
        let Some(method) = self.methods.get(command.method.as_str()) else {
            // The core that took it knows it. This one is older, and is about to be replaced by one
            // that does.
            self.unknown.refuse(&command, Instant::now());
            return Err(ErrorCode::Unavailable.with("this core does not know the method yet: repeat it"));
        };
        let behind_unknown = self.unknown.holds(&command, Instant::now());
        let caller = Caller { user: command.user, device: command.device };
        method.when_late.check(command.published_ms, now)?;
        let request = (method.parse)(command.body.clone())?;
        let on_bus = command;
        let command = request.command(Stamp { caller, id: on_bus.id, now })?;
        let pending = Pending::of(&command, on_bus.reply_to.clone(), method.reply);
        if let Kind::InOrder(sender, id) = pending.kind
            && (behind_unknown || self.order.come(sender, id, Instant::now()) == Turn::OutOfOrder)
        {
            return Err(out_of_order());
        }
        match self.sliced.wait(on_bus, pending.kind) {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(TooMany) => return Err(self.too_many(&pending)),
        }
        let Some(slices) = Slices::of(&command) else { return Ok(Some((command, pending))) };
        match self.sliced.begin(command, slices, pending, caller.user) {
            Some(pending) => Err(self.too_many(&pending)),
            None => Ok(None),
        }
    }

    /// It is to come again, and before it nothing that its sender sends behind it.
    fn too_many(&mut self, pending: &Pending) -> v1::Error {
        if let Kind::InOrder(sender, id) = pending.kind {
            self.order.refused(sender, id, Instant::now());
        }
        ErrorCode::Overloaded.with("many members of other groups are being added or removed: repeat it")
    }

    /// A mark that a core of the release before has put on the bus: it is no matter of the log's order.
    fn pass_on(&self, command: BusCommand) -> Result<(), v1::Error> {
        let caller = Caller { user: command.user, device: command.device };
        self.marks.add(Mark::read(command.body, caller)?, &command.reply_to)
    }

    fn take(&mut self, settled: &mut Settled, pending: &Pending, outcome: Result<Outcome, StoreError>) {
        let answer = match outcome {
            Ok(Ok(Committed { done, events, .. })) => {
                if let (Some(log), Done::Appended { seq, duplicate: true, .. }) = (pending.log, &done) {
                    settled.repeated.push((log, *seq));
                }
                settled.events.extend(events);
                (pending.reply)(&done)
            }
            Ok(Err(refusal)) => Err(failure::refusal(refusal)),
            Err(error) => {
                if matches!(error, StoreError::Unavailable(_)) {
                    settled.unanswered.extend(pending.log.iter().chain(&pending.others));
                }
                let error = failure::stored(&error);
                if error.retryable()
                    && let Kind::InOrder(sender, id) = pending.kind
                {
                    self.order.refused(sender, id, Instant::now());
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

fn out_of_order() -> v1::Error {
    ErrorCode::OutOfOrder.with("an earlier command was refused: repeat that one first")
}

const MAX_WAITING: usize = 1 << 18;
/// How often a look is taken whether partitions are still to be kept, when nothing comes.
const KEPT_LOOK: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(30);
