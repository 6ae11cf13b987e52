//! The ordered methods of the social service, one file each: all are in the caller's own log.

mod accept_contact;
mod own_log;
mod remove_contact;
mod request_contact;

pub(crate) use self::request_contact::RequestContact;
use self::{accept_contact::AcceptContact, remove_contact::RemoveContact};
use crate::command::OrderedMethod;

/// Their rows.
pub(crate) const ORDERED: [OrderedMethod; 3] =
    [OrderedMethod::of::<RequestContact>(), OrderedMethod::of::<AcceptContact>(), OrderedMethod::of::<RemoveContact>()];
