//! The wall clock: for display, expiry and rates. It orders nothing.

pub(crate) use gogochat_storage::clock::now_ms;
