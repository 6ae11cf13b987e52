//! The ordered methods of the chat service, one file each.

mod add_members;
mod create_group;
mod dismiss_group;
mod fields;
mod leave_group;
mod mark;
mod mute_member;
mod remove_members;
mod send_message;
mod set_member_role;
mod transfer_group;
mod update_conversation;

pub(crate) use self::mark::Mark;
use self::{
    add_members::AddMembers, create_group::CreateGroup, dismiss_group::DismissGroup, leave_group::LeaveGroup,
    mute_member::MuteMember, remove_members::RemoveMembers, send_message::SendMessage, set_member_role::SetMemberRole,
    transfer_group::TransferGroup, update_conversation::UpdateConversation,
};
use crate::command::OrderedMethod;

/// Their rows.
pub(crate) const ORDERED: [OrderedMethod; 11] = [
    OrderedMethod::of::<SendMessage>(),
    OrderedMethod::of::<CreateGroup>(),
    OrderedMethod::of::<AddMembers>(),
    OrderedMethod::of::<LeaveGroup>(),
    OrderedMethod::of::<UpdateConversation>(),
    OrderedMethod::of::<RemoveMembers>(),
    OrderedMethod::of::<SetMemberRole>(),
    OrderedMethod::of::<TransferGroup>(),
    OrderedMethod::of::<MuteMember>(),
    OrderedMethod::of::<DismissGroup>(),
    OrderedMethod::of::<Mark>(),
];
