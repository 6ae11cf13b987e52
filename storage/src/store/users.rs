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
    /// What they say of themselves; empty: nothing.
    pub signature: String,
    /// "2001-12-31"; empty: not given.
    pub birthday: String,
    /// Argon2id, PHC string.
    pub password_hash: String,
    /// Since when.
    pub created_ms: Millis,
    /// As the contract numbers it; 0: not given.
    pub gender: i64,
    /// Since when they are an administrator.
    pub administrator_ms: Option<Millis>,
    /// Since when they may not log in.
    pub disabled_ms: Option<Millis>,
    /// Until when the password is one that logs in once, and with a new one alone.
    pub one_time_until_ms: Option<Millis>,
}

impl User {
    /// With an empty profile, and no rights beyond those of all.
    #[must_use]
    pub fn new(id: UserId, name: String, display_name: String, password_hash: String, created_ms: Millis) -> Self {
        Self {
            id,
            name,
            display_name,
            signature: String::new(),
            birthday: String::new(),
            password_hash,
            created_ms,
            gender: 0,
            administrator_ms: None,
            disabled_ms: None,
            one_time_until_ms: None,
        }
    }
}

/// A change of what a user says of themselves. `None`: it stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// What others see.
    pub display_name: Option<String>,
    /// Empty: none any more.
    pub signature: Option<String>,
    /// Empty: none any more.
    pub birthday: Option<String>,
    /// 0: none any more.
    pub gender: Option<i64>,
}

/// A user to be. Their own log begins empty (last_seq 0).
pub type NewUser = User;
