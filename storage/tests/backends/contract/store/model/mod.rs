//! Random batches of commands against a model of the store that is simple enough to be seen to be right.

mod commands;
mod rules;
mod state;

use std::{collections::BTreeMap, sync::Arc};

use gogochat_proto::ids::{DeviceId, LogId, UserId};
use gogochat_storage::store::{Command, Done, Mark, Outcome, Range, Refusal, Store};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use uuid::Uuid;

use self::{commands::batches, state::Model};
use super::{NOW, body, tokens, walks::Device};

/// A store that was opened for a test.
pub(crate) trait Opened {
    fn store(&self) -> Arc<dyn Store>;
}

/// Whatever comes, in whatever batches, the store does what the model does.
pub(crate) async fn agrees_with_the_model<O: Opened>(open: impl AsyncFn() -> O) {
    let mut came_about = BTreeMap::new();
    for batches in samples(CASES) {
        let opened = open().await;
        let store = opened.store();
        let mut model = Model::default();
        prepare(&store).await;
        let mut devices: [Device; USERS] = std::array::from_fn(|_| Device::default());
        for (n, batch) in batches.into_iter().enumerate() {
            if n % 3 == 2 {
                store.raise_floor(1, i64::MAX).await.unwrap();
            }
            devices[n % USERS].walk(&*store, user(n % USERS), 3).await;
            for part in apart(batch, n % 2 == 1) {
                let outcomes = carry_out(&store, &part).await;
                assert_eq!(outcomes.len(), part.len());
                for (command, outcome) in part.into_iter().zip(outcomes) {
                    let expected = model.apply(&command);
                    *came_about.entry(label(&expected)).or_insert(0) += 1;
                    assert_eq!(seen(&outcome), expected, "{command:?}");
                }
            }
        }
        model.compare(&store).await;
        for (n, device) in devices.iter_mut().enumerate() {
            device.walk(&*store, user(n), 3).await;
            device.agrees(&*store, user(n)).await;
        }
    }
    // The cases are worth something only where everything came about, and often.
    for label in LABELS {
        assert!(came_about.get(label).is_some_and(|times| *times >= 5), "{label} was seldom seen: {came_about:?}");
    }
}

/// A batch in parts, each of marks alone or without any, in their order. Or as a whole: marks may be
/// committed in their log's order as well.
fn apart(batch: Vec<Command>, apart: bool) -> Vec<Vec<Command>> {
    if !apart {
        return vec![batch];
    }
    let is_mark = |command: &Command| matches!(command, Command::Mark { .. });
    let parts = batch.chunk_by(|one, next| is_mark(one) == is_mark(next));
    parts.map(<[Command]>::to_vec).collect()
}

/// Commits a batch, or moves marks where it is nothing else.
async fn carry_out(store: &Arc<dyn Store>, batch: &[Command]) -> Vec<Outcome> {
    let mark = |command: &Command| match *command {
        Command::Mark { log, user, delivered, read } => Some(Mark { log, user, delivered, read }),
        _ => None,
    };
    let marks: Option<Vec<_>> = batch.iter().map(mark).collect();
    match marks {
        Some(marks) => store.mark(&marks).await.unwrap().into_iter().map(Option::unwrap).collect(),
        None => store.commit(batch.to_vec()).await.unwrap(),
    }
}

/// What came about, in a word.
fn label(expected: &rules::Expected) -> &'static str {
    match expected {
        Ok((Done::Nothing, events, _)) if events.is_empty() => "left again",
        Ok((Done::Nothing, events, _)) if events.len() == 1 => "governed or blocked",
        Ok((Done::Nothing, ..)) => "left or removed",
        Ok((Done::Appended { duplicate: false, .. }, ..)) => "appended",
        Ok((Done::Appended { duplicate: true, .. }, ..)) => "appended again",
        Ok((Done::Marked { .. }, _, None)) => "marked nothing",
        Ok((Done::Marked { .. }, _, Some(_))) => "marked",
        Ok((Done::Requested, events, _)) if events.is_empty() => "requested again",
        Ok((Done::Requested, ..)) => "requested",
        Ok((Done::Accepted { .. }, events, _)) if events.is_empty() => "accepted again",
        Ok((Done::Accepted { .. }, events, _)) if events.len() == 2 => "contacts again",
        Ok((Done::Accepted { .. }, ..)) => "contacts",
        Ok((Done::Created { .. }, events, _)) if events.is_empty() => "created again",
        Ok((Done::Created { .. }, ..)) => "created",
        Ok((Done::Invited { .. } | Done::Joined { .. }, ..)) => "joined",
        Ok((Done::Removed { .. }, events, _)) if events.is_empty() => "removed nobody",
        Ok((Done::Removed { .. }, ..)) => "removed from a group",
        Ok((Done::Added { .. }, events, _)) if events.is_empty() => "added nobody",
        Ok((Done::Added { .. }, ..)) => "added",
        Err(Refusal::NotPermitted) => "not permitted",
        Err(Refusal::Muted { .. }) => "muted",
        Err(Refusal::Dismissed) => "dismissed",
        Err(Refusal::SlowMode { .. }) => "slow mode",
        Err(Refusal::NotAMember) => "not a member",
        Err(Refusal::NotAGroup) => "not a group",
        Err(Refusal::NotAContact(_)) => "not a contact",
        Err(Refusal::TooManyInvites) => "too many invites",
        Err(Refusal::Blocked) => "blocked",
        Err(Refusal::AlreadyContact) => "a contact already",
        Err(Refusal::NotFound) => "not found",
        Err(Refusal::TooManyMembers) => "too many members",
        Err(Refusal::ClientMsgIdReused) => "name used already",
        Err(Refusal::SeqFromFuture) => "from the future",
    }
}

/// All of these but "too many members" and "slow mode".
const LABELS: [&str; 29] = [
    "blocked",
    "governed or blocked",
    "removed nobody",
    "removed from a group",
    "not permitted",
    "muted",
    "dismissed",
    "left again",
    "left or removed",
    "appended",
    "appended again",
    "marked nothing",
    "marked",
    "requested again",
    "requested",
    "accepted again",
    "contacts again",
    "contacts",
    "created again",
    "created",
    "added nobody",
    "added",
    "not a member",
    "not a group",
    "not a contact",
    "a contact already",
    "not found",
    "name used already",
    "from the future",
];

/// How commands are split into batches changes nothing, neither what is answered nor what is there.
pub(crate) async fn splits_are_equal<O: Opened>(open: impl AsyncFn() -> O) {
    for batches in samples(CASES / 4) {
        let [split, whole, single] = [open().await, open().await, open().await];
        for opened in [&split, &whole, &single] {
            prepare(&opened.store()).await;
        }
        let mut outcomes = Vec::new();
        for batch in &batches {
            outcomes.extend(split.store().commit(batch.clone()).await.unwrap());
        }
        let commands = batches.concat();
        assert_eq!(whole.store().commit(commands.clone()).await.unwrap(), outcomes);
        for (command, outcome) in commands.into_iter().zip(&outcomes) {
            assert_eq!(single.store().commit(vec![command]).await.unwrap(), std::slice::from_ref(outcome));
        }
        for log in (0..LOGS).map(log).chain((0..USERS).map(|n| user(n).into())) {
            let kept = all(&split.store(), log).await;
            assert_eq!(all(&whole.store(), log).await, kept);
            assert_eq!(all(&single.store(), log).await, kept);
        }
    }
}

/// Random batches; a failure says which case it was, and each case is the same at every run.
fn samples(cases: u32) -> Vec<Vec<Vec<Command>>> {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let batches = batches();
    (0..cases).map(|_| batches.new_tree(&mut runner).unwrap().current()).collect()
}

/// The users of all cases.
async fn prepare(store: &Arc<dyn Store>) {
    for n in 0..USERS {
        let (mut new, mut device) = super::new_user(&format!("user{n}"));
        new.id = user(n);
        device.user = new.id;
        device.tokens = tokens();
        assert!(store.create_user(new, device).await.unwrap());
    }
}

async fn all(store: &Arc<dyn Store>, log: LogId) -> Vec<gogochat_storage::store::Event> {
    store.events(log, Range::After(0), 100_000, usize::MAX).await.unwrap()
}

/// What of an outcome the model foretells.
fn seen(outcome: &Outcome) -> rules::Expected {
    let committed = outcome.as_ref().map_err(|refusal| *refusal)?;
    let events =
        committed.events.iter().map(|event| (event.log, event.seq, rules::kind(&body(event)), event.subscription));
    let mark = committed.mark.map(|mark| (mark.log, mark.user, mark.delivered, mark.read));
    Ok((committed.done.clone(), events.collect(), mark))
}

fn user(n: usize) -> UserId {
    Uuid::from_u128(0xA000 + n as u128).into()
}

fn device(n: usize) -> DeviceId {
    Uuid::from_u128(0xD000 + n as u128).into()
}

fn log(n: usize) -> LogId {
    Uuid::from_u128(0xC000 + n as u128).into()
}

const USERS: usize = 4;
const LOGS: usize = 7;
const NAMES: usize = 40;
const CASES: u32 = 80;
