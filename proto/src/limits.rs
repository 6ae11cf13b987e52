//! Limits of the contract. Each has a test at the limit and past it; `docs/protocol.md` lists them for clients.

use std::time::Duration;

/// A frame's encoded size, without its length prefix.
pub const MAX_FRAME: usize = 64 * 1024;
/// A message's text in bytes of UTF-8.
pub const MAX_TEXT: usize = 16 * 1024;
/// A JSON or protobuf body of a REST or gRPC call.
pub const MAX_BODY: usize = 64 * 1024;
/// Members of a group.
pub const MAX_MEMBERS: usize = 10_000;
/// User ids in one CreateGroup or AddMembers.
pub const MAX_MEMBERS_PER_CALL: usize = 1_000;
/// Up to so many members a group keeps delivered marks and tells members each other's marks.
pub const MAX_MEMBERS_WITH_MARKS: usize = 200;
/// Events on one page of a log.
pub const MAX_PAGE: i32 = 500;
/// Bytes of events on one page of a log, so that its reply fits a frame.
pub const MAX_PAGE_BYTES: usize = 48 * 1024;
/// Known heads in one Sync.
pub const MAX_KNOWN: usize = 1_000;
/// Marks in one Marks frame.
pub const MAX_MARKS: usize = 1_000;
/// Calls of one session that wait for their reply.
pub const MAX_CALLS_IN_FLIGHT: usize = 256;
/// Shortest and longest user name, in characters.
pub const NAME: std::ops::RangeInclusive<usize> = 3..=32;
/// Shortest and longest password, in characters.
pub const PASSWORD: std::ops::RangeInclusive<usize> = 8..=128;
/// A display name, device name or group title, in characters.
pub const MAX_TITLE: usize = 64;
/// A note on a contact request, in characters.
pub const MAX_NOTE: usize = 200;
/// Combining marks in a row in a name or title.
pub const MAX_COMBINING: usize = 4;

/// From opening a transport to Hello.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// From the first byte of a frame to its last.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a side that has nothing to send pings.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// A session from which nothing came for this long is dead.
pub const SILENCE: Duration = Duration::from_secs(45);
/// The least time between two upstream batches of one session's marks.
pub const MARKS_INTERVAL: Duration = Duration::from_secs(1);
/// Typing lapses after this unless repeated.
pub const TYPING_TTL: Duration = Duration::from_secs(6);
