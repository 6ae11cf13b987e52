//! The ordered methods of the chat service, one file each.

mod add_members;
mod create_group;
mod create_invite;
mod dismiss_group;
mod fields;
mod join_by_invite;
mod join_group;
mod leave_group;
mod mark;
mod mute_member;
mod remove_members;
mod revoke_invite;
mod send_message;
mod set_member_role;
mod transfer_group;
mod update_conversation;

use self::{
    add_members::AddMembers, create_group::CreateGroup, create_invite::CreateInvite, dismiss_group::DismissGroup,
    join_group::JoinGroup, leave_group::LeaveGroup, mute_member::MuteMember, remove_members::RemoveMembers,
    revoke_invite::RevokeInvite, send_message::SendMessage, set_member_role::SetMemberRole,
    transfer_group::TransferGroup, update_conversation::UpdateConversation,
};
pub(crate) use self::{fields::code, join_by_invite::JoinByInvite, mark::Mark};
use crate::command::OrderedMethod;

/// Their rows.
pub(crate) const ORDERED: [OrderedMethod; 15] = [
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
    OrderedMethod::of::<CreateInvite>(),
    OrderedMethod::of::<RevokeInvite>(),
    OrderedMethod::of::<JoinByInvite>(),
    OrderedMethod::of::<JoinGroup>(),
    OrderedMethod::of::<Mark>(),
];
