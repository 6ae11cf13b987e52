//! HTTP/3 by hand: what a client cannot make the edge hold, and what it cannot make it wait for.

use std::time::Duration;

use gogochat_edge::{
    Limits,
    limits::quic::{ANSWER, BEGIN, MAX_HEADERS, SKIPPED_BYTES, SKIPPED_FRAMES, STREAM_WINDOW},
};
use gogochat_proto::{close::CloseCode, ids::UserId, limits::FRAME_TIMEOUT};
use gogochat_testkit::attack::quic::{self, Client, DATA, ENDLESS, HEADERS, Report, Shape, UNKNOWN};
use web_transport_quinn::proto::{ConnectError, ConnectResponse};

use crate::{
    World,
    client::Kind,
    quic::{ends_with, hello, welcome},
    soon, within,
};

async fn dial(world: &World, shape: Shape) -> (Client, quinn::Connection) {
    let client = Client::new(shape).unwrap();
    let connection = soon(client.connect(world.edge_address())).await.unwrap();
    (client, connection)
}

/// A connection on which HTTP/3 has begun, and its control stream.
async fn begin(world: &World) -> (Client, quinn::Connection, quinn::SendStream) {
    let (client, connection) = dial(world, Shape::default()).await;
    let control = quic::control(&connection).await.unwrap();
    (client, connection, control)
}

/// The error that the edge closes the connection with.
async fn ended(connection: &quinn::Connection, limit: Duration) -> u64 {
    match within(limit, connection.closed()).await {
        quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("{other}"),
    }
}

/// The status of an answer.
async fn status(recv: &mut quinn::RecvStream) -> u16 {
    match within(Duration::from_secs(15), ConnectResponse::read(recv)).await {
        Ok(response) => response.status.as_u16(),
        Err(ConnectError::WrongStatus(Some(status))) => status.as_u16(),
        Err(error) => panic!("{error}"),
    }
}

/// Somebody else is served.
async fn still_up(world: &World) {
    world.log_in(Kind::Wt, UserId::new_v7()).await;
}

const SOON: Duration = Duration::from_secs(10);
// Errors of RFC 9114 section 8.1 and RFC 9204 section 6.
const H3_NO_ERROR: u64 = 0x100;
const H3_GENERAL_PROTOCOL_ERROR: u64 = 0x101;
const H3_STREAM_CREATION_ERROR: u64 = 0x103;
const H3_EXCESSIVE_LOAD: u64 = 0x107;
const H3_MISSING_SETTINGS: u64 = 0x10a;
const H3_REQUEST_CANCELLED: u32 = 0x10c;
const H3_REQUEST_INCOMPLETE: u32 = 0x10d;
const H3_MESSAGE_ERROR: u32 = 0x10e;
const QPACK_DECOMPRESSION_FAILED: u64 = 0x200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_without_a_meaning_are_skipped_up_to_a_bound() {
    let world = World::new().await;
    for place in ["control", "request", "its body", "connect"] {
        let (_client, connection, control) = begin(&world).await;
        let (mut send, _recv) = match place {
            "control" => (control, None),
            _ => {
                let begun = match place {
                    "request" => Vec::new(),
                    "its body" => quic::request("POST", "/v1/sync"),
                    _ => quic::connect("webtransport"),
                };
                let (send, recv) = soon(quic::open(&connection, &begun)).await.unwrap();
                (send, Some(recv))
            }
        };
        // At the bound, nothing happens.
        soon(send.write_all(&quic::frame(UNKNOWN, &[0; SKIPPED_BYTES - 100]))).await.unwrap();
        let (mut ask, mut answer) = soon(quic::open(&connection, &quic::request("GET", "/page"))).await.unwrap();
        ask.finish().unwrap();
        assert_eq!(status(&mut answer).await, 200, "{place}");
        // Past it, the connection ends, long before the frame does.
        soon(send.write_all(&quic::frame_head(UNKNOWN, ENDLESS))).await.unwrap();
        let mut report = Report::default();
        soon(quic::pour(&mut send, &[0; 16 * 1024], &mut report)).await;
        assert_eq!(ended(&connection, SOON).await, H3_EXCESSIVE_LOAD, "{place}");
        assert!(report.bytes <= 2 * STREAM_WINDOW as u64, "{place}: {report}");
    }
    still_up(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_one_byte_are_bounded_by_their_number() {
    let world = World::new().await;
    for of_request in [false, true] {
        let (_client, connection, control) = begin(&world).await;
        let (mut send, _recv) = match of_request {
            true => {
                let (send, recv) = soon(quic::open(&connection, &[])).await.unwrap();
                (send, Some(recv))
            }
            false => (control, None),
        };
        // SETTINGS were one.
        soon(send.write_all(&quic::frame(UNKNOWN, &[0]).repeat(SKIPPED_FRAMES - 1))).await.unwrap();
        let (mut ask, mut answer) = soon(quic::open(&connection, &quic::request("GET", "/page"))).await.unwrap();
        ask.finish().unwrap();
        assert_eq!(status(&mut answer).await, 200);
        soon(quic::pour(&mut send, &quic::frame(UNKNOWN, &[0]).repeat(100), &mut Report::default())).await;
        assert_eq!(ended(&connection, SOON).await, H3_EXCESSIVE_LOAD);
    }
    still_up(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_in_frames_of_one_byte_is_read_as_any() {
    let world = World::new().await;
    let (_client, connection, _control) = begin(&world).await;
    let post = quic::headers(&[
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/v1/sync"),
        ("authorization", "Bearer token"),
        ("content-type", "application/json"),
    ]);
    let (mut send, mut recv) = soon(quic::open(&connection, &post)).await.unwrap();
    let body = b"{             }";
    for byte in body {
        soon(send.write_all(&quic::frame(DATA, &[*byte]))).await.unwrap();
        soon(send.write_all(&quic::frame(UNKNOWN, b"between"))).await.unwrap();
    }
    // Trailers are not needed, and do no harm.
    soon(send.write_all(&quic::headers(&[("x", "y")]))).await.unwrap();
    send.finish().unwrap();
    assert_eq!(status(&mut recv).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capsules_without_a_meaning_are_skipped_up_to_a_bound() {
    let world = World::new().await;
    let (_client, connection, _control) = begin(&world).await;
    let (mut send, mut recv) = soon(quic::open(&connection, &quic::connect("webtransport"))).await.unwrap();
    assert_eq!(status(&mut recv).await, 200);
    let capsule = [quic::frame_head(DATA, 2 * ENDLESS), quic::frame_head(UNKNOWN, ENDLESS)].concat();
    soon(send.write_all(&capsule)).await.unwrap();
    // More than is let pass in the time that this takes.
    soon(send.write_all(&[0; 2 * SKIPPED_BYTES - 1_000])).await.unwrap();
    ends_with(&mut recv, CloseCode::RateLimited).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_3_has_to_begin_in_time() {
    let world = World::new().await;
    let (_one, no_streams) = dial(&world, Shape { streams: 0, ..Shape::default() }).await;
    let _control = quic::control(&no_streams).await.unwrap();
    let (_two, silent) = dial(&world, Shape::default()).await;
    let (_three, half) = dial(&world, Shape::default()).await;
    let mut control = half.open_uni().await.unwrap();
    control.write_all(&[0, 4, 7, 0x33]).await.unwrap();
    let limit = BEGIN + Duration::from_secs(2);
    let all = async { tokio::join!(ended(&no_streams, limit), ended(&silent, limit), ended(&half, limit)) };
    assert_eq!(all.await, (H3_GENERAL_PROTOCOL_ERROR, H3_MISSING_SETTINGS, H3_MISSING_SETTINGS));
    still_up(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webtransport_goes_by_both_tokens_and_nothing_else_is_served() {
    let world = World::new().await;
    for token in ["webtransport", "webtransport-h3"] {
        let (_client, connection, _control) = begin(&world).await;
        // Any other protocol is refused, and the connection is as good as before.
        for other in ["websocket", "connect-udp", "webtransport-h4", "x"] {
            let (_send, mut recv) = soon(quic::open(&connection, &quic::connect(other))).await.unwrap();
            assert_eq!(status(&mut recv).await, 501, "{other}");
        }
        let proxy = quic::headers(&[(":method", "CONNECT"), (":authority", "example.org:443")]);
        let (_send, mut recv) = soon(quic::open(&connection, &proxy)).await.unwrap();
        assert_eq!(status(&mut recv).await, 501);
        let get = quic::headers(&[
            (":method", "GET"),
            (":protocol", token),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", "/wt"),
        ]);
        let (_send, mut recv) = soon(quic::open(&connection, &get)).await.unwrap();
        assert_eq!(soon(recv.received_reset()).await.unwrap(), Some(H3_MESSAGE_ERROR.into()));

        let (_send, mut recv) = soon(quic::open(&connection, &quic::connect(token))).await.unwrap();
        assert_eq!(status(&mut recv).await, 200);
        let session = quinn::VarInt::from(recv.id()).into_inner();
        let (mut live, mut answer) = soon(connection.open_bi()).await.unwrap();
        soon(live.write_all(&[0x40, 0x41, session as u8])).await.unwrap();
        soon(live.write_all(&hello())).await.unwrap();
        assert!(welcome(&mut answer).await, "{token}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dynamic_table_is_empty_and_clients_do_not_push() {
    let world = World::new().await;
    let (_client, connection, _control) = begin(&world).await;
    // One insert is required.
    let section = quic::frame(HEADERS, &[2, 0, 0x80]);
    let _request = soon(quic::open(&connection, &section)).await.unwrap();
    assert_eq!(ended(&connection, SOON).await, QPACK_DECOMPRESSION_FAILED);
    let (_client, connection, _control) = begin(&world).await;
    let mut push = connection.open_uni().await.unwrap();
    push.write_all(&[1]).await.unwrap();
    assert_eq!(ended(&connection, SOON).await, H3_STREAM_CREATION_ERROR);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_are_declared_too_long_are_answered_before_they_come() {
    let world = World::new().await;
    let (_client, connection, _control) = begin(&world).await;
    for length in [MAX_HEADERS as u64 + 1, ENDLESS] {
        let (_send, mut recv) = soon(quic::open(&connection, &quic::frame_head(HEADERS, length))).await.unwrap();
        assert_eq!(status(&mut recv).await, 431);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_begun_and_not_finished_is_given_up() {
    let world = World::new().await;
    let (_client, connection, _control) = begin(&world).await;
    let limit = FRAME_TIMEOUT + Duration::from_secs(3);
    // Headers of which a byte comes now and then.
    let headers = [quic::frame_head(HEADERS, 1_000), vec![0; 10]].concat();
    let (mut slow, mut slow_answer) = soon(quic::open(&connection, &headers)).await.unwrap();
    let trickle = tokio::spawn(async move {
        while slow.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    // A body of which all but the last byte has come.
    let body = [quic::request("POST", "/v1/sync"), quic::frame_head(DATA, 1_001), vec![b' '; 1_000]].concat();
    let (_post, mut post_answer) = soon(quic::open(&connection, &body)).await.unwrap();
    // A stream of a session that does not come.
    let (_early, mut early_answer) = soon(quic::open(&connection, &[0x40, 0x41, 40])).await.unwrap();
    let all =
        async { tokio::join!(slow_answer.received_reset(), status(&mut post_answer), early_answer.received_reset()) };
    let (headers, post, early) = within(limit, all).await;
    assert_eq!(headers.unwrap(), Some(H3_REQUEST_INCOMPLETE.into()));
    assert_eq!(post, 504);
    // WEBTRANSPORT_BUFFERED_STREAM_REJECTED.
    assert_eq!(early.unwrap(), Some(0x3994_bd84_u32.into()));
    soon(trickle).await.unwrap();
    assert!(connection.close_reason().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_read_is_given_up_and_the_connection_after_it() {
    let unused = Duration::from_secs(12);
    let world = World::with(Limits { unused, ..Limits::default() }).await;
    let (_client, connection) = dial(&world, Shape { window: 256, ..Shape::default() }).await;
    let _control = quic::control(&connection).await.unwrap();
    let ask = quic::request("GET", "/openapi.json");
    let (mut send, mut recv) = soon(quic::open(&connection, &ask)).await.unwrap();
    send.finish().unwrap();
    let reset = within(ANSWER + Duration::from_secs(3), recv.received_reset()).await.unwrap();
    assert_eq!(reset, Some(H3_REQUEST_CANCELLED.into()));
    assert_eq!(ended(&connection, unused + Duration::from_secs(3)).await, H3_NO_ERROR);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_request_ends_when_the_edge_stops() {
    let world = World::new().await;
    let (_client, connection, _control) = begin(&world).await;
    let (mut ask, mut answer) = soon(quic::open(&connection, &quic::request("GET", "/page"))).await.unwrap();
    ask.finish().unwrap();
    assert_eq!(status(&mut answer).await, 200);
    let begun = std::time::Instant::now();
    soon(world.edge.drain(Duration::ZERO, &[])).await;
    assert_eq!(ended(&connection, SOON).await, H3_NO_ERROR);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
