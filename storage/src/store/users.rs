//! What is known of a user.

use gogochat_proto::ids::UserId;

use super::Millis;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id, also of the user's own log.
    pub id: UserId,
    /// The unique name, lower case.
    pub name: String,
    /// What others see.
    pub display_name: String,
    /// Argon2id, PHC string.
    pub password_hash: String,
    /// Since when.
    pub created_ms: Millis,
}

/// A user to be. Their own log begins empty (last_seq 0).
pub type NewUser = User;
