//! Attackers: clients that keep to the half of a protocol that costs the server, and not to the
//! half that costs them. Tests run each for a moment, and the load test for a minute.
//!
//! None checks anything by itself: each says what it saw, such as how long the server let it be.

pub mod flood;
pub mod http2;
pub mod quic;
pub mod sink;
pub mod tcp;
pub mod tls;
