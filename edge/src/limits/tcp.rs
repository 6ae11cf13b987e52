//! Bounds of connections over TCP: HTTP in clear, HTTP over TLS, and gRPC.

use std::time::Duration;

use gogochat_proto::limits::{FRAME_TIMEOUT, HELLO_TIMEOUT, MAX_FRAME, MAX_JSON, SILENCE};

use super::Row;

/// The states of a TCP connection. Buffers of the kernel are left out: `net.ipv4.tcp_rmem` and
/// `net.ipv4.tcp_wmem` bound them.
pub const ROWS: &[Row] = &[
    row(
        "`http`, `edge`",
        "connection: a gateway's header is not whole",
        PROXY_HEADER,
        PROXY_HEADER_BYTES,
        "it is closed",
    ),
    row("`edge`", "connection: no whole ClientHello", CLIENT_HELLO, TLS_MESSAGE, "it is closed"),
    row("`edge`", "connection: TLS handshake", TLS_HANDSHAKE, TLS_STATE + TLS_MESSAGE, "it is closed"),
    row("`edge`", "connection: TLS, in every later state, beside what that takes", SILENCE, TLS_STATE, "see there"),
    row(
        "`http`, `edge`",
        "connection: nothing was asked, or HTTP/2's preface is not whole",
        FIRST_REQUEST,
        MAX_HEADERS,
        "it is closed",
    ),
    row("`http`, `edge`", "HTTP/1.1: a request's headers", HTTP1_IDLE, MAX_HEADERS, "it is closed; too large: 431"),
    row("`http`, `edge`", "HTTP/1.1: between two requests", HTTP1_IDLE, MAX_HEADERS, "it is closed"),
    row("`http`, `edge`", "HTTP/2: no request under way", HTTP2_IDLE, HTTP2_STATE, "it is closed"),
    row("`http`, `edge`", "HTTP/2: nothing comes", HTTP2_PING_IN_ALL, HTTP2_STATE, "it is closed"),
    row(
        "`http`, `edge`",
        "HTTP/2: headers of requests that wait for answers to be read",
        WRITE_STALL,
        WAITING_HEADERS,
        "the request is answered: 503",
    ),
    row("`http`, `edge`", "HTTP/2: bodies that are not read yet", BODY, CONNECTION_WINDOW as usize, "it waits"),
    row("`http`, `edge`", "request: body", BODY, MAX_JSON, "it is answered: deadline_exceeded, 413"),
    row(
        "`http`, `edge`",
        "HTTP/2: requests under way, beside headers, bodies and answers",
        WRITE_STALL,
        MAX_REQUESTS as usize * REQUEST_STATE,
        "the next request waits at the client",
    ),
    row(
        "`http`, `edge`",
        "answers: a connection takes nothing of them",
        WRITE_STALL,
        ANSWERS,
        "it is closed; the next request waits",
    ),
    row(
        "gRPC",
        "answers: a connection takes nothing of them",
        WRITE_STALL,
        GRPC_ANSWERS,
        "it is closed; the next call waits",
    ),
    row(
        "gRPC",
        "calls under way, beside headers, bodies and answers",
        WRITE_STALL,
        GRPC_CALLS as usize * REQUEST_STATE,
        "the next call waits at the client",
    ),
    row(
        "all together",
        "answers: much of them is not taken",
        WRITE_STALL_PRESSED,
        ANSWERS_PRESSED,
        "connections that take nothing are closed",
    ),
    row(
        "all together",
        "answers: more is not taken than there is room for",
        WRITE_STALL_PRESSED,
        ANSWERS_IN_ALL,
        "requests are answered: 503",
    ),
    row("`http`, `edge`, gRPC", "socket: takes nothing", WRITE_STALL, 2 * CHUNK, "the connection is closed"),
    row("`http`, `edge`, gRPC", "closing: the client goes on sending", LINGER, CHUNK, "it is reset"),
    row("`http`, `edge`, gRPC", "closing: the client says nothing", LINGER_SILENCE, CHUNK, "it is closed"),
    row("`http`, `edge`", "WebSocket: no Hello", HELLO_TIMEOUT, MAX_FRAME, "it is closed: timeout"),
    row("`http`, `edge`", "WebSocket: a frame", FRAME_TIMEOUT, MAX_FRAME, "it is closed: timeout, frame_too_large"),
    row("`http`, `edge`", "WebSocket: nothing comes", SILENCE, MAX_FRAME, "it is closed: silent"),
    row("gRPC", "connection: nothing was called", FIRST_REQUEST, HTTP2_STATE, "it is closed"),
    row("gRPC", "connection: no call under way", HTTP2_IDLE, HTTP2_STATE, "it is closed"),
    row("gRPC", "connection: nothing comes", GRPC_PING_IN_ALL, HTTP2_STATE, "it is closed"),
    row(
        "gRPC",
        "headers of calls that wait for answers to be read",
        WRITE_STALL,
        WAITING_HEADERS,
        "the call is answered: resource_exhausted",
    ),
    row("gRPC", "bodies that are not read yet", WRITE_STALL, CONNECTION_WINDOW as usize, "they wait"),
    row(
        "`cluster.listen`",
        "connection: TLS handshake of a node",
        NODE_HANDSHAKE,
        TLS_STATE + TLS_MESSAGE,
        "it is closed",
    ),
    row("`cluster.listen`", "connection: nothing was called", FIRST_REQUEST, HTTP2_STATE, "it is closed"),
];

const fn row(door: &'static str, state: &'static str, deadline: Duration, bytes: usize, past: &'static str) -> Row {
    Row { door, state, deadline, bytes, past }
}

/// From a gateway's connection to the end of its PROXY protocol header.
pub const PROXY_HEADER: Duration = Duration::from_secs(5);
/// The longest PROXY protocol header that is read.
pub const PROXY_HEADER_BYTES: usize = 4_096;
/// From a connection to the whole ClientHello (RFC 8446 section 4.1.2).
pub const CLIENT_HELLO: Duration = Duration::from_secs(2);
/// From the ClientHello to the end of the handshake.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(8);
/// From a node's connection to the end of its handshake.
pub const NODE_HANDSHAKE: Duration = Duration::from_secs(3);
/// From a connection, or the end of its TLS handshake, to the end of the first request's headers:
/// whatever the protocol, and if only a part of HTTP/2's preface comes (RFC 9113 section 3.4).
pub const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// HTTP/1.1: from an answer's end to the end of the next request's headers.
pub const HTTP1_IDLE: Duration = Duration::from_secs(10);
/// HTTP/2: without a request under way, whatever else comes.
pub const HTTP2_IDLE: Duration = Duration::from_secs(120);
/// Before that ends, the client is told (GOAWAY, RFC 9113 section 9.1), and has so long to take it.
pub const GOODBYE: Duration = Duration::from_secs(2);
/// Between two PINGs to a client over HTTP/2 from which nothing comes.
pub const HTTP2_PING: Duration = Duration::from_secs(30);
/// The same over gRPC.
pub const GRPC_PING: Duration = Duration::from_secs(15);
/// For the answer to a PING.
pub const HTTP2_PONG: Duration = Duration::from_secs(10);
const HTTP2_PING_IN_ALL: Duration = Duration::from_secs(HTTP2_PING.as_secs() + HTTP2_PONG.as_secs());
const GRPC_PING_IN_ALL: Duration = Duration::from_secs(GRPC_PING.as_secs() + HTTP2_PONG.as_secs());
/// A socket that takes no byte for so long while some wait, or a client that takes none of its answers.
pub const WRITE_STALL: Duration = Duration::from_secs(15);
/// The same while all connections together have taken too little, see [`ANSWERS_PRESSED`].
pub const WRITE_STALL_PRESSED: Duration = Duration::from_secs(2);
/// From a REST request's headers to the end of its body.
pub const BODY: Duration = Duration::from_secs(10);
/// From the answer to a WebSocket's handshake to the bare socket.
pub const UPGRADE: Duration = Duration::from_secs(10);
/// After the last answer, for what the client still sends: a socket that is closed with unread bytes is
/// reset, and the answer might never be read.
pub const LINGER: Duration = Duration::from_secs(5);
/// The same, without a byte from the client.
pub const LINGER_SILENCE: Duration = Duration::from_secs(2);
/// Bytes that are read on for and thrown away.
pub const LINGER_BYTES: usize = 2 * 1024 * 1024;
/// How late a deadline may be noticed.
pub const CHECK: Duration = Duration::from_secs(2);

/// Headers of one request.
pub const MAX_HEADERS: usize = 16 * 1024;
/// Requests of one HTTP/2 connection under way.
pub const MAX_REQUESTS: u32 = 64;
/// Calls of one gRPC connection under way.
pub const GRPC_CALLS: u32 = 128;
/// What a request takes beside its headers and its answer: the stream's state in h2, and its task.
pub const REQUEST_STATE: usize = 8 * 1024;
/// Headers of one connection's requests that wait until earlier answers are read.
pub const WAITING_HEADERS: usize = 128 * 1024;
/// Answers of one connection, from the beginning of their making until they are written.
pub const ANSWERS: usize = 512 * 1024;
/// The same over gRPC, where one connection carries the calls of a whole program.
pub const GRPC_ANSWERS: usize = 2 * 1024 * 1024;
/// Answers of all connections that are not taken, from which on [`WRITE_STALL_PRESSED`] holds.
pub const ANSWERS_PRESSED: usize = 64 * 1024 * 1024;
/// The same, from which on no request is answered but by 503.
pub const ANSWERS_IN_ALL: usize = 256 * 1024 * 1024;
/// What is set aside of [`ANSWERS`] for a request whose answer's size is not known yet.
pub const ANSWER: usize = 64 * 1024;
/// An answer is given to the HTTP library in pieces of this size.
pub const CHUNK: usize = 16 * 1024;
/// Unread bytes of one HTTP/2 request (flow control, RFC 9113 section 5.2).
pub const STREAM_WINDOW: u32 = 64 * 1024;
/// Unread bytes of all requests of one HTTP/2 connection.
pub const CONNECTION_WINDOW: u32 = 256 * 1024;
/// hyper's and h2's buffers of an HTTP/2 connection: a frame each way, and the tables of compressed
/// headers (RFC 7541 section 4.2).
pub const HTTP2_STATE: usize = 48 * 1024;
/// A handshake message that has come in part: rustls's bound.
pub const TLS_MESSAGE: usize = 64 * 1024;
/// A TLS connection: a record each way, and what waits to be encrypted. rustls's own bounds.
pub const TLS_STATE: usize = 96 * 1024;

/// TLS handshakes under way; past it the oldest silent one goes.
pub const HANDSHAKES: usize = 2_048;
/// Those of one address, loopback apart: an eighth.
pub const HANDSHAKES_PER_ADDRESS: usize = 256;
/// Handshakes of nodes under way.
pub const NODE_HANDSHAKES: usize = 256;
/// Connections without a request under way; past it the oldest silent one goes.
pub const IDLE: usize = 16_384;
/// A connection may go for another if it was silent for so long.
pub const SILENT: Duration = Duration::from_millis(250);
