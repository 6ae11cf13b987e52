//! A command on its way to the store, with what is needed to answer it afterwards.

use bytes::Bytes;
use gogochat_proto::{
    ids::{ClientMsgId, LogId, UserId},
    v1,
};
use gogochat_storage::{
    bus::ReplyTo,
    store::{Command, Done, JoinBy},
};

use super::sender_order::Sender;

/// How a command's answer is made, and whom its events concern.
pub(super) struct Pending {
    pub(super) reply_to: ReplyTo,
    /// The conversation that a message stands in.
    pub(super) log: Option<LogId>,
    /// The other logs that it writes to.
    pub(super) others: Vec<LogId>,
    pub(super) kind: Kind,
    pub(super) reply: fn(&Done) -> Result<Bytes, v1::Error>,
}

/// What has to be remembered of a command in case the store does not take it.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Later ones of its sender wait for it.
    InOrder(Sender, ClientMsgId),
    /// Nothing.
    Plain,
}

impl Pending {
    /// Of a command.
    pub(super) fn of(command: &Command, reply_to: ReplyTo, reply: fn(&Done) -> Result<Bytes, v1::Error>) -> Self {
        let kind = kind(command, &reply_to);
        Self { reply_to, log: log(command), others: others(command), kind, reply }
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
        | Command::RemoveContact { origin, peer: other }
        | Command::Block { origin, peer: other }
        | Command::Unblock { origin, peer: other } => vec![own(&origin.sender), own(other)],
        Command::CreateGroup { origin, members, .. } => members.iter().chain([&origin.sender]).map(own).collect(),
        Command::AddMembers { log, users, .. }
        | Command::AddSlice { log, users, .. }
        | Command::RemoveMembers { log, users, .. }
        | Command::RemoveSlice { log, users, .. } => users.iter().map(own).chain([*log]).collect(),
        Command::Group { log, .. } => vec![*log],
        // Which group a code leads to is known by the store alone.
        Command::Join { origin, by } => match by {
            JoinBy::Invite(_) => vec![own(&origin.sender)],
            JoinBy::Oneself(log) => vec![*log, own(&origin.sender)],
        },
        Command::LeaveGroup { log, origin } => vec![*log, own(&origin.sender)],
    }
}

fn kind(command: &Command, reply_to: &ReplyTo) -> Kind {
    // Calls by REST and gRPC come one by one: they have no order.
    let in_order = |log, id| match reply_to.attachment {
        0 => Kind::Plain,
        attachment => Kind::InOrder(Sender { attachment, session: reply_to.session, log }, id),
    };
    match command {
        Command::Append { log, origin, .. }
        | Command::AddMembers { log, origin, .. }
        | Command::AddSlice { log, origin, .. }
        | Command::RemoveMembers { log, origin, .. }
        | Command::RemoveSlice { log, origin, .. }
        | Command::Group { log, origin, .. }
        | Command::Join { origin, by: JoinBy::Oneself(log) }
        | Command::LeaveGroup { log, origin } => in_order(*log, origin.client_msg_id),
        Command::CreateGroup { origin, .. } | Command::Join { origin, by: JoinBy::Invite(_) } => {
            in_order(origin.sender.into(), origin.client_msg_id)
        }
        Command::Mark { .. }
        | Command::RequestContact { .. }
        | Command::AcceptContact { .. }
        | Command::RemoveContact { .. }
        | Command::Block { .. }
        | Command::Unblock { .. } => Kind::Plain,
    }
}
