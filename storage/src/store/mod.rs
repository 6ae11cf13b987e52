//! The store: the one place that holds the truth. What it has committed is on disk.
//!
//! Two kinds of writes. [`Store::commit`] takes everything that appends to a log or moves a mark, in batches: one transaction, one fsync,
//! and every decision (may they? was it sent before? which seq?) is taken inside it. Accounts and devices have methods of their own.

mod commit;
mod hold;
#[cfg(feature = "cluster")]
pub mod mysql;
mod sql;
pub mod sqlite;
pub mod transfer;

use async_trait::async_trait;
use bytes::Bytes;
use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use uuid::Uuid;

pub use self::{hold::Hold, sql::SqlStore};

/// SHA-256 of a token or of a request.
pub type Hash = [u8; 32];

/// Milliseconds since 1970.
pub type Millis = i64;

/// State that outlives every process.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Carries out a batch of commands in one durable transaction, in order; outcome `i` belongs to command `i`.
    /// A refused command changes nothing and does not disturb the others. A contact command that comes again is answered as the first time, also with a refusal.
    ///
    /// # Errors
    /// Nothing of the batch was committed, or (only with [`StoreError::Unavailable`]) it is unknown: repeat it.
    async fn commit(&self, batch: Vec<Command>) -> Result<Vec<Outcome>, StoreError>;

    /// Creates a user with a first device. `false`: the name is taken.
    async fn create_user(&self, user: NewUser, device: NewDevice) -> Result<bool, StoreError>;
    /// The user of this (lower-case) name.
    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError>;
    /// The users with these ids, in no order; unknown ids are left out.
    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError>;
    /// Users whose name begins with `prefix`, by name.
    async fn find_users(&self, prefix: &str, limit: u32) -> Result<Vec<User>, StoreError>;
    /// Replaces the password hash if it is still `expected`, and signs every device out but `keep`: those signed out. `None`: it was not `expected`.
    async fn change_password(
        &self,
        user: UserId,
        expected: &str,
        new: &str,
        keep: DeviceId,
        now: Millis,
    ) -> Result<Option<Vec<DeviceId>>, StoreError>;

    /// Adds a device to a user whose password hash is still `expected`; whether it was: a password may be changed while one that was given is checked.
    async fn create_device(&self, device: NewDevice, expected: &str) -> Result<bool, StoreError>;
    /// The device with this access token, revoked ones left out; whether the token has expired is the caller's to see.
    async fn device_by_access(&self, access: &Hash) -> Result<Option<Device>, StoreError>;
    /// The device with this id, revoked ones left out.
    async fn device(&self, device: DeviceId) -> Result<Option<Device>, StoreError>;
    /// What a session of a device begins with, as of one moment; `None` where [`Self::device`] says so. What is written before the own log's
    /// end shows in the memberships.
    async fn arrival(&self, key: DeviceKey) -> Result<Option<Arrival>, StoreError> {
        let device = match key {
            DeviceKey::Access(access) => self.device_by_access(&access).await?,
            DeviceKey::Id(id) => self.device(id).await?,
            DeviceKey::Both(id, access) => self.device_by_access(&access).await?.filter(|device| device.id == id),
        };
        let Some(device) = device else { return Ok(None) };
        // The end first: whoever joins after it reads of it in what follows it.
        let own_seq = self.last_seq(device.user.into()).await?.unwrap_or(0);
        let memberships = self.memberships(device.user).await?;
        Ok(Some(Arrival { device, own_seq, memberships }))
    }
    /// Exchanges a refresh token for new tokens, once. Inside `grace_ms` after an exchange the same old token may be exchanged again
    /// (its answer was lost on the way); after that it signs the device out.
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
    /// Devices that were signed out, by whichever way, after the sign-out of this number: the first ones, in the order of their commits. Each was noted in the
    /// transaction that signed it out, and whoever has seen one could see all before it. They are kept for longer than the device's access token would have lived.
    async fn sign_outs(&self, after: i64, limit: u32) -> Result<Vec<SignOut>, StoreError>;
    /// The number of the last sign-out; 0 before the first.
    async fn last_sign_out(&self) -> Result<i64, StoreError>;
    /// Notes that devices were connected at this time, or until then.
    async fn touch_devices(&self, seen: &[DeviceId], at: Millis) -> Result<(), StoreError>;

    /// Contacts of a user in all states, by person id, after `after`.
    async fn contacts(&self, user: UserId, after: Option<UserId>, limit: u32) -> Result<Vec<Contact>, StoreError>;
    /// Those of `others` who are accepted contacts of `user`.
    async fn accepted_contacts(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError>;

    /// last_seq of a log; `None`: there is no such log.
    async fn last_seq(&self, log: LogId) -> Result<Option<i64>, StoreError>;
    /// last_seq of many logs, in no order; those that do not exist are left out, one that is named twice comes once. One statement for each 256.
    async fn last_seqs(&self, logs: &[LogId]) -> Result<Vec<(LogId, i64)>, StoreError>;
    /// The conversations a user is in: for subscribing.
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>, StoreError>;
    /// What a user sees of their conversations, the most recently active first (last event's time, then id), after `after`.
    /// With `only`, just those of these ids.
    async fn conversations(
        &self,
        user: UserId,
        only: Option<&[LogId]>,
        after: Option<(Millis, LogId)>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError>;
    /// Members of a conversation by (joined_ms, user id), after `after`; both marks are 0 past `MAX_MEMBERS_WITH_MARKS`.
    async fn members(&self, log: LogId, after: Option<(Millis, UserId)>, limit: u32)
    -> Result<Vec<Member>, StoreError>;
    /// A user's membership in a conversation; `None` when they are not in it.
    async fn member(&self, log: LogId, user: UserId) -> Result<Option<Member>, StoreError>;
    /// Events of a log in ascending seq: at most `limit`, and at most `max_bytes` of payload (but at least one), nearest to the given end first.
    async fn events(&self, log: LogId, range: Range, limit: u32, max_bytes: usize) -> Result<Vec<Event>, StoreError>;

    /// Drawn when the store was made, and no other's: two cores of one cluster have to see the same.
    async fn installation(&self) -> Result<Uuid, StoreError>;

    /// Whether the store answers and can write; for readiness.
    async fn check(&self) -> Result<(), StoreError>;

    /// Finishes what has begun and closes; every later call is [`StoreError::Unavailable`].
    async fn close(&self);
}

/// Why the store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, locked or timed out: repeat later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The disk is full: reads work.
    #[error("the disk is full")]
    Full,
    /// A fault in the program or the data.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// A part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// seq > the given one, the oldest of them first.
    After(i64),
    /// at_least <= seq < before, the newest of them (given in ascending order all the same).
    Before {
        /// Below this; `i64::MAX` for the newest.
        before: i64,
        /// From here.
        at_least: i64,
    },
}

/// A change to a log or a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Appends an event by a member. In a direct conversation the two have to be contacts.
    Append {
        /// The conversation.
        log: LogId,
        /// Who, and for dedupe from where and under which name.
        origin: Origin,
        /// The event: an encoded `gogochat.v1.Event` with nothing but its body.
        payload: Bytes,
    },
    /// Moves a member's marks up; never down. Past `MAX_MEMBERS_WITH_MARKS` members only read marks are kept. Bounded by last_seq.
    Mark {
        /// The conversation.
        log: LogId,
        /// Whose marks.
        user: UserId,
        /// Everything up to here is on a device.
        delivered: i64,
        /// Everything up to here was seen; implies delivered.
        read: i64,
    },
    /// Asks `to` to be a contact of the sender; accepts when `to` has asked already. An event in both users' own logs.
    RequestContact {
        /// Who asks, from where, under which name.
        origin: Origin,
        /// Who is asked.
        to: UserId,
        /// Why.
        note: String,
        /// The direct conversation's id, if it comes to one and there is none yet.
        conversation: LogId,
    },
    /// Accepts a request of `from`: both are contacts and members of a direct conversation, the one they had or a new one.
    AcceptContact {
        /// Who accepts, from where, under which name.
        origin: Origin,
        /// Who had asked.
        from: UserId,
        /// The direct conversation's id, if there is none yet.
        conversation: LogId,
    },
    /// Ends a contact, or refuses or withdraws a request. An event in both users' own logs.
    RemoveContact {
        /// Who ends it, from where, under which name.
        origin: Origin,
        /// With whom.
        peer: UserId,
    },
    /// Makes a group of the sender and contacts of theirs: ConversationCreated in it, ConversationJoined in each member's own log.
    CreateGroup {
        /// The group's id, if this is no repeat.
        log: LogId,
        /// Who, from where, under which name.
        origin: Origin,
        /// The title, valid.
        title: String,
        /// The other members.
        members: Vec<UserId>,
    },
    /// Adds contacts of the sender to a group they are in; passes over members. MembersAdded in it, ConversationJoined in each new member's own log.
    AddMembers {
        /// The group.
        log: LogId,
        /// Who, from where, under which name.
        origin: Origin,
        /// Whom to add.
        users: Vec<UserId>,
    },
    /// The sender leaves a group: MemberLeft in it, ConversationLeft in their own log.
    LeaveGroup {
        /// The group.
        log: LogId,
        /// Who, from where, under which name.
        origin: Origin,
    },
}

/// Who sent a command. (log, sender, device, client_msg_id) is unique for ever; for CreateGroup and the contact commands the log is the sender's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The user.
    pub sender: UserId,
    /// The user's device.
    pub device: DeviceId,
    /// The device's name for the command; for contact commands, which devices give none, the server's.
    pub client_msg_id: ClientMsgId,
    /// Of the request: the same id with another hash is refused.
    pub request_hash: Hash,
    /// When the command reached the committer.
    pub now: Millis,
}

/// What became of a command.
pub type Outcome = Result<Committed, Refusal>;

/// A command that was carried out, now or before.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Committed {
    /// What the reply says.
    pub done: Done,
    /// What is new in the logs, in the order of commit: for fan-out. Empty for a repeat.
    pub events: Vec<Event>,
    /// The member's marks that moved: for fan-out.
    pub mark: Option<MovedMark>,
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Done {
    /// It moved nothing, or there is nothing to say.
    #[default]
    Nothing,
    /// `Append` stands here; `duplicate`: it had been committed before.
    Appended {
        /// The event's seq.
        seq: i64,
        /// When it was committed.
        time_ms: Millis,
        /// A repeat.
        duplicate: bool,
    },
    /// The member's marks stand here now.
    Marked {
        /// Delivered.
        delivered: i64,
        /// Read.
        read: i64,
    },
    /// The request waits for the other.
    Requested,
    /// The two are contacts, and this is their conversation.
    Accepted {
        /// The direct conversation.
        conversation: LogId,
    },
    /// The group, new or from the first commit of a repeat.
    Created {
        /// The group.
        conversation: LogId,
    },
    /// Members were added.
    Added {
        /// How many were new.
        added: usize,
        /// How many there are now.
        member_count: usize,
    },
}

/// Marks that moved; `last_seq` bounds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedMark {
    /// The conversation.
    pub log: LogId,
    /// Whose.
    pub user: UserId,
    /// Delivered.
    pub delivered: i64,
    /// Read.
    pub read: i64,
    /// Whether the other members are told (not in groups past `MAX_MEMBERS_WITH_MARKS`); the user's own other devices always are.
    pub shared: bool,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such conversation, or the sender is not in it.
    #[error("not a member")]
    NotAMember,
    /// It is not a group.
    #[error("not a group")]
    NotAGroup,
    /// The two, or the first of those to be added, are not contacts.
    #[error("not a contact: {0}")]
    NotAContact(UserId),
    /// They are contacts already.
    #[error("a contact already")]
    AlreadyContact,
    /// There is no such user, request or contact.
    #[error("not found")]
    NotFound,
    /// The group would grow past `MAX_MEMBERS`.
    #[error("too many members")]
    TooManyMembers,
    /// The client_msg_id was committed with another request.
    #[error("client_msg_id used for another request")]
    ClientMsgIdReused,
    /// The mark is past the end of the log.
    #[error("past the end of the log")]
    SeqFromFuture,
}

/// An event in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The log.
    pub log: LogId,
    /// Its place there, from 1, without gaps.
    pub seq: i64,
    /// When it was committed.
    pub time_ms: Millis,
    /// Who caused it.
    pub sender: UserId,
    /// From which device; `None` for what the system wrote into a user's own log.
    pub device: Option<DeviceId>,
    /// The device's name for the command.
    pub client_msg_id: Option<ClientMsgId>,
    /// An encoded `gogochat.v1.Event` with nothing but its body.
    pub payload: Bytes,
    /// In users' own logs, right after the commit: what that user's sessions now hear. Not kept: `None` on events that were read.
    pub subscription: Option<SubscriptionChange>,
}

/// A user's sessions begin or cease to hear a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionChange {
    /// From the event after `from_seq` on.
    Subscribe {
        /// The conversation.
        log: LogId,
        /// The last seq that they are not sent.
        from_seq: i64,
    },
    /// No more.
    Unsubscribe {
        /// The conversation.
        log: LogId,
    },
}

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

/// A contact as one side sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The other.
    pub peer: User,
    /// How the two stand.
    pub state: ContactState,
    /// The note on the request.
    pub note: String,
    /// Since when they stand so.
    pub since_ms: Millis,
    /// When accepted.
    pub conversation: Option<LogId>,
}

/// How two users stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactState {
    /// This side asked.
    Requested,
    /// The other side asked.
    Incoming,
    /// Contacts.
    Accepted,
}

/// A conversation a user is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The conversation.
    pub log: LogId,
    /// Its last_seq.
    pub last_seq: i64,
    /// For a direct conversation, the other.
    pub peer: Option<UserId>,
}

/// A conversation as one member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The id.
    pub log: LogId,
    /// The title of a group; `None` for a direct conversation.
    pub title: Option<String>,
    /// For a direct conversation, the other.
    pub peer: Option<User>,
    /// How many members.
    pub member_count: u32,
    /// The end of the log.
    pub last_seq: i64,
    /// The member's own marks.
    pub delivered: i64,
    /// The member's own marks.
    pub read: i64,
    /// The lowest among the others; 0 past `MAX_MEMBERS_WITH_MARKS`.
    pub others_delivered: i64,
    /// The lowest among the others; 0 past `MAX_MEMBERS_WITH_MARKS`.
    pub others_read: i64,
    /// Messages of others after `read`, counted up to 1,000. (System events do not count.)
    pub unread: u32,
    /// The first seq the member may read.
    pub from_seq: i64,
    /// False for a direct conversation of two who are not contacts any more.
    pub writable: bool,
    /// The last event.
    pub last_event: Option<Event>,
}

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: User,
    /// Since when.
    pub joined_ms: Millis,
    /// The first seq they may read.
    pub from_seq: i64,
    /// Delivered mark; 0 past `MAX_MEMBERS_WITH_MARKS`.
    pub delivered: i64,
    /// Read mark.
    pub read: i64,
}
