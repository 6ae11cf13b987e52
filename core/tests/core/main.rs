//! A whole core on a real store, as an edge and as a client meet it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

mod account;
mod administration;
mod again;
mod authorization;
mod chat;
mod drain;
mod fair;
mod faulty;
mod governing;
mod marks;
mod profile;
mod public;
mod replay;
mod rules;
mod second_factor;
mod session;
mod sign_out;
mod social;
mod strangers;
mod support;
mod sync;
mod trouble;
mod watched;
