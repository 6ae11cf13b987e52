//! A whole core on a real store, as an edge and as a client meet it.

mod account;
mod chat;
mod session;
mod support;
