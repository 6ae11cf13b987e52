//! What accounts and administration share: the author of an act, and how devices are listed.

use std::net::IpAddr;

use gogochat_proto::{ids::DeviceId, v1};
use gogochat_storage::store::{By, Device};

use crate::{authorize::Caller, clock::now_ms};

/// Who does something now, by a call.
pub(crate) fn by(caller: Caller, address: Option<IpAddr>) -> By {
    By { actor: Some(caller.user), address: self::address(address), now: now_ms() }
}

/// An address as it is kept; empty where nobody knows it.
pub(super) fn address(address: Option<IpAddr>) -> String {
    address.map(|address| address.to_canonical().to_string()).unwrap_or_default()
}

/// A device in a list, asked for from `current`.
pub(super) fn device(device: Device, current: DeviceId) -> v1::Device {
    v1::Device {
        id: device.id.to_string(),
        current: device.id == current,
        name: device.name,
        created_ms: device.created_ms,
        last_seen_ms: device.last_seen_ms,
        address: device.address,
    }
}
