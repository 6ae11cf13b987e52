//! Commits a batch: in one transaction where it has room, otherwise in several. A command that
//! cannot be committed, or whose rows another transaction holds, does not keep the others from
//! their commit.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_proto::ids::LogId;
use gogochat_storage::{
    bus::Room,
    store::{Command, Committed, Done, Event, Logs, Outcome, StoreError},
};

use super::slices::Slices;
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
    /// Events of slices whose command was not finished.
    stray: Vec<Event>,
}

type Outcomes = Vec<Result<Outcome, StoreError>>;

impl Committer {
    /// `room`: what a transaction may have.
    pub(super) fn new(store: Arc<dyn Logs>, fanout: Arc<Fanout>, metrics: Arc<Metrics>, room: Room) -> Self {
        Self { store, fanout, metrics, room, held: HashMap::new(), stray: Vec::new() }
    }

    /// The outcome of each command, or why it has none. What comes behind one that will be repeated, and has
    /// its order with it, has none either.
    pub(super) async fn commit(&mut self, commands: Vec<Command>) -> Outcomes {
        let (count, mut outcomes, mut refused) = (commands.len(), Vec::with_capacity(commands.len()), HashSet::new());
        for part in parts(commands, self.room) {
            let homes: Vec<_> = part.iter().map(Command::home).collect();
            let of_part = match part.as_slice() {
                [wide]
                    if !homes.iter().any(|home| refused.contains(home))
                        && let Some(slices) = Slices::of(wide) =>
                {
                    vec![self.in_slices(wide, &slices).await]
                }
                _ => self.part(part, &refused).await,
            };
            let is_contended = |outcome: &Result<Outcome, _>| matches!(outcome, Err(StoreError::Contended(_)));
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

    /// What was committed of commands that have no outcome.
    pub(super) fn take_stray(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.stray)
    }

    /// A slice after the other. What would be refused in any is refused before the first.
    async fn in_slices(&mut self, whole: &Command, slices: &Slices) -> Result<Outcome, StoreError> {
        if let Some(refusal) = self.store.foresee(whole).await? {
            return Ok(Err(refusal));
        }
        let (mut done, mut all) = (0, Committed::default());
        for number in 0..slices.count() {
            let outcome = self.transaction(vec![slices.command(number, done)]).await;
            let outcome = outcome.and_then(|one| one.into_iter().next().ok_or_else(no_outcome));
            let committed = match outcome {
                Ok(Ok(committed)) => committed,
                other => {
                    self.stray.append(&mut all.events);
                    return other;
                }
            };
            if let Done::Added { added: of_slice, .. } | Done::Removed { removed: of_slice, .. } = committed.done {
                done += of_slice;
            }
            all.events.extend(committed.events);
            all.done = committed.done;
        }
        Ok(Ok(all))
    }

    /// A part that one transaction has room for. What needs one of the logs `refused` is not tried.
    async fn part(&mut self, commands: Vec<Command>, refused: &HashSet<LogId>) -> Outcomes {
        self.held.retain(|_, since| since.elapsed() < REMEMBERED);
        let known = |command: &Command| self.held.contains_key(&command.home()) || refused.contains(&command.home());
        if commands.iter().any(known) {
            return self.without_held(commands, refused).await;
        }
        if commands.len() <= 1 {
            return self.together(commands).await;
        }
        match self.transaction(commands.clone()).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(StoreError::Contended(_)) => self.without_held(commands, refused).await,
            Err(StoreError::Failed(reason)) => self.one_by_one(commands, &reason).await,
            Err(error) => vec![Err(error); commands.len()],
        }
    }

    /// Commits those whose rows nobody else holds. The others are refused for now, and with them what comes
    /// behind them in their logs.
    async fn without_held(&mut self, commands: Vec<Command>, refused: &HashSet<LogId>) -> Outcomes {
        let mut held = match self.store.contended(&commands).await {
            Ok(held) if held.len() == commands.len() => held,
            Ok(_) => vec![false; commands.len()],
            Err(error) => return vec![Err(error); commands.len()],
        };
        let mut homes = refused.clone();
        for (held, command) in held.iter_mut().zip(&commands) {
            *held |= homes.contains(&command.home());
            if *held {
                homes.insert(command.home());
            }
        }
        let now = Instant::now();
        for command in held.iter().zip(&commands).filter_map(|(held, command)| held.then_some(command)) {
            self.held.entry(command.home()).or_insert(now);
        }
        let mut free = commands.into_iter().zip(&held).filter_map(|(command, held)| (!held).then_some(command));
        let mut done = self.together(free.by_ref().collect()).await.into_iter();
        let contended = || Err(StoreError::Contended("another transaction has had its rows for too long".into()));
        let mut outcomes = Outcomes::with_capacity(held.len());
        for held in held {
            outcomes.push(if held { contended() } else { done.next().unwrap_or_else(contended) });
        }
        outcomes
    }

    /// In one transaction, or one by one where one fails.
    async fn together(&mut self, commands: Vec<Command>) -> Outcomes {
        let count = commands.len();
        if count == 0 {
            return Vec::new();
        }
        let single = (count > 1).then(|| commands.clone());
        match self.transaction(commands).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(StoreError::Failed(reason)) if let Some(commands) = single => self.one_by_one(commands, &reason).await,
            Err(error) => vec![Err(error); count],
        }
    }

    /// One of them cannot be committed: it must not take the others with it.
    async fn one_by_one(&mut self, commands: Vec<Command>, reason: &str) -> Outcomes {
        let count = commands.len();
        tracing::error!(reason, count, "a batch failed; its commands go one by one");
        let mut outcomes = Outcomes::with_capacity(count);
        for command in commands {
            let outcome = match self.transaction(vec![command]).await {
                Ok(one) => one.into_iter().next().ok_or_else(no_outcome),
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

    async fn transaction(&mut self, commands: Vec<Command>) -> Result<Vec<Outcome>, StoreError> {
        let count = commands.len();
        self.metrics.batch.record(count as f64);
        self.metrics.batch_rows.record(commands.iter().map(Command::rows).sum::<usize>() as f64);
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

/// Commands in parts that there is room for, in their order. One that is larger, or is cut into slices, is a
/// part of its own.
fn parts(commands: Vec<Command>, room: Room) -> Vec<Vec<Command>> {
    let (mut parts, mut part) = (Vec::new(), Vec::new());
    let (mut rows, mut bytes) = (0, 0);
    for command in commands {
        let full =
            part.len() >= room.commands || rows + command.rows() > room.rows || bytes + command.bytes() > room.bytes;
        let wide = Slices::of(&command).is_some();
        if (full || wide) && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            (rows, bytes) = (0, 0);
        }
        if wide {
            parts.push(vec![command]);
            continue;
        }
        rows += command.rows();
        bytes += command.bytes();
        part.push(command);
    }
    if !part.is_empty() {
        parts.push(part);
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
            let parts = parts(commands.clone(), room);
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
