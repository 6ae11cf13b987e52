//! Error codes: one table from the stable code to gRPC status, HTTP status and whether a repeat can help.

use crate::v1;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $status:expr, $retry_ms:literal;)*) => {
        /// What went wrong, by its stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it means, in a sentence or two.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)* }
            }

            /// The gRPC status code.
            #[must_use]
            pub fn status(self) -> tonic::Code {
                match self { $(Self::$name => $status,)* }
            }

            /// When the same call may be repeated, milliseconds; 0: a repeat cannot help.
            #[must_use]
            pub fn retry_after_ms(self) -> i64 {
                match self { $(Self::$name => $retry_ms,)* }
            }
        }
    };
}

use tonic::Code;

codes! {
    /// A field of the request is not as it has to be: the violations say which.
    InvalidArgument = "invalid_argument", Code::InvalidArgument, 0;
    /// The body is not the method's request message.
    MalformedBody = "malformed_body", Code::InvalidArgument, 0;
    /// The body is over 64 KiB of protobuf, or 256 KiB of JSON.
    BodyTooLarge = "body_too_large", Code::InvalidArgument, 0;
    /// REST: the body is not said to be JSON, by `Content-Type: application/json`.
    UnsupportedMediaType = "unsupported_media_type", Code::InvalidArgument, 0;
    /// The text is over 16,384 bytes.
    TextTooLong = "text_too_long", Code::InvalidArgument, 0;
    /// There is no such method.
    UnknownMethod = "unknown_method", Code::Unimplemented, 0;
    /// Realtime: `key` is not the conversation_id of the request.
    KeyMismatch = "key_mismatch", Code::InvalidArgument, 0;
    /// No token was given.
    Unauthenticated = "unauthenticated", Code::Unauthenticated, 0;
    /// The token is malformed, unknown or was revoked: log in again.
    TokenInvalid = "token_invalid", Code::Unauthenticated, 0;
    /// The access token has expired: refresh it.
    TokenExpired = "token_expired", Code::Unauthenticated, 0;
    /// This refresh token was used before; the device has been signed out for safety.
    TokenReused = "token_reused", Code::Unauthenticated, 0;
    /// Name or password is wrong.
    WrongCredentials = "wrong_credentials", Code::Unauthenticated, 0;
    /// An administrator has disabled the account.
    AccountDisabled = "account_disabled", Code::PermissionDenied, 0;
    /// The password is a one-time one: log in with a new one beside it.
    PasswordChangeRequired = "password_change_required", Code::FailedPrecondition, 0;
    /// The password is right, and the account has a second factor: log in with a code of the authenticator, or a recovery code, beside it.
    SecondFactorRequired = "second_factor_required", Code::Unauthenticated, 0;
    /// The code of the second factor is wrong, was used before or has lapsed.
    SecondFactorWrong = "second_factor_wrong", Code::Unauthenticated, 0;
    /// The account has a second factor already: remove it first.
    SecondFactorOn = "second_factor_on", Code::FailedPrecondition, 0;
    /// No second factor was begun.
    SecondFactorOff = "second_factor_off", Code::FailedPrecondition, 0;
    /// Nobody can register here.
    RegistrationClosed = "registration_closed", Code::PermissionDenied, 0;
    /// Accounts are made by invitation, and the code is missing, unknown, used up or has lapsed.
    InvitationInvalid = "invitation_invalid", Code::PermissionDenied, 0;
    /// The caller may not do this.
    PermissionDenied = "permission_denied", Code::PermissionDenied, 0;
    /// The name belongs to somebody else.
    NameTaken = "name_taken", Code::AlreadyExists, 0;
    /// There is no such thing, or the caller may not see it.
    NotFound = "not_found", Code::NotFound, 0;
    /// There is no such conversation, or the caller is not in it.
    NotAMember = "not_a_member", Code::NotFound, 0;
    /// The conversation is not a group.
    NotAGroup = "not_a_group", Code::FailedPrecondition, 0;
    /// A group has at most 100 invites that are good: end some first.
    TooManyInvites = "too_many_invites", Code::FailedPrecondition, 0;
    /// The group was dismissed: members may read it, and leave it.
    GroupDismissed = "group_dismissed", Code::FailedPrecondition, 0;
    /// The caller was muted in this group, or all are but its owner and admins.
    Muted = "muted", Code::PermissionDenied, 0;
    /// The group lets a member write once in a while, and that is not over: its `slow_mode_ms` says how long.
    SlowMode = "slow_mode", Code::FailedPrecondition, 0;
    /// The other is not a contact (any more).
    NotAContact = "not_a_contact", Code::FailedPrecondition, 0;
    /// The caller blocks the other: end that first.
    Blocked = "blocked", Code::FailedPrecondition, 0;
    /// The other is a contact already.
    AlreadyContact = "already_contact", Code::AlreadyExists, 0;
    /// One cannot do this to oneself.
    Yourself = "yourself", Code::InvalidArgument, 0;
    /// A group has at most 10,000 members.
    TooManyMembers = "too_many_members", Code::FailedPrecondition, 0;
    /// This client_msg_id was committed with another request.
    ClientMsgIdReused = "client_msg_id_reused", Code::AlreadyExists, 0;
    /// An earlier send of this session to this conversation was refused: repeat that one first.
    OutOfOrder = "out_of_order", Code::Aborted, 50;
    /// A mark or page begins past the end of the log.
    SeqFromFuture = "seq_from_future", Code::OutOfRange, 0;
    /// The sync cursor is past the end of the own log: begin as a new device (`docs/protocol.md`, section 8).
    CursorFromFuture = "cursor_from_future", Code::OutOfRange, 0;
    /// Too many calls: wait.
    RateLimited = "rate_limited", Code::ResourceExhausted, 1_000;
    /// A queue is full: repeat a little later.
    Overloaded = "overloaded", Code::ResourceExhausted, 200;
    /// The disk of the server is full: it reads, and takes nothing.
    StorageFull = "storage_full", Code::ResourceExhausted, 10_000;
    /// A part of the server is not reachable: repeat a little later.
    Unavailable = "unavailable", Code::Unavailable, 500;
    /// The call took too long; whether it took effect is unknown: repeat it.
    DeadlineExceeded = "deadline_exceeded", Code::DeadlineExceeded, 500;
    /// A fault of the server; its log has the cause, under the error's `id`.
    Internal = "internal", Code::Internal, 0;
}

impl ErrorCode {
    /// The code with this stable name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.as_str() == name)
    }

    /// The error of this code that says `message`.
    #[must_use]
    pub fn with(self, message: impl Into<String>) -> v1::Error {
        v1::Error {
            status: self.status() as i32,
            code: self.as_str().to_owned(),
            message: message.into(),
            violations: Vec::new(),
            retry_after_ms: self.retry_after_ms(),
            id: String::new(),
        }
    }

    /// The HTTP status (google.rpc.Code's mapping, but 507 for a full disk, 413 for a body over the limit, 415 for one
    /// that is not JSON, and 404 for an unknown method).
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::StorageFull => 507,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::UnknownMethod => 404,
            _ => http_status(self.status()),
        }
    }
}

/// The HTTP status for a gRPC status, as google.rpc.Code documents it.
#[must_use]
pub fn http_status(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::Aborted | Code::AlreadyExists => 409,
        Code::ResourceExhausted => 429,
        Code::Cancelled => 499,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}

/// A field that is not as it has to be. `field` is the JSON name.
#[must_use]
pub fn violation(field: &str, description: impl Into<String>) -> v1::Error {
    let description = description.into();
    v1::Error {
        violations: vec![v1::FieldViolation { field: field.to_owned(), description: description.clone() }],
        ..ErrorCode::InvalidArgument.with(format!("{field}: {description}"))
    }
}

impl std::fmt::Display for v1::Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for v1::Error {}

impl v1::Error {
    /// The same, under a name that the server's log has too.
    #[must_use]
    pub fn named(self, id: impl Into<String>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// Whether the same call, unchanged, may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.retry_after_ms > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_name(code.as_str()), Some(*code));
        }
    }
}
