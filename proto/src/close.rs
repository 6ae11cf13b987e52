//! Why a session ends: close codes, the same numbers on WebSocket (RFC 6455 section 7.4.2) and WebTransport, and in the Close frame.

/// A numbered reason for the end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The bytes are no frame, or the frame is not allowed at this point.
    ProtocolError = 4000,
    /// A frame was larger than 64 KiB.
    FrameTooLarge = 4001,
    /// No Hello within 5 s of opening, or a frame that was begun was not finished within 10 s.
    Timeout = 4002,
    /// The token of Hello is malformed, unknown or was revoked.
    TokenInvalid = 4003,
    /// The token has expired: refresh it and connect again.
    TokenExpired = 4004,
    /// The device was signed out, here or from another device.
    SignedOut = 4005,
    /// The client opened more streams than allowed.
    TooManyStreams = 4006,
    /// More calls were waiting for their reply than a session may have.
    TooManyCalls = 4007,
    /// Too many frames or sessions from this client or address.
    RateLimited = 4008,
    /// Nothing came for 45 s.
    Silent = 4100,
    /// The client read too slowly and its queue stayed full.
    SlowConsumer = 4101,
    /// The server is going away.
    Draining = 4102,
    /// The server cannot serve this session at the moment.
    Unavailable = 4103,
    /// The client said goodbye.
    Done = 4200,
}

impl CloseCode {
    /// Every code, in ascending order.
    pub const ALL: [Self; 14] = [
        Self::ProtocolError,
        Self::FrameTooLarge,
        Self::Timeout,
        Self::TokenInvalid,
        Self::TokenExpired,
        Self::SignedOut,
        Self::TooManyStreams,
        Self::TooManyCalls,
        Self::RateLimited,
        Self::Silent,
        Self::SlowConsumer,
        Self::Draining,
        Self::Unavailable,
        Self::Done,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The code with this number.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.code() == code)
    }

    /// A stable name.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ProtocolError => "protocol_error",
            Self::FrameTooLarge => "frame_too_large",
            Self::Timeout => "timeout",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::SignedOut => "signed_out",
            Self::TooManyStreams => "too_many_streams",
            Self::TooManyCalls => "too_many_calls",
            Self::RateLimited => "rate_limited",
            Self::Silent => "silent",
            Self::SlowConsumer => "slow_consumer",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::Done => "done",
        }
    }

    /// Whether the client should connect again with the token it has: from 4100 on, by number alone.
    #[must_use]
    pub fn reconnect(self) -> bool {
        (4100..4200).contains(&self.code())
    }

    /// The Close frame that ends a session for this reason.
    #[must_use]
    pub fn frame(self) -> crate::v1::ServerFrame {
        crate::v1::server_frame::Frame::Close(crate::v1::Close {
            code: u32::from(self.code()),
            reason: self.reason().to_owned(),
            reconnect: self.reconnect(),
        })
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascending_and_found_again() {
        assert!(CloseCode::ALL.is_sorted_by_key(|c| c.code()));
        for code in CloseCode::ALL {
            assert_eq!(CloseCode::from_code(code.code()), Some(code));
        }
        assert_eq!(CloseCode::from_code(1000), None);
    }
}
