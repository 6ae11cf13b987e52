//! Why a session ends: close codes, the same numbers on WebSocket (RFC 6455 section 7.4.2) and WebTransport, and in the Close frame.

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $reason:literal;)*) => {
        /// A numbered reason for the end of a session.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum CloseCode {
            $($(#[doc = $doc])+ $name = $code,)*
        }

        impl CloseCode {
            /// Every code, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A stable name.
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)* }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

codes! {
    /// The bytes are no frame, or the frame is not allowed at this point.
    ProtocolError = 4000, "protocol_error";
    /// A frame was larger than 64 KiB, in JSON than 256 KiB, or a binary WebSocket message than 65,539 bytes.
    FrameTooLarge = 4001, "frame_too_large";
    /// No Hello within 5 s of opening, or a frame that was begun was not finished within 10 s.
    Timeout = 4002, "timeout";
    /// The token of Hello is malformed, unknown or was revoked.
    TokenInvalid = 4003, "token_invalid";
    /// The token has expired: refresh it and connect again.
    TokenExpired = 4004, "token_expired";
    /// The device was signed out, here or from another device.
    SignedOut = 4005, "signed_out";
    /// The client opened more streams than allowed.
    TooManyStreams = 4006, "too_many_streams";
    /// More calls were waiting for their reply than a session may have.
    TooManyCalls = 4007, "too_many_calls";
    /// Too many sessions of this user, or a Hello before the one before it was answered.
    RateLimited = 4008, "rate_limited";
    /// Nothing came for 45 s.
    Silent = 4100, "silent";
    /// The client read too slowly and its queue stayed full.
    SlowConsumer = 4101, "slow_consumer";
    /// The server is going away.
    Draining = 4102, "draining";
    /// The server cannot serve this session at the moment.
    Unavailable = 4103, "unavailable";
    /// Too many sessions are being opened at this edge. Connect again, not before `retry_after_ms`.
    Overloaded = 4104, "overloaded";
    /// The client said goodbye.
    Done = 4200, "done";
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The code with this number.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.code() == code)
    }

    /// Whether the client should connect again with the token it has: from 4100 on, by number alone.
    #[must_use]
    pub fn reconnect(self) -> bool {
        (4100..4200).contains(&self.code())
    }

    /// Before that, connecting again is of no use, in ms; 0: at any time.
    #[must_use]
    pub fn retry_after_ms(self) -> i32 {
        if self == Self::Overloaded { 2_000 } else { 0 }
    }

    /// The Close frame that ends a session for this reason.
    #[must_use]
    pub fn frame(self) -> crate::v1::ServerFrame {
        crate::v1::server_frame::Frame::Close(crate::v1::Close {
            code: u32::from(self.code()),
            reason: self.reason().to_owned(),
            reconnect: self.reconnect(),
            retry_after_ms: self.retry_after_ms(),
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
            assert_eq!(CloseCode::from_code(code.code()), Some(*code));
        }
        assert_eq!(CloseCode::from_code(1000), None);
    }
}
