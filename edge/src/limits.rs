//! The bounds of every state that a connection can be in: how long it may last, and how many bytes
//! it may hold at this edge, those of the libraries beneath included. Code that enforces a bound
//! takes it from here, and the tables of rows are built from the same constants: docs/limits.md
//! shows them.
//!
//! What is bounded by configuration stands with its default.

pub mod quic;
pub mod tcp;

use std::time::Duration;

/// One state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What listens: "QUIC".
    pub door: &'static str,
    /// What the client has done, or not done yet.
    pub state: &'static str,
    /// The longest that it lasts without what it waits for.
    pub deadline: Duration,
    /// The most bytes that the client can make the edge hold by it, for each of what `state` names.
    pub bytes: usize,
    /// What happens past the deadline or the bytes.
    pub past: &'static str,
}
