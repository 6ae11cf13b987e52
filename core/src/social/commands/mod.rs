//! The ordered methods of the social service, one file each: all are in the caller's own log.

mod accept_contact;
mod block_person;
mod own_log;
mod remove_contact;
mod request_contact;
mod unblock_person;

pub(crate) use self::request_contact::RequestContact;
use self::{
    accept_contact::AcceptContact, block_person::BlockPerson, remove_contact::RemoveContact,
    unblock_person::UnblockPerson,
};
use crate::command::OrderedMethod;

/// Their rows.
pub(crate) const ORDERED: [OrderedMethod; 5] = [
    OrderedMethod::of::<RequestContact>(),
    OrderedMethod::of::<AcceptContact>(),
    OrderedMethod::of::<RemoveContact>(),
    OrderedMethod::of::<BlockPerson>(),
    OrderedMethod::of::<UnblockPerson>(),
];
