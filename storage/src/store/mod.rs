//! The store: the one place that holds the truth. What it has committed is on disk.
//!
//! Three kinds of writes. [`Logs::commit`] takes everything that appends to a log, in batches: one
//! transaction, one fsync, and every decision (may they? was it sent before? which seq?) is taken inside
//! it. [`Marks::mark`] moves marks, beside that. Accounts and devices have methods of their own.
//!
//! There is a trait for each part of it, and a service is given what it needs: [`AccountStore`],
//! [`SocialStore`], [`ChatStore`], or one part alone. A [`Store`] is all of them.

mod accounts;
mod administration;
pub mod backup;
mod command;
mod commit;
mod connections;
mod contacts;
mod conversations;
mod devices;
mod entity;
mod error;
mod event;
mod feed;
mod followers;
mod group;
mod hold;
mod logs;
mod marks;
#[cfg(feature = "cluster")]
pub mod mysql;
mod second_factors;
mod sql;
pub mod sqlite;
pub mod transfer;
mod units;
mod users;

use async_trait::async_trait;
use uuid::Uuid;

pub use self::{
    accounts::Users,
    administration::{Act, Administration, AuditEntry, AuditFilter, AuditPage, By, Invitation, Invited},
    command::{Command, Committed, Done, MovedMark, Origin, Outcome, Refusal, Slice},
    connections::Connections,
    contacts::{Block, Contact, ContactState, Contacts},
    conversations::{ALL, Conversation, Conversations, Member, Membership, Walk, Walked},
    devices::{Arrival, Device, DeviceKey, Devices, NewDevice, Rotation, SignOut, Tokens},
    error::StoreError,
    event::{Event, Range, SubscriptionChange},
    feed::{Feed, FeedCommit, FeedEntry},
    followers::{Begun, Counters, Followers, Following, Place},
    group::{GroupAct, GroupChange, GroupInvite, History, JoinBy, Joining, OpenGroup, Posting, Role, Settings},
    hold::Hold,
    logs::Logs,
    marks::{Lowest, LowestMarks, Mark, Marks},
    second_factors::{FactorProof, SecondFactor, SecondFactors},
    sql::SqlStore,
    units::{FactorSecret, Hash, Millis},
    users::{NewUser, ProfileChange, User},
};

/// What accounts are made of.
pub trait AccountStore: Users + Devices + SecondFactors + Administration {}

impl<T: Users + Devices + SecondFactors + Administration + ?Sized> AccountStore for T {}

/// Who there is, and who knows whom.
pub trait SocialStore: Users + Contacts {}

impl<T: Users + Contacts + ?Sized> SocialStore for T {}

/// Conversations and what is said in them.
pub trait ChatStore: Conversations + Logs + Marks {}

impl<T: Conversations + Logs + Marks + ?Sized> ChatStore for T {}

/// State that outlives every process.
#[async_trait]
pub trait Store: AccountStore + SocialStore + ChatStore + Feed + Followers {
    /// Drawn when the store was made, and no other's: two cores of one cluster have to see the
    /// same.
    async fn installation(&self) -> Result<Uuid, StoreError>;

    /// Which history the store tells. Drawn when the store was made, kept by a move. When it is
    /// another one than clients know, what they have is of a history that is gone.
    async fn epoch(&self) -> Result<Uuid, StoreError>;

    /// Draws another epoch, after a backup was restored.
    async fn renew_epoch(&self) -> Result<Uuid, StoreError>;

    /// Whether the store answers and can write; for readiness.
    async fn check(&self) -> Result<(), StoreError>;

    /// Finishes what has begun and closes; every later call is [`StoreError::Unavailable`].
    async fn close(&self);
}
