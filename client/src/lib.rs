//! The Rust client of gogochat, in layers; take the one that fits:
//!
//! - [`Connection`]: frames over one WebTransport session or WebSocket. No task, no policy: what
//!   tests of a server need.
//! - [`Session`]: a signed-in connection with calls and events. It ends when its transport does.
//! - [`Client`]: what an application wants. It reconnects, resumes by cursor, fetches gaps, sends
//!   what waits in its outbox with the same id until it is acknowledged, and hands each event out
//!   once, in order.
//! - [`Rest`] and [`Account`]: register, log in, refresh.
//!
//! A [`Dialer`] holds what connections share (TLS settings, UDP sockets): make one, use it for all.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use gogochat_client::{Account, Client, Dialer, Options, Path, Rest, Target, Trust};
//!
//! let target: Target = "https://127.0.0.1:8443".parse()?;
//! // `gogochat dev` has a certificate that nobody signed; another server's is for [`Trust::System`].
//! let dialer = Dialer::new(Trust::AnyOnLoopback)?;
//! let rest = Arc::new(Rest::new(dialer.clone(), target.clone()));
//! let account = Account::log_in(rest, "ada", "correct horse", "laptop").await?;
//! let (client, mut updates) = Client::start(&dialer, Arc::new(account), Options::new(target, Path::Auto));
//! while let Some(update) = updates.recv().await {
//!     println!("{update:?}");
//! }
//! # Ok(()) }
//! ```

mod account;
mod client;
mod connection;
mod dialer;
mod error;
mod happy_eyeballs;
mod liveness;
mod rest;
mod session;
mod stream;
mod target;
mod tls;

pub use gogochat_proto as proto;

pub use account::Account;
pub use client::{Backoff, Client, Cursors, Options, Path, PostError, Update};
pub use connection::Connection;
pub use dialer::{Dialer, DialerOptions};
pub use error::{CallError, Closed, ConnectError, RestError};
pub use rest::Rest;
pub use session::{Session, Told};
pub use target::{InvalidTarget, Target, Transport};
pub use tls::Trust;
