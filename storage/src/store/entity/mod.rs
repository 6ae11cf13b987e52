//! The tables, each as an entity of sea-orm. Its columns, key and references are defined here and
//! nowhere else.
//!
//! Ids are the 16 bytes of a UUID, times are milliseconds since 1970.

pub(super) mod account;
pub(super) mod audit;
pub(super) mod backup;
pub(super) mod backup_sum;
pub(super) mod block;
pub(super) mod contact;
pub(super) mod device;
pub(super) mod event;
pub(super) mod feed;
mod fixed;
pub(super) mod follower;
pub(super) mod history;
pub(super) mod installation;
pub(super) mod invitation;
pub(super) mod invite;
pub(super) mod log;
pub(super) mod member;
pub(super) mod move_progress;
pub(super) mod name_word;
pub(super) mod notice;
pub(super) mod recovery_code;
pub(super) mod schema_step;
pub(super) mod schema_version;
pub(super) mod second_factor;
pub(super) mod sent;
pub(super) mod signed_out;
pub(super) mod silent_event;
pub(super) mod spent_refresh;

pub(super) use fixed::{Fixed, FixedBytes};
