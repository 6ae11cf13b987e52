//! The thread of one consumer: a member of the group, it fills the queues from which the worker
//! takes. librdkafka calls back about rebalances from its poll, and these calls may block.

use std::{
    collections::HashMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use gogochat_proto::{ids::UserId, partition::PARTITIONS};
use parking_lot::{Condvar, Mutex};
use rdkafka::{
    Offset, TopicPartitionList,
    client::ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance},
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Message},
};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{client, shared::Shared, wire};
use crate::bus::{
    BusCommand, Room,
    queues::{Queues, Waits},
};

/// What the thread and the worker share.
pub(super) struct Member {
    bus: Arc<Shared>,
    number: u64,
    state: Mutex<State>,
    /// Something can be taken, or the state is another.
    pub(super) changed: Notify,
    /// The worker has let go of a partition.
    released: Condvar,
    client: Mutex<Option<Arc<BaseConsumer<Callbacks>>>>,
}

struct State {
    queues: Queues<Fetched>,
    /// The partitions of this member; `None` between two assignments.
    assigned: Option<Vec<u32>>,
    /// Counts assignments: what was taken under an earlier one is not ours to commit.
    assignment: u64,
    /// What the worker has taken and not let go of.
    held: Vec<u32>,
    /// Of partitions that go to others: the offset of the first message that was fetched and not taken.
    given_up: HashMap<u32, i64>,
    /// Partitions whose queues are long enough: they are not fetched.
    paused: Vec<u32>,
    stopped: bool,
}

/// A message of the topic.
pub(super) struct Fetched {
    pub(super) partition: u32,
    pub(super) offset: i64,
    /// `None`: it is no command.
    pub(super) command: Option<BusCommand>,
}

impl Waits for Fetched {
    /// What is no command is nobody's.
    fn user(&self) -> UserId {
        self.command.as_ref().map_or_else(|| Uuid::nil().into(), |command| command.user)
    }

    fn rows(&self) -> usize {
        self.command.as_ref().map_or(0, BusCommand::cost)
    }

    fn bytes(&self) -> usize {
        self.command.as_ref().map_or(0, |command| command.body.len())
    }
}

/// What was taken, and under which assignment.
pub(super) struct Taken {
    pub(super) messages: Vec<Fetched>,
    pub(super) assignment: u64,
}

impl Member {
    /// Joins the group. The thread ends after [`Self::stop`].
    ///
    /// # Errors
    /// There is no thread, or the configuration is not one of a consumer.
    pub(super) fn join(bus: &Arc<Shared>, number: u64) -> Result<Arc<Self>, String> {
        let state = State {
            queues: Queues::new(PARTITIONS),
            assigned: None,
            assignment: 0,
            held: Vec::new(),
            given_up: HashMap::new(),
            paused: Vec::new(),
            stopped: false,
        };
        let member = Arc::new(Self {
            bus: Arc::clone(bus),
            number,
            state: Mutex::new(state),
            changed: Notify::new(),
            released: Condvar::new(),
            client: Mutex::new(None),
        });
        let first = member.connect().map_err(|error| error.to_string())?;
        let run = {
            let member = Arc::clone(&member);
            move || member.run(first)
        };
        let thread = thread::Builder::new().name("kafka-consumer".into()).spawn(run);
        thread.map(|_| member).map_err(|error| error.to_string())
    }

    /// Takes what there is room for, in equal shares: so not in the order of offsets.
    pub(super) fn take(&self, room: Room) -> Taken {
        let mut state = self.state.lock();
        let state = &mut *state;
        let messages = state.queues.take(room, &mut state.held);
        let short = |partition: &u32| {
            state.queues.waiting(*partition).is_none_or(|(count, bytes)| count < RESUME && bytes < RESUME_BYTES)
        };
        let resumed: Vec<u32> = state.paused.iter().copied().filter(short).collect();
        if !resumed.is_empty() {
            state.paused.retain(|partition| !resumed.contains(partition));
            self.with_client(|client| client.resume(&self.list(&resumed)));
        }
        Taken { messages, assignment: state.assignment }
    }

    /// The offset of the first message of a partition that was fetched and not taken.
    pub(super) fn first_waiting(&self, partition: u32) -> Option<i64> {
        let state = self.state.lock();
        let given_up = state.given_up.get(&partition).copied();
        state.queues.fronts(partition).map(|message| message.offset).chain(given_up).min()
    }

    /// The worker is done with what it took, and has committed what lies before these offsets.
    pub(super) fn release(&self, committed: &[(u32, i64)], assignment: u64) {
        let mut state = self.state.lock();
        let held = std::mem::take(&mut state.held);
        state.queues.release(held);
        if !committed.is_empty() && state.assignment == assignment {
            let mut list = TopicPartitionList::with_capacity(committed.len());
            for (partition, offset) in committed {
                if let Err(error) =
                    list.add_partition_offset(&self.bus.topic, *partition as i32, Offset::Offset(*offset))
                {
                    tracing::debug!(%error, "an offset cannot be told");
                }
            }
            self.with_client(|client| client.store_offsets(&list));
        }
        drop(state);
        self.released.notify_all();
        self.changed.notify_waiters();
    }

    /// The partitions of this member, and whether it has taken all there is of them; `None` between two
    /// assignments.
    pub(super) fn assigned(&self) -> Option<Vec<u32>> {
        self.state.lock().assigned.clone()
    }

    /// Leaves the group, soon.
    pub(super) fn stop(&self) {
        self.bus.leaving.send_modify(|leaving| *leaving += 1);
        let mut state = self.state.lock();
        state.stopped = true;
        let held = std::mem::take(&mut state.held);
        state.queues.release(held);
        drop(state);
        self.released.notify_all();
    }

    fn run(self: Arc<Self>, first: Arc<BaseConsumer<Callbacks>>) {
        let mut client = Some(first);
        while !self.state.lock().stopped {
            let Some(member) = client.take().or_else(|| self.reconnect()) else { continue };
            *self.client.lock() = Some(Arc::clone(&member));
            self.fetch(&member);
            self.client.lock().take();
            // The last one: it says farewell to the group here, with the offsets of what is committed.
            drop(member);
            self.revoke();
        }
        drop(client);
        self.bus.leaving.send_modify(|leaving| *leaving -= 1);
    }

    /// Until it is stopped, or the client is of no use any more.
    fn fetch(&self, client: &BaseConsumer<Callbacks>) {
        while !self.state.lock().stopped {
            match client.poll(POLL) {
                Some(Ok(message)) => self.push(client, &message),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    tracing::error!(%error, "a consumer of Kafka begins anew");
                    return;
                }
                Some(Err(error)) => tracing::debug!(%error, "Kafka"),
                None => {}
            }
        }
    }

    fn push(&self, client: &BaseConsumer<Callbacks>, message: &BorrowedMessage<'_>) {
        let (partition, offset) = (message.partition() as u32, message.offset());
        let command = wire::decode(partition, message.payload().unwrap_or_default());
        if command.is_none() {
            tracing::error!(partition, offset, "a message on the bus is no command, and is passed over");
        }
        let mut state = self.state.lock();
        let was_ready = state.queues.ready();
        state.queues.push(partition, Fetched { partition, offset, command });
        let long = state.queues.waiting(partition).is_some_and(|(count, bytes)| count >= PAUSE || bytes >= PAUSE_BYTES);
        if long && !state.paused.contains(&partition) && client.pause(&self.list(&[partition])).is_ok() {
            state.paused.push(partition);
        }
        drop(state);
        if !was_ready {
            self.changed.notify_one();
        }
    }

    fn assign(&self, partitions: Vec<u32>) {
        tracing::info!(?partitions, "Kafka has assigned partitions");
        let mut state = self.state.lock();
        state.assignment += 1;
        state.paused.clear();
        state.given_up.clear();
        state.assigned = Some(partitions.clone());
        drop(state);
        self.bus.assign(self.number, partitions);
        self.changed.notify_waiters();
    }

    /// What was fetched goes to others. What the worker has in hand it may finish: its offsets are told
    /// before others begin.
    fn revoke(&self) {
        self.bus.assign(self.number, Vec::new());
        let mut state = self.state.lock();
        for partition in state.assigned.take().unwrap_or_default() {
            // What the worker has in hand may lie behind it: it is told of as done up to here alone.
            if let Some(first) = state.queues.fronts(partition).map(|message| message.offset).min() {
                state.given_up.insert(partition, first);
            }
            state.queues.clear(partition);
        }
        let until = Instant::now() + FINISH;
        while !state.held.is_empty() && !state.stopped {
            if self.released.wait_until(&mut state, until).timed_out() {
                tracing::warn!(
                    "a partition is handed over while its commands are under way: others are given them too"
                );
                break;
            }
        }
        state.assignment += 1;
        drop(state);
        self.changed.notify_waiters();
    }

    fn reconnect(self: &Arc<Self>) -> Option<Arc<BaseConsumer<Callbacks>>> {
        self.released.wait_for(&mut self.state.lock(), POLL);
        self.connect().map_err(|error| tracing::error!(%error, "no consumer of Kafka")).ok()
    }

    fn connect(self: &Arc<Self>) -> KafkaResult<Arc<BaseConsumer<Callbacks>>> {
        let callbacks = Callbacks { member: Arc::downgrade(self) };
        let client: BaseConsumer<Callbacks> = self.bus.config.consumer().create_with_context(callbacks)?;
        client.subscribe(&[&self.bus.topic])?;
        Ok(Arc::new(client))
    }

    /// The client is used under its lock, so that the thread is the one that drops it.
    fn with_client(&self, use_it: impl FnOnce(&BaseConsumer<Callbacks>) -> KafkaResult<()>) {
        if let Some(client) = &*self.client.lock()
            && let Err(error) = use_it(client)
        {
            tracing::debug!(%error, "Kafka");
        }
    }

    fn list(&self, partitions: &[u32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&self.bus.topic, *partition as i32);
        }
        list
    }
}

/// What librdkafka calls from the thread's poll.
struct Callbacks {
    member: std::sync::Weak<Member>,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka");
    }
}

impl ConsumerContext for Callbacks {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let (Rebalance::Revoke(_), Some(member)) = (rebalance, self.member.upgrade()) {
            member.revoke();
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let (Rebalance::Assign(list), Some(member)) = (rebalance, self.member.upgrade()) {
            member.assign(list.elements().iter().map(|one| one.partition() as u32).collect());
        }
    }
}

const POLL: Duration = Duration::from_millis(100);
/// How long the worker may take to commit what it has in hand before its partitions go to others all the
/// same.
const FINISH: Duration = Duration::from_secs(3);
/// Messages that wait in a partition before it is paused, and how few there are when it goes on.
const PAUSE: usize = 4_096;
const RESUME: usize = 1_024;
const PAUSE_BYTES: usize = 16 * 1024 * 1024;
const RESUME_BYTES: usize = 4 * 1024 * 1024;
