//! The store in SQL, the same on every database that sea-orm reaches. What differs between them is
//! a [`Dialect`].

mod accounts;
mod administration;
mod audit;
mod catch_up;
mod contacts;
mod conversations;
mod counters;
mod counting;
pub(super) mod db;
mod devices;
mod events;
pub(super) mod feed;
mod followers;
mod invites;
pub(super) mod keyset;
pub(crate) mod migrate;
pub(in crate::store) mod name_words;
pub(in crate::store) mod order;
pub(super) mod owners;
pub(super) mod readers;
mod row;
pub(super) mod schema;
mod second_factors;
mod sign_outs;
mod store;
mod unread;
mod walk;

pub(super) use db::{Db, Dialect};
pub(super) use row::Row;
pub use store::SqlStore;
pub(super) use store::{Upkeep, Writers};
