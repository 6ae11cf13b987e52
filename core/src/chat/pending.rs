//! A command on its way to the store, with what is needed to answer it afterwards.

use bytes::Bytes;
use gogochat_proto::{
    ids::{ClientMsgId, LogId, UserId},
    v1,
};
use gogochat_storage::{
    bus::ReplyTo,
    store::{Command, Done},
};

use super::{marks::Marks, sender_order::Sender};
use crate::authorize::Caller;

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
    /// Nobody repeats marks that ask for no reply.
    Marks(Marks),
    /// Nothing.
    Plain,
}

impl Pending {
    /// Of a command of `caller`.
    pub(super) fn of(
        command: &Command,
        caller: Caller,
        reply_to: ReplyTo,
        reply: fn(&Done) -> Result<Bytes, v1::Error>,
    ) -> Self {
        let kind = kind(command, caller, &reply_to);
        Self { reply_to, log: log(command), others: others(command), kind, reply }
    }

    /// Of marks that waited, whose member asks for no reply.
    pub(super) fn of_late(marks: Marks) -> Self {
        Self { reply_to: NOBODY, log: None, others: Vec::new(), kind: Kind::Marks(marks), reply: |_| Ok(Bytes::new()) }
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
        Command::AddMembers { log, users, .. }
        | Command::AddSlice { log, users, .. }
        | Command::RemoveMembers { log, users, .. }
        | Command::RemoveSlice { log, users, .. } => users.iter().map(own).chain([*log]).collect(),
        Command::Group { log, .. } => vec![*log],
        Command::LeaveGroup { log, origin } => vec![*log, own(&origin.sender)],
    }
}

fn kind(command: &Command, caller: Caller, reply_to: &ReplyTo) -> Kind {
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
        | Command::LeaveGroup { log, origin } => in_order(*log, origin.client_msg_id),
        Command::CreateGroup { origin, .. } => in_order(origin.sender.into(), origin.client_msg_id),
        Command::Mark { log, delivered, read, .. } => {
            Kind::Marks(Marks { log: *log, caller, delivered: *delivered, read: *read })
        }
        Command::RequestContact { .. } | Command::AcceptContact { .. } | Command::RemoveContact { .. } => Kind::Plain,
    }
}

/// The return address of what nobody waits for.
const NOBODY: ReplyTo = ReplyTo { attachment: u64::MAX, session: 0, call_id: 0 };
