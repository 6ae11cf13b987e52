//! Making users, and finding them.

use async_trait::async_trait;
use gogochat_proto::ids::{DeviceId, UserId};

use super::{By, NewDevice, NewUser, ProfileChange, StoreError, User};

/// Users.
#[async_trait]
pub trait Users: Send + Sync + 'static {
    /// Creates a user with a first device. `false`: the name is taken.
    async fn create_user(&self, user: NewUser, device: NewDevice) -> Result<bool, StoreError>;
    /// The user of this (lower-case) name.
    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError>;
    /// The users with these ids, in no order; unknown ids are left out.
    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError>;
    /// Users whose name begins with `prefix`, by name.
    async fn find_users(&self, prefix: &str, limit: u32) -> Result<Vec<User>, StoreError>;
    /// Users whose display name begins with `text` at one of its words, without regard to letter
    /// case and width. Each user once, ordered by the display name from that word on.
    async fn find_users_by_display_name(&self, text: &str, limit: u32) -> Result<Vec<User>, StoreError>;
    /// Changes a user's profile, and gives the user as changed. `None`: there is no such user.
    async fn change_profile(&self, user: UserId, change: ProfileChange) -> Result<Option<User>, StoreError>;
    /// Replaces the password hash if it is still `expected`, and signs out every device except
    /// `keep`. Gives the devices that were signed out. `None`: the hash was not `expected`.
    async fn change_password(
        &self,
        user: UserId,
        expected: &str,
        new: &str,
        keep: DeviceId,
        by: &By,
    ) -> Result<Option<Vec<DeviceId>>, StoreError>;
}
