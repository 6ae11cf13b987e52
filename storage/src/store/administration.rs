//! What administrators do, and the audit log.

use async_trait::async_trait;
use gogochat_proto::ids::{DeviceId, UserId};
use uuid::Uuid;

use super::{Hash, Millis, NewDevice, NewUser, StoreError, User};

/// Users as administrators see them. The transaction that changes something here also writes it to
/// the audit log, and looks whether the one who does it ([`By`]) still is an administrator:
/// [`StoreError::NotPermitted`] if not.
#[async_trait]
pub trait Administration: Send + Sync + 'static {
    /// Users whose name begins with `prefix`, by name, after `after`.
    async fn list_users(&self, prefix: &str, after: &str, limit: u32) -> Result<Vec<User>, StoreError>;
    /// Creates a user without a device, who has a one-time password. `false`: the name is taken.
    async fn create_user_alone(&self, user: NewUser, by: &By) -> Result<bool, StoreError>;
    /// Disables a user or enables them: the devices that were signed out, also of one who was disabled
    /// before. `None`: there is no such user.
    async fn set_disabled(
        &self,
        user: UserId,
        disabled: bool,
        reason: &str,
        by: &By,
    ) -> Result<Option<Vec<DeviceId>>, StoreError>;
    /// Makes a user an administrator, or not any more. `false`: there is no such user.
    async fn set_administrator(&self, user: UserId, administrator: bool, by: &By) -> Result<bool, StoreError>;
    /// Puts a one-time password, good until then, in place of the user's, and forgets their second
    /// factor: the devices that were signed out. `None`: there is no such user.
    async fn reset_access(
        &self,
        user: UserId,
        password_hash: &str,
        until_ms: Millis,
        by: &By,
    ) -> Result<Option<Vec<DeviceId>>, StoreError>;
    /// Signs all devices of a user out, or one of them: those that there were.
    async fn sign_out_user(&self, user: UserId, device: Option<DeviceId>, by: &By)
    -> Result<Vec<DeviceId>, StoreError>;
    /// Replaces a one-time password by the user's own, and adds the device with which they log in.
    /// `false`: the hash is not `expected` any more, it has lapsed, or the user was disabled.
    async fn redeem_one_time_password(&self, device: NewDevice, expected: &str, new: &str) -> Result<bool, StoreError>;
    /// Keeps an invitation.
    async fn create_invitation(&self, invitation: Invitation, by: &By) -> Result<(), StoreError>;
    /// Whether an invitation has a use left then.
    async fn knows_invitation(&self, code: &Hash, now: Millis) -> Result<bool, StoreError>;
    /// Creates a user with a first device by an invitation, which has one use less then.
    async fn create_invited_user(&self, user: NewUser, device: NewDevice, code: &Hash) -> Result<Invited, StoreError>;
    /// Entries of the audit log, the latest first, before `before`. With a filter by both a user
    /// and an act a page may have fewer entries than there are; it then says where the next one
    /// begins.
    async fn audit(&self, which: AuditFilter, before: Option<Uuid>, limit: u32) -> Result<AuditPage, StoreError>;
}

/// Who does something, from where, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// `None`: whoever has the server's command line.
    pub actor: Option<UserId>,
    /// Empty: not known.
    pub address: String,
    /// When.
    pub now: Millis,
}

/// A code with which accounts can be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invitation {
    /// The hash of the code.
    pub code: Hash,
    /// Until when.
    pub until_ms: Millis,
    /// How many accounts.
    pub uses: u32,
}

/// What came of a registration by invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invited {
    /// The user is there.
    Created,
    /// The name is another's. The code has not lost a use.
    NameTaken,
    /// The code is unknown, used up or has lapsed.
    Invalid,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A user registered, or was made by the command line.
    Registered,
    /// A user logged in by password.
    LoggedIn,
    /// A user changed their password, or took one in place of a one-time password.
    PasswordChanged,
    /// A user was disabled.
    Disabled,
    /// A user was enabled.
    Enabled,
    /// A user became an administrator.
    AdministratorMade,
    /// An administrator is one no more.
    AdministratorEnded,
    /// A user was given a one-time password.
    AccessReset,
    /// Devices were signed out by somebody else.
    SignedOut,
    /// An invitation was made.
    Invited,
    /// A user's log-ins ask for a second factor.
    SecondFactorOn,
    /// They ask for the password alone again.
    SecondFactorOff,
}

impl Act {
    /// All, as the contract numbers them from 1 on.
    pub const ALL: [Self; 12] = [
        Self::Registered,
        Self::LoggedIn,
        Self::PasswordChanged,
        Self::Disabled,
        Self::Enabled,
        Self::AdministratorMade,
        Self::AdministratorEnded,
        Self::AccessReset,
        Self::SignedOut,
        Self::Invited,
        Self::SecondFactorOn,
        Self::SecondFactorOff,
    ];

    /// Its number.
    #[must_use]
    pub fn number(self) -> i64 {
        self as i64 + 1
    }

    /// The act of a number.
    #[must_use]
    pub fn numbered(number: i64) -> Option<Self> {
        let place = usize::try_from(number.checked_sub(1)?).ok()?;
        Self::ALL.get(place).copied()
    }
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place: a UUID that grows with the time.
    pub id: Uuid,
    /// What.
    pub act: Act,
    /// Who, from where, when.
    pub by: By,
    /// Whom it concerns.
    pub subject: Option<UserId>,
    /// The reason that was given, or the device's name.
    pub detail: String,
}

/// Which entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Those that this user did, or that concern them.
    pub user: Option<UserId>,
    /// Those of this kind.
    pub act: Option<Act>,
}

/// A page of the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries, the latest first.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins; `None`: this is the last.
    pub next: Option<Uuid>,
}
