//! Why a header is not believed.

use std::io;

/// No header that could be believed.
#[derive(Debug, thiserror::Error)]
pub(in crate::listen) enum HeaderError {
    /// Something else began.
    #[error("the gateway sends no PROXY protocol header")]
    Missing,
    /// It began well.
    #[error("the gateway's PROXY protocol header is malformed")]
    Malformed,
    /// Longer than a line may be, or than [`super::parse::MAX_HEADER`].
    #[error("the gateway's PROXY protocol header is too long")]
    TooLong,
    /// It tells of UDP or of a Unix socket.
    #[error("the gateway's PROXY protocol header is not of a TCP connection")]
    NotTcp,
    /// The connection ended within it.
    #[error("the connection ended before the gateway's PROXY protocol header was whole")]
    CutOff(#[source] io::Error),
    /// It was not whole within 5 s.
    #[error("the gateway's PROXY protocol header did not come in time")]
    Late,
}

impl HeaderError {
    /// For metrics.
    pub(in crate::listen) fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "proxy header missing",
            Self::Malformed => "proxy header malformed",
            Self::TooLong => "proxy header too long",
            Self::NotTcp => "proxy header not of TCP",
            Self::CutOff(_) => "proxy header cut off",
            Self::Late => "proxy header late",
        }
    }
}
