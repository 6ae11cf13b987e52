//! The store in SQL, the same on every database that sea-orm reaches. What differs between them is a [`Dialect`].

mod accounts;
mod contacts;
mod conversations;
pub(super) mod db;
mod devices;
mod events;
pub(crate) mod migrate;
mod row;
mod sign_outs;
mod state;
mod store;

pub(super) use db::{Db, Dialect};
pub(super) use row::{Row, SqlId};
pub(super) use state::{state, state_number};
pub use store::SqlStore;
pub(super) use store::Upkeep;
