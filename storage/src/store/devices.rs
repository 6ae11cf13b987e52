//! Devices, their tokens, and those that were signed out.

use async_trait::async_trait;
use gogochat_proto::ids::{DeviceId, UserId};
use uuid::Uuid;

use super::{Hash, Membership, Millis, StoreError};

/// Devices, their tokens, and those that were signed out.
#[async_trait]
pub trait Devices: Send + Sync + 'static {
    /// Adds a device to a user. `false`: the password hash is not `expected` any more, is a
    /// one-time password's, or the user may not log in. That may change while a given password is
    /// checked.
    async fn create_device(&self, device: NewDevice, expected: &str) -> Result<bool, StoreError>;
    /// The device with this access token, unless it was revoked. The caller checks whether the
    /// token has expired.
    async fn device_by_access(&self, access: &Hash) -> Result<Option<Device>, StoreError>;
    /// The device with this id, revoked ones left out.
    async fn device(&self, device: DeviceId) -> Result<Option<Device>, StoreError>;
    /// What a session of a device begins with, as of one moment; `None` where [`Self::device`] is
    /// `None`. Every event of the own log up to `own_seq` has had its effect on the memberships.
    async fn arrival(&self, key: DeviceKey) -> Result<Option<Arrival>, StoreError>;
    /// Whether this refresh token is a device's, or was before it was exchanged. It only reads.
    async fn knows_refresh(&self, refresh: &Hash) -> Result<bool, StoreError>;
    /// Exchanges a refresh token for new tokens, once. Inside `grace_ms` after an exchange the same
    /// old token may be exchanged again (its answer was lost on the way); after that it signs the
    /// device out.
    async fn rotate_tokens(
        &self,
        refresh: &Hash,
        new: Tokens,
        now: Millis,
        grace_ms: Millis,
    ) -> Result<Rotation, StoreError>;
    /// The devices of a user that are signed in, the most recently seen first.
    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError>;
    /// Signs a device out. `false`: the user has no such device.
    async fn revoke_device(&self, user: UserId, device: DeviceId, now: Millis) -> Result<bool, StoreError>;
    /// Devices that were signed out, by whichever way, after the sign-out of this number: the first
    /// ones, in the order of their commits. Each was noted in the transaction that signed it out,
    /// and whoever has seen one could see all before it. They are kept for longer than the device's
    /// access token would have lived.
    async fn sign_outs(&self, after: i64, limit: u32) -> Result<Vec<SignOut>, StoreError>;
    /// The number of the last sign-out; 0 before the first.
    async fn last_sign_out(&self) -> Result<i64, StoreError>;
    /// Notes that devices were connected at this time, or until then.
    async fn touch_devices(&self, seen: &[DeviceId], at: Millis) -> Result<(), StoreError>;
}

/// The two tokens of a device, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// Of the access token.
    pub access: Hash,
    /// When it lapses.
    pub access_expires_ms: Millis,
    /// Of the refresh token.
    pub refresh: Hash,
    /// When it lapses.
    pub refresh_expires_ms: Millis,
}

/// A device to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// The id.
    pub id: DeviceId,
    /// Whose.
    pub user: UserId,
    /// What the list shows.
    pub name: String,
    /// Its tokens.
    pub tokens: Tokens,
    /// Since when.
    pub created_ms: Millis,
    /// From where; empty: not known.
    pub address: String,
}

/// A signed-in device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The id.
    pub id: DeviceId,
    /// Whose.
    pub user: UserId,
    /// What the list shows.
    pub name: String,
    /// Since when.
    pub created_ms: Millis,
    /// When it was last connected.
    pub last_seen_ms: Millis,
    /// When the access token lapses.
    pub access_expires_ms: Millis,
    /// From where it was signed in; empty: not known.
    pub address: String,
}

/// How a device is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKey {
    /// By the hash of its access token.
    Access(Hash),
    /// By its id.
    Id(DeviceId),
    /// By its id, and only while that is the hash of its access token.
    Both(DeviceId, Hash),
}

/// What a session begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The device.
    pub device: Device,
    /// last_seq of its user's own log.
    pub own_seq: i64,
    /// The conversations that the user is in.
    pub memberships: Vec<Membership>,
    /// Which history the store tells.
    pub epoch: Uuid,
}

/// What became of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// Exchanged: the device has the new tokens.
    Rotated(Device),
    /// It had been exchanged before: the device is revoked now.
    Reused {
        /// Whose.
        user: UserId,
        /// The revoked device.
        device: DeviceId,
    },
    /// Past its time.
    Expired,
    /// Unknown, or of a revoked device.
    Unknown,
}

/// A device that was signed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignOut {
    /// Its place among all sign-outs, from 1, without gaps.
    pub number: i64,
    /// Whose it was.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
}
