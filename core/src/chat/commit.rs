//! Commits a batch: in one transaction where it has room, otherwise in several. A command that
//! cannot be committed, or whose rows another transaction holds, does not keep the others from
//! their commit.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_proto::ids::LogId;
use gogochat_storage::{
    bus::Room,
    store::{Command, Logs, Outcome, Refusal, StoreError},
};

use crate::{fanout::Fanout, metrics::Metrics};

/// Commits batches.
pub(super) struct Committer {
    store: Arc<dyn Logs>,
    fanout: Arc<Fanout>,
    metrics: Arc<Metrics>,
    room: Room,
    /// Logs that others held for too long, and since when that is known: what needs them is asked about
    /// before it can hold a batch up.
    held: HashMap<LogId, Instant>,
}

type Outcomes = Vec<Result<Outcome, StoreError>>;

impl Committer {
    /// `room`: what a transaction may have.
    pub(super) fn new(store: Arc<dyn Logs>, fanout: Arc<Fanout>, metrics: Arc<Metrics>, room: Room) -> Self {
        Self { store, fanout, metrics, room, held: HashMap::new() }
    }

    /// The outcome of each command, or why it has none. What comes behind one that will be repeated, and has
    /// its order with it, has none either.
    pub(super) async fn commit(&mut self, commands: Vec<Command>) -> Outcomes {
        let (count, mut outcomes, mut refused) = (commands.len(), Vec::with_capacity(commands.len()), HashSet::new());
        let mut parts = parts(commands, self.room);
        while let Some(mut part) = parts.pop_front() {
            let homes: Vec<_> = part.iter().map(Command::home).collect();
            let of_part = self.part(&part, &refused).await;
            // The store had no room for what is left of it.
            let left = part.split_off(of_part.len().min(part.len()));
            if !left.is_empty() {
                parts.push_front(left);
            }
            refused
                .extend(homes.iter().zip(&of_part).filter(|(_, outcome)| is_contended(outcome)).map(|(log, _)| *log));
            let away = of_part.iter().find_map(|outcome| match outcome {
                Err(away @ (StoreError::Unavailable(_) | StoreError::Full)) => Some(away.clone()),
                _ => None,
            });
            outcomes.extend(of_part);
            if let Some(away) = away {
                outcomes.resize(count, Err(away));
                break;
            }
        }
        outcomes
    }

    /// The outcome of a slice, or of any command alone.
    pub(super) async fn alone(&mut self, command: Command) -> Result<Outcome, StoreError> {
        self.part(&[command], &HashSet::new()).await.pop().unwrap_or_else(|| Err(no_outcome()))
    }

    /// Why a command would be refused, which is to be cut into slices: what would be refused in any is
    /// refused before the first. Where the store cannot say, the slices decide.
    pub(super) async fn look(&self, whole: &Command) -> Option<Refusal> {
        self.store.foresee_here(whole).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "a command is cut into slices without a look");
            None
        })
    }

    /// A part that one transaction has room for: the outcomes of its first commands, if not of all. What needs
    /// one of the logs `refused` is not tried.
    async fn part(&mut self, commands: &[Command], refused: &HashSet<LogId>) -> Outcomes {
        self.held.retain(|_, since| since.elapsed() < REMEMBERED);
        let known = |command: &Command| self.held.contains_key(&command.home()) || refused.contains(&command.home());
        if commands.iter().any(known) {
            return self.without_held(commands, refused).await;
        }
        let alone = (commands.len() == 1).then(|| commands.first().map(Command::home)).flatten();
        match self.transaction(commands).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(error @ StoreError::Contended(_)) if let Some(home) = alone => {
                self.held.entry(home).or_insert_with(Instant::now);
                vec![Err(error)]
            }
            Err(StoreError::Contended(_)) => self.without_held(commands, refused).await,
            Err(StoreError::Failed(reason)) if alone.is_none() => self.one_by_one(commands, &reason).await,
            Err(error) => vec![Err(error); commands.len()],
        }
    }

    /// Commits those whose rows nobody else holds. The others are refused for now, and with them what comes
    /// behind them in their logs.
    async fn without_held(&mut self, commands: &[Command], refused: &HashSet<LogId>) -> Outcomes {
        let mut held = match self.store.contended(commands).await {
            Ok(held) if held.len() == commands.len() => held,
            Ok(_) => vec![false; commands.len()],
            Err(error) => return vec![Err(error); commands.len()],
        };
        let mut homes = refused.clone();
        for (held, command) in held.iter_mut().zip(commands) {
            *held |= homes.contains(&command.home());
            if *held {
                homes.insert(command.home());
            }
        }
        let now = Instant::now();
        for command in held.iter().zip(commands).filter_map(|(held, command)| held.then_some(command)) {
            self.held.entry(command.home()).or_insert(now);
        }
        let free = commands.iter().zip(&held).filter(|(_, held)| !**held).map(|(command, _)| command.clone());
        let mut done = self.together(&free.collect::<Vec<_>>()).await.into_iter();
        let contended = || Err(StoreError::Contended("another transaction has had its rows for too long".into()));
        let mut outcomes = Outcomes::with_capacity(held.len());
        for held in held {
            match if held { Some(contended()) } else { done.next() } {
                Some(outcome) => outcomes.push(outcome),
                None => break,
            }
        }
        outcomes
    }

    /// In one transaction, or one by one where one fails.
    async fn together(&mut self, commands: &[Command]) -> Outcomes {
        let count = commands.len();
        if count == 0 {
            return Vec::new();
        }
        match self.transaction(commands).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(StoreError::Failed(reason)) if count > 1 => self.one_by_one(commands, &reason).await,
            Err(error) => vec![Err(error); count],
        }
    }

    /// One of them cannot be committed: it must not take the others with it.
    async fn one_by_one(&mut self, commands: &[Command], reason: &str) -> Outcomes {
        let count = commands.len();
        tracing::error!(reason, count, "a batch failed; its commands go one by one");
        let mut outcomes = Outcomes::with_capacity(count);
        let mut refused = HashMap::new();
        for command in commands {
            let home = command.home();
            let outcome = match refused.get(&home) {
                Some(error) => Err(StoreError::clone(error)),
                None => self.transaction(std::slice::from_ref(command)).await,
            };
            let outcome = outcome.and_then(|one| one.into_iter().next().ok_or_else(no_outcome));
            if let Err(error @ StoreError::Contended(_)) = &outcome {
                refused.insert(home, error.clone());
            }
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

    /// The outcomes of all, or of the first ones: one at least.
    async fn transaction(&mut self, commands: &[Command]) -> Result<Vec<Outcome>, StoreError> {
        let count = commands.len();
        self.metrics.batch.record(count as f64);
        self.metrics.batch_rows.record(commands.iter().map(Command::rows).sum::<usize>() as f64);
        let began = Instant::now();
        let result = self.store.commit(commands.to_vec()).await.and_then(|outcomes| match outcomes.len() {
            0 => Err(no_outcome()),
            some if some <= count => Ok(outcomes),
            some => Err(StoreError::Failed(format!("{some} outcomes for {count} commands"))),
        });
        self.metrics.commit_seconds.record(began.elapsed());
        match &result {
            Ok(_) => self.metrics.commits.increment(1),
            Err(error) => {
                tracing::warn!(%error, count, "a batch was not committed");
                if matches!(error, StoreError::Unavailable(_)) {
                    self.fanout.progress.unanswered(Instant::now());
                }
                self.metrics.commit_failures.increment(1);
            }
        }
        result
    }
}

fn no_outcome() -> StoreError {
    StoreError::Failed("no outcome".into())
}

fn is_contended(outcome: &Result<Outcome, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Contended(_)))
}

/// Commands in parts that there is room for, in their order. One that is larger is a part of its own.
fn parts(commands: Vec<Command>, room: Room) -> VecDeque<Vec<Command>> {
    let (mut parts, mut part) = (VecDeque::new(), Vec::new());
    let (mut rows, mut bytes) = (0, 0);
    for command in commands {
        let full =
            part.len() >= room.commands || rows + command.rows() > room.rows || bytes + command.bytes() > room.bytes;
        if full && !part.is_empty() {
            parts.push_back(std::mem::take(&mut part));
            (rows, bytes) = (0, 0);
        }
        rows += command.rows();
        bytes += command.bytes();
        part.push(command);
    }
    if !part.is_empty() {
        parts.push_back(part);
    }
    parts
}

/// How long it is remembered that others held a log.
const REMEMBERED: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use gogochat_proto::ids::{ClientMsgId, DeviceId, UserId};
    use gogochat_storage::store::Origin;

    use super::*;

    fn origin() -> Origin {
        let (sender, device, client_msg_id) = (UserId::new_v7(), DeviceId::new_v7(), ClientMsgId::new_v7());
        Origin { sender, device, client_msg_id, request_hash: [0; 32], now: 0 }
    }

    fn say(bytes: usize) -> Command {
        Command::Append { log: LogId::new_v7(), origin: origin(), payload: vec![0; bytes].into() }
    }

    fn add(users: usize) -> Command {
        let users = (0..users).map(|_| UserId::new_v7()).collect();
        Command::AddMembers { log: LogId::new_v7(), origin: origin(), users }
    }

    #[test]
    fn parts_are_bounded_and_in_order() {
        let sizes = |commands: Vec<Command>, room| {
            let parts: Vec<_> = parts(commands.clone(), room).into();
            assert_eq!(parts.concat(), commands);
            parts.iter().map(Vec::len).collect::<Vec<_>>()
        };
        let says = |count: usize| (0..count).map(|_| say(10)).collect::<Vec<_>>();
        let rows = |rows| Room { rows, ..Room::of(1_000) };
        assert_eq!(sizes(says(10), rows(80)), [10]);
        assert_eq!(sizes(says(11), rows(80)), [10, 1]);
        assert_eq!(sizes(says(5), rows(1)), [1; 5]);
        assert_eq!(sizes(says(5), Room { bytes: 20, ..Room::of(1_000) }), [2, 2, 1]);
        assert_eq!(sizes(says(5), Room::of(2)), [2, 2, 1]);
        assert_eq!(sizes(vec![say(1), add(1_000), say(1), add(100), say(1)], rows(1_000)), [1, 1, 3]);
        assert_eq!(sizes(Vec::new(), rows(1)), [0; 0]);
    }
}
