//! What values are measured in.

/// SHA-256 of a token or of a request.
pub type Hash = [u8; 32];

/// What an authenticator and the server know of a second factor: as many bytes as SHA-1 makes, which is what
/// authenticators compute (RFC 4226 section 4).
pub type FactorSecret = [u8; 20];

/// Milliseconds since 1970.
pub type Millis = i64;
