//! What a key says.

use serde::{Deserialize, Serialize};

/// The value of a key. It is read by programs of other versions: fields are only added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// A core's address, an edge's URL, or the holder of a claim.
    #[serde(default)]
    pub(super) address: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) services: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) bus: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) partitions: Vec<u32>,
    /// Those that an edge is attached to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) cores: Vec<String>,
    /// The node goes away in order: nobody need wait whether it comes back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) leaving: bool,
    /// Of one process: tells a node's own key from that of another of its name.
    #[serde(default)]
    pub(super) token: String,
}

impl Entry {
    /// What a key's value says; nothing, when it was written by something else.
    pub(super) fn read(value: &[u8]) -> Self {
        serde_json::from_slice(value).unwrap_or_default()
    }
}

pub(super) const CORES: &str = "cores";
pub(super) const EDGES: &str = "edges";
