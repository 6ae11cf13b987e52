//! The connected clients.

mod peer;
mod registry;

pub(crate) use self::{
    peer::Peer,
    registry::{Delivery, Registry},
};
