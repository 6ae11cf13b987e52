//! What a batch of commands does: load the rows it may touch, decide command after command in memory,
//! write what changed.
//!
//! Loading and writing take a few statements each, however many commands there are. Deciding sees what
//! earlier commands of the batch did. All of it runs inside one transaction that keeps others from
//! changing the loaded rows.

mod append;
mod contact;
mod group;
mod keys;
mod load;
mod mark;
mod payload;
mod state;
mod write;

use sea_orm::ConnectionTrait;

use self::{keys::Keys, state::State};
use super::{Command, Outcome, StoreError, sql::Db};

/// Carries out a batch inside the transaction that `db` is in. Nothing is written when nothing changed.
pub(super) async fn commit<C: ConnectionTrait>(
    db: &Db<'_, C>,
    batch: Vec<Command>,
) -> Result<Vec<Outcome>, StoreError> {
    let mut state = load::load(db, Keys::of(&batch)).await?;
    let outcomes = batch.into_iter().map(|command| decide(&mut state, command)).collect();
    write::write(db, state).await?;
    Ok(outcomes)
}

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
        Command::CreateGroup { log, origin, title, members } => group::create(state, log, &origin, title, &members),
        Command::AddMembers { log, origin, users } => group::add(state, log, &origin, &users),
        Command::LeaveGroup { log, origin } => group::leave(state, log, &origin),
    }
}
