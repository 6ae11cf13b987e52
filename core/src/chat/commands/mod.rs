//! The ordered methods of the chat service, one file each.

mod add_members;
mod create_group;
mod fields;
mod leave_group;
mod mark;
mod send_message;

pub(crate) use self::mark::Mark;
use self::{add_members::AddMembers, create_group::CreateGroup, leave_group::LeaveGroup, send_message::SendMessage};
use crate::command::OrderedMethod;

/// Their rows.
pub(crate) const ORDERED: [OrderedMethod; 5] = [
    OrderedMethod::of::<SendMessage>(),
    OrderedMethod::of::<CreateGroup>(),
    OrderedMethod::of::<AddMembers>(),
    OrderedMethod::of::<LeaveGroup>(),
    OrderedMethod::of::<Mark>(),
];
