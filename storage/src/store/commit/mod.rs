//! What a batch of commands does: load the rows it may touch, decide command after command in
//! memory, write what changed.
//!
//! Loading and writing take a few statements each, however many commands there are. Deciding sees
//! what earlier commands of the batch did. All of it runs inside one transaction that keeps others
//! from changing the loaded rows.

mod append;
mod contact;
mod feed;
mod govern;
mod group;
mod invites;
mod join;
mod keys;
mod load;
mod mark;
mod member_row;
mod payload;
mod removal;
mod roles;
mod state;
mod write;

use gogochat_proto::ids::LogId;
use sea_orm::ConnectionTrait;

use self::{keys::Keys, state::State};
use super::{Command, Mark, Outcome, Refusal, StoreError, sql::Db};

/// Carries out a batch inside the transaction that `db` is in. Nothing is written when nothing changed.
/// Where it would move too many members' rows, what the first commands move is written, and the others have
/// no outcome.
pub(super) async fn commit<C: ConnectionTrait>(
    db: &Db<'_, C>,
    batch: Vec<Command>,
) -> Result<Vec<Outcome>, StoreError> {
    let mut state = load::load(db, Keys::of(&batch)).await?;
    let (mut outcomes, mut moved) = (Vec::with_capacity(batch.len()), 0);
    for command in batch {
        let home = command.home();
        let rows = feed::rows_to_move(&state, home);
        if moved > 0 && moved + rows > MOVED {
            break;
        }
        outcomes.push(decide(&mut state, command));
        moved += if state.touched.contains(&home) { rows } else { 0 };
    }
    let moves = feed::draw(db, &mut state).await?;
    write::write(db, state, moves).await?;
    Ok(outcomes)
}

/// Moves marks inside the transaction that `db` is in: see [`super::Marks::mark`].
pub(super) async fn marks<C: ConnectionTrait>(
    db: &Db<'_, C>,
    marks: &[Mark],
) -> Result<Vec<Option<Outcome>>, StoreError> {
    let (mut state, held) = load::load_marks(db, marks).await?;
    let decide = |Mark { log, user, delivered, read }: &Mark| {
        (!held.contains(&(*log, *user))).then(|| mark::mark(&mut state, *log, *user, *delivered, *read))
    };
    let outcomes = marks.iter().map(decide).collect();
    let moves = feed::draw(db, &mut state).await?;
    write::write_marks(db, state, moves).await?;
    Ok(outcomes)
}

/// Why a command would be refused as of now, if it would. What little decides most refusals is looked at
/// first.
pub(super) async fn foresee<C: ConnectionTrait>(
    db: &Db<'_, C>,
    command: &Command,
) -> Result<Option<Refusal>, StoreError> {
    let without_users = match command {
        Command::AddMembers { log, origin, .. } => {
            Some((log, origin, Command::AddMembers { log: *log, origin: *origin, users: Vec::new() }))
        }
        Command::RemoveMembers { log, origin, .. } => {
            Some((log, origin, Command::RemoveMembers { log: *log, origin: *origin, users: Vec::new() }))
        }
        _ => None,
    };
    if let Some((log, origin, alone)) = without_users {
        let state = load::look(db, Keys::of_decision(&alone)).await?;
        match state.sent_before(*log, origin) {
            Ok(None) => {}
            sent => return Ok(sent.err()),
        }
        if let Err(refusal) = group::live_group_of_member(&state, *log, origin.sender) {
            return Ok(Some(refusal));
        }
    }
    let mut state = load::look(db, Keys::of_decision(command)).await?;
    Ok(decide(&mut state, command.clone()).err())
}

/// Which commands of a batch need a log that another transaction holds.
pub(super) async fn contended<C: ConnectionTrait>(db: &Db<'_, C>, batch: &[Command]) -> Result<Vec<bool>, StoreError> {
    let held = load::held_by_others(db, &Keys::of(batch).logs).await?;
    let needs = |command| !Keys::of(std::slice::from_ref(command)).logs.is_disjoint(&held);
    Ok(batch.iter().map(needs).collect())
}

/// Brings into the feed what logs have that is not there, inside the transaction that `db` is in: of so many
/// of them as it moves members' rows.
pub(super) async fn feed<C: ConnectionTrait>(db: &Db<'_, C>, logs: &[LogId]) -> Result<(), StoreError> {
    let keys = Keys { logs: logs.iter().copied().collect(), ..Keys::default() };
    let mut state = load::load(db, keys).await?;
    let mut moved = 0;
    for log in logs {
        let rows = feed::rows_to_move(&state, *log);
        if moved > 0 && moved + rows > MOVED {
            break;
        }
        if state.unfed.contains(log) {
            moved += rows;
            state.change_log(*log);
            state.touched.insert(*log);
        }
    }
    let moves = feed::draw(db, &mut state).await?;
    write::write(db, state, moves).await
}

/// Members' rows that one transaction moves, where it is not one log that has more.
const MOVED: usize = 4_096;

/// Decides one command. Each decider refuses before it changes anything.
fn decide(state: &mut State, command: Command) -> Outcome {
    match command {
        Command::Append { log, origin, payload } => append::append(state, log, &origin, payload),
        Command::Mark { log, user, delivered, read } => mark::mark(state, log, user, delivered, read),
        Command::RequestContact { origin, to, note, conversation } => {
            contact::request(state, &origin, to, note, conversation)
        }
        Command::AcceptContact { origin, from, conversation } => contact::accept(state, &origin, from, conversation),
        Command::RemoveContact { origin, peer } => contact::remove(state, &origin, peer),
        Command::Block { origin, peer } => contact::block(state, &origin, peer),
        Command::Unblock { origin, peer } => contact::unblock(state, &origin, peer),
        Command::CreateGroup { log, origin, title, members } => group::create(state, log, &origin, title, &members),
        Command::AddMembers { log, origin, users } => group::add(state, log, &origin, &users, 0),
        Command::AddSlice { log, origin, users, slice } => group::add_slice(state, log, &origin, &users, slice),
        Command::RemoveMembers { log, origin, users } => removal::remove(state, log, &origin, &users, 0),
        Command::RemoveSlice { log, origin, users, slice } => removal::remove_slice(state, log, &origin, &users, slice),
        Command::Group { log, origin, act } => govern::act(state, log, &origin, act),
        Command::Join { origin, by } => join::join(state, &origin, by),
        Command::LeaveGroup { log, origin } => removal::leave(state, log, &origin),
    }
}
