//! What values are measured in.

/// SHA-256 of a token or of a request.
pub type Hash = [u8; 32];

/// Milliseconds since 1970.
pub type Millis = i64;
