//! Ids: UUIDs (version 7 where we make them), 16 bytes in memory and between nodes, the hyphenated lower-case form towards clients.

use std::{fmt, str::FromStr};

use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id: version 7, so ids made later sort later.
            #[must_use]
            pub fn new_v7() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id with these 16 bytes; `None` when there are more or fewer.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                Uuid::from_slice(bytes).ok().map(Self)
            }

            /// The id as bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id as bytes that a node message can hold.
            #[must_use]
            pub fn to_bytes(self) -> bytes::Bytes {
                bytes::Bytes::copy_from_slice(self.0.as_bytes())
            }

            /// The UUID inside.
            #[must_use]
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Takes the hyphenated form alone: one id has one spelling (letters of either case).
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 36 {
                    return Err(InvalidId);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.as_hyphenated())
            }
        }
    };
}

id!(
    /// A user.
    UserId
);
id!(
    /// A signed-in device of a user.
    DeviceId
);
id!(
    /// A log of events: a conversation, or a user's own log, whose id is the user's.
    LogId
);
id!(
    /// What a device calls one of its commands, so that a repeat is recognised.
    ClientMsgId
);
id!(
    /// What the server calls a command on its way to the core that commits it, so that one which is given again is recognised.
    CommandId
);

impl From<CommandId> for ClientMsgId {
    /// The name of a command that its device gives none.
    fn from(id: CommandId) -> Self {
        Self(id.0)
    }
}

impl From<UserId> for LogId {
    /// A user's own log.
    fn from(user: UserId) -> Self {
        Self(user.0)
    }
}

/// The text is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID of the form 0190163d-8694-739b-aea5-966c26f8ad91")]
pub struct InvalidId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        let id = UserId::new_v7();
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "x", &id.uuid().simple().to_string(), &format!("{{{id}}}"), &format!("urn:uuid:{id}")] {
            assert_eq!(wrong.parse::<UserId>(), Err(InvalidId));
        }
    }
}
