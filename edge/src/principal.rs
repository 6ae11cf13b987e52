//! Who a session speaks for.

use gogochat_proto::{
    ids::{DeviceId, UserId},
    node,
};

/// A user, at one of their devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Principal {
    /// The user.
    pub(crate) user: UserId,
    /// The device.
    pub(crate) device: DeviceId,
}

impl Principal {
    /// As a node says it; `None` where it names nobody.
    pub(crate) fn from_node(principal: &node::Principal) -> Option<Self> {
        Some(Self {
            user: UserId::from_slice(&principal.user_id)?,
            device: DeviceId::from_slice(&principal.device_id)?,
        })
    }

    /// As nodes say it to each other.
    pub(crate) fn to_node(self) -> node::Principal {
        node::Principal { user_id: self.user.to_bytes(), device_id: self.device.to_bytes() }
    }
}
