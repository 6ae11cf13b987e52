//! The contract that edge, core and clients share: messages, frames, ids, limits, error and close codes.
//!
//! The `.proto` files in this folder are the source; `src/gen` holds the code made from them, committed, and a test that it is current.

pub mod close;
pub mod error;
pub mod frame;
pub mod http;
pub mod ids;
pub mod json;
pub mod limits;
pub mod method;
pub mod openapi;
pub mod partition;
pub mod service;
pub mod text;
pub mod trace;

pub use generated::{node::v1 as node, v1};

/// The code made from the `.proto` files, in modules as its packages nest: `v1` is the public contract, `node::v1` what edge and core nodes say.
#[allow(missing_docs, clippy::all, clippy::indexing_slicing, unreachable_pub)]
mod generated {
    /// Of `text/characters.txt`.
    pub(crate) mod characters {
        include!("gen/characters.rs");
    }
    pub mod v1 {
        include!("gen/gogochat.v1.rs");
    }
    pub mod node {
        pub mod v1 {
            include!("gen/gogochat.node.v1.rs");
        }
    }
}
