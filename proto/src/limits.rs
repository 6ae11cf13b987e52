//! Limits of the contract. Each has a test at the limit and past it; `docs/protocol.md` lists them for clients.

use std::{ops::RangeInclusive, time::Duration};

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $value:expr;)*) => {
        $($(#[doc = $doc])+ pub const $name: $kind = $value;)*

        /// Every limit, for documents.
        #[must_use]
        pub fn table() -> Vec<Limit> {
            vec![$(Limit { name: stringify!($name), value: $name.show(), meaning: concat!($($doc),+).trim_ascii() },)*]
        }
    };
}

limits! {
    /// A frame's encoded size in bytes, without its length prefix.
    MAX_FRAME: usize = 64 * 1024;
    /// A message's text in bytes of UTF-8.
    MAX_TEXT: usize = 16 * 1024;
    /// A call's body as protobuf, in bytes.
    MAX_BODY: usize = 64 * 1024;
    /// A body of REST, or a frame of `gogochat.v1.json`, as JSON, in bytes. Its protobuf may have MAX_BODY, or MAX_FRAME.
    MAX_JSON: usize = 256 * 1024;
    /// Members of a group.
    MAX_MEMBERS: usize = 10_000;
    /// User ids in one CreateGroup, AddMembers or RemoveMembers.
    MAX_MEMBERS_PER_CALL: usize = 1_000;
    /// Up to so many members a group keeps delivered marks and tells members each other's marks.
    MAX_MEMBERS_WITH_MARKS: usize = 200;
    /// Events on one page of a log.
    MAX_PAGE: i32 = 500;
    /// Bytes of events on one page of a log, so that its reply fits a frame.
    MAX_PAGE_BYTES: usize = 48 * 1024;
    /// Known heads in one Sync.
    MAX_KNOWN: usize = 1_000;
    /// Marks in one Marks frame.
    MAX_MARKS: usize = 1_000;
    /// Calls of one session that wait for their reply.
    MAX_CALLS_IN_FLIGHT: usize = 256;
    /// Calls of one user that wait for their reply, over all sessions at one edge.
    MAX_CALLS_OF_USER: usize = 512;
    /// Frames of a session in a second, calls apart that are sent on. Five times as many at once.
    FRAMES_A_SECOND: usize = 200;
    /// The same, over all sessions of a user at one edge.
    FRAMES_A_SECOND_OF_USER: usize = 1_000;
    /// Further streams for calls that a WebTransport session may have open at once.
    MAX_CALL_STREAMS: usize = 12;
    /// Shortest and longest user name, in characters.
    NAME: RangeInclusive<usize> = 3..=32;
    /// Shortest and longest password, in characters.
    PASSWORD: RangeInclusive<usize> = 8..=128;
    /// A display name, device name or group title, in characters.
    MAX_TITLE: usize = 64;
    /// What a user says of themselves, in characters.
    MAX_SIGNATURE: usize = 140;
    /// A note on a contact request, in characters.
    MAX_NOTE: usize = 200;
    /// Invites of a group that are good.
    MAX_INVITES: usize = 100;
    /// The notice of a group, in characters.
    MAX_NOTICE: usize = 2_000;
    /// The longest time that a group's slow mode asks of a member between two messages.
    MAX_SLOW_MODE: Duration = Duration::from_secs(3_600);
    /// Combining marks in a row in a name or title.
    MAX_COMBINING: usize = 4;
    /// From opening a transport to Hello.
    HELLO_TIMEOUT: Duration = Duration::from_secs(5);
    /// From the first byte of a frame to its last.
    FRAME_TIMEOUT: Duration = Duration::from_secs(10);
    /// How often a side that has nothing to send pings.
    HEARTBEAT: Duration = Duration::from_secs(15);
    /// A session from which nothing came for this long is dead.
    SILENCE: Duration = Duration::from_secs(45);
    /// The least time between two upstream batches of one session's marks.
    MARKS_INTERVAL: Duration = Duration::from_secs(1);
    /// Typing lapses after this unless repeated.
    TYPING_TTL: Duration = Duration::from_secs(6);
    /// The least time between two frames that are passed on and say the same of one user's typing.
    TYPING_INTERVAL: Duration = Duration::from_secs(2);
}

/// A limit as documents show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The name of the constant.
    pub name: &'static str,
    /// "65,536", "3 to 32", "5 s".
    pub value: String,
    /// What is limited.
    pub meaning: &'static str,
}

trait Show {
    fn show(&self) -> String;
}

impl Show for usize {
    fn show(&self) -> String {
        let digits = self.to_string();
        let mut out = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        out
    }
}

impl Show for i32 {
    fn show(&self) -> String {
        usize::try_from(*self).unwrap_or_default().show()
    }
}

impl Show for RangeInclusive<usize> {
    fn show(&self) -> String {
        format!("{} to {}", self.start(), self.end())
    }
}

impl Show for Duration {
    fn show(&self) -> String {
        format!("{} s", self.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_for_people() {
        let shown = |name: &str| table().into_iter().find(|limit| limit.name == name).unwrap().value;
        assert_eq!(shown("MAX_FRAME"), "65,536");
        assert_eq!(shown("MAX_MEMBERS"), "10,000");
        assert_eq!(shown("MAX_PAGE"), "500");
        assert_eq!(shown("NAME"), "3 to 32");
        assert_eq!(shown("HELLO_TIMEOUT"), "5 s");
        assert_eq!(1_234_567_usize.show(), "1,234,567");
    }
}
