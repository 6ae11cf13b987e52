//! Bounds of QUIC connections: HTTP/3 and WebTransport.

use std::time::Duration;

use gogochat_proto::limits::{FRAME_TIMEOUT, HELLO_TIMEOUT, MAX_FRAME, MAX_JSON, SILENCE};

use super::{Row, tcp};

/// The states of a QUIC connection. What a client has sent on any stream and the edge has not read
/// counts once for the whole connection, at most [`RECEIVE_WINDOW`].
pub const ROWS: &[Row] = &[
    row("connection: handshake", HANDSHAKE, INCOMING_BYTES, "the connection is dropped"),
    row(
        "connection: no unidirectional stream granted, or no SETTINGS",
        BEGIN,
        RECEIVE_WINDOW,
        "the connection is closed: H3_GENERAL_PROTOCOL_ERROR, H3_MISSING_SETTINGS",
    ),
    row("connection: neither a session nor a request", UNUSED, RECEIVE_WINDOW, "the connection is closed: H3_NO_ERROR"),
    row("connection: nothing comes", IDLE, RECEIVE_WINDOW, "the connection is dropped"),
    row(
        "connection: frames without a meaning, and their payloads",
        Duration::from_secs((SKIPPED_BYTES / SKIPPED_BYTES_A_SECOND) as u64),
        SKIPPED_BYTES,
        "the connection is closed: H3_EXCESSIVE_LOAD",
    ),
    row(
        "stream: does not say whose it is",
        FRAME_TIMEOUT,
        MAX_STREAM_HEADER,
        "it is reset: H3_REQUEST_INCOMPLETE; unidirectional, and nothing was said: it waits",
    ),
    row("stream: its session is not there", FRAME_TIMEOUT, 0, "it is reset: WEBTRANSPORT_BUFFERED_STREAM_REJECTED"),
    row("control stream: a frame", IDLE, MAX_CONTROL_FRAME, "the connection is closed: H3_EXCESSIVE_LOAD"),
    row("request: headers", FRAME_TIMEOUT, MAX_HEADERS, "it is answered: 431; or reset: H3_REQUEST_INCOMPLETE"),
    row("request: body, between two pieces", BODY, MAX_JSON, "it is answered: 413, or what its handler answers"),
    row(
        "request: body, at fewer than BODY_RATE bytes a second",
        BODY_GRACE,
        MAX_JSON,
        "it is answered: what its handler answers",
    ),
    row("answer: a piece is not read", ANSWER, ANSWER_PIECE, "it is reset: H3_REQUEST_CANCELLED"),
    row(
        "answer: its end is read at fewer than ANSWER_RATE bytes a second",
        Duration::from_secs(ANSWER.as_secs() + (SEND_WINDOW / ANSWER_RATE) as u64),
        SEND_WINDOW,
        "it is reset: H3_REQUEST_CANCELLED",
    ),
    row("session: no Hello", HELLO_TIMEOUT, RECEIVE_WINDOW, "it is closed: timeout"),
    row("session: a frame", FRAME_TIMEOUT, MAX_FRAME, "it is closed: timeout, frame_too_large"),
    row("session: nothing comes", SILENCE, RECEIVE_WINDOW, "it is closed: silent"),
    row("session: does not read", STALLED, QUEUE_MAX_BYTES, "it is closed: slow_consumer"),
    row(
        "session: capsules without a meaning",
        Duration::from_secs((SKIPPED_BYTES / SKIPPED_BYTES_A_SECOND) as u64),
        MAX_STREAM_HEADER,
        "it is closed: rate_limited",
    ),
    row("session: a further stream without a call", CALL_STREAM_IDLE, MAX_FRAME, "it is reset: timeout"),
    row(
        "connection: a request under way while the edge stops",
        DRAIN,
        RECEIVE_WINDOW,
        "the connection is closed: H3_NO_ERROR",
    ),
    row("session: closed, and the client does not close it too", CLOSE, 0, "the connection is closed"),
];

const fn row(state: &'static str, deadline: Duration, bytes: usize, past: &'static str) -> Row {
    Row { door: "QUIC", state, deadline, bytes, past }
}

/// From a connection's first packet to the end of its handshake.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// From the end of the handshake until HTTP/3 has begun: the client has granted the streams that the
/// edge needs (RFC 9114 section 6.2), and sent its SETTINGS.
pub const BEGIN: Duration = Duration::from_secs(10);
/// A QUIC connection with neither a session nor a request, by default.
pub const UNUSED: Duration = Duration::from_secs(30);
/// A QUIC connection from which no packet comes: past the 45 s after which a session is dead.
pub const IDLE: Duration = Duration::from_secs(60);
/// Packets of a QUIC connection that wait for somebody to look at it, in bytes.
pub const INCOMING_BYTES: usize = 64 * 1024;
/// Bytes of one QUIC stream that have come and were not read: a frame of the largest size, and the next
/// one begun.
pub const STREAM_WINDOW: usize = 128 * 1024;
/// The same of all streams of a QUIC connection.
pub const RECEIVE_WINDOW: usize = 512 * 1024;
/// Bytes of a QUIC connection that were sent, or are about to be, and wait for the client's acknowledgement.
pub const SEND_WINDOW: usize = 512 * 1024;
/// What a stream begins with: a type, and the id of a session.
pub const MAX_STREAM_HEADER: usize = 16;
/// A request's field section, encoded, and decoded by RFC 9114 section 4.2.2, in bytes: as over TCP.
pub const MAX_HEADERS: usize = tcp::MAX_HEADERS;
/// A frame of the control stream whose meaning is known, in bytes. SETTINGS are the longest.
pub const MAX_CONTROL_FRAME: usize = 1_024;
/// HTTP/3 frames of a connection without a meaning, and of its control stream, at once. The same for
/// the capsules of a session.
pub const SKIPPED_FRAMES: usize = 1_024;
/// How many more come to be allowed each second.
pub const SKIPPED_FRAMES_A_SECOND: usize = 16;
/// The bytes of such frames, at once.
pub const SKIPPED_BYTES: usize = 64 * 1024;
/// How many more come to be allowed each second.
pub const SKIPPED_BYTES_A_SECOND: usize = 4 * 1024;
/// Between two pieces of a request's body.
pub const BODY: Duration = Duration::from_secs(10);
/// How far a body may be behind [`BODY_RATE`].
pub const BODY_GRACE: Duration = Duration::from_secs(20);
/// The least bytes a second of a body.
pub const BODY_RATE: usize = 1_024;
/// For a client to take a piece of an answer ([`ANSWER_PIECE`]). At its end, for the rest that QUIC holds,
/// it has so much longer as that takes at [`ANSWER_RATE`].
pub const ANSWER: Duration = Duration::from_secs(20);
/// An answer is sent in pieces of so many bytes.
pub const ANSWER_PIECE: usize = 32 * 1024;
/// The least bytes a second at which a client takes the end of an answer.
pub const ANSWER_RATE: usize = 8 * 1024;
/// A session that has taken nothing for so long, while something waits for it, by default.
pub const STALLED: Duration = Duration::from_secs(30);
/// Bytes that wait in a session's queue, by default.
pub const QUEUE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// A further stream of a session on which no call is under way.
pub const CALL_STREAM_IDLE: Duration = Duration::from_secs(30);
/// For a client to close a session that the edge has closed.
pub const CLOSE: Duration = Duration::from_secs(2);
/// For connections to end once the edge has stopped.
pub const DRAIN: Duration = Duration::from_secs(3);
