//! What is particular to QUIC: streams that come early, late or never say whose they are, and the end of sessions and connections.

use std::time::Duration;

use gogochat_edge::Limits;
use gogochat_proto::{
    close::CloseCode,
    frame,
    ids::UserId,
    v1::{self, client_frame, server_frame},
};
use h3::error::Code;
use web_transport_quinn as wt;

use crate::{
    World,
    client::{Client, Kind},
    soon, within,
};

/// A WebTransport stream's first bytes, for the session on the connection's first stream.
const HEADER: [u8; 3] = [0x40, 0x41, 0];

async fn connect(world: &World) -> (quinn::Endpoint, quinn::Connection) {
    let (endpoint, config) = world.quic_client();
    let connection = endpoint.connect_with(config, world.edge_address(), "localhost").unwrap().await.unwrap();
    (endpoint, connection)
}

async fn session(world: &World, connection: &quinn::Connection) -> wt::Session {
    let url: url::Url = format!("https://localhost:{}/wt", world.edge_address().port()).parse().unwrap();
    soon(wt::Session::connect(connection.clone(), wt::proto::ConnectRequest::new(url))).await.unwrap()
}

/// A session by hand, for the library closes the connection with a session: its CONNECT stream. The control stream has to be there first.
async fn session_by_hand(world: &World, connection: &quinn::Connection) -> (quinn::SendStream, quinn::RecvStream) {
    let (mut send, mut recv) = soon(connection.open_bi()).await.unwrap();
    send.write_all(&connect_request(world)).await.unwrap();
    soon(wt::proto::ConnectResponse::read(&mut recv)).await.unwrap();
    (send, recv)
}

/// A control stream with SETTINGS: HTTP datagrams and WebTransport.
async fn control(connection: &quinn::Connection) -> quinn::SendStream {
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(&[0, 4, 7, 0x33, 1, 0xab, 0x60, 0x37, 0x42, 1]).await.unwrap();
    control
}

/// A live stream of the session on this CONNECT stream, with Welcome behind it.
async fn live(connection: &quinn::Connection, session: quinn::StreamId) -> (quinn::SendStream, quinn::RecvStream) {
    let (mut send, mut recv) = soon(connection.open_bi()).await.unwrap();
    let id = u8::try_from(quinn::VarInt::from(session).into_inner()).unwrap();
    send.write_all(&[0x40, 0x41, id]).await.unwrap();
    send.write_all(&hello()).await.unwrap();
    assert!(welcome(&mut recv).await);
    (send, recv)
}

/// The session ends with the code, by a capsule on its CONNECT stream.
pub(crate) async fn ends_with(capsules: &mut quinn::RecvStream, code: CloseCode) {
    let told = soon(capsules.read_to_end(1_000)).await.unwrap();
    let mut end = code.code().to_be_bytes().to_vec();
    end.extend(code.reason().as_bytes());
    assert!(told.ends_with(&end), "{told:?}");
}

fn connect_request(world: &World) -> Vec<u8> {
    let url: url::Url = format!("https://localhost:{}/wt", world.edge_address().port()).parse().unwrap();
    let mut request = Vec::new();
    wt::proto::ConnectRequest::new(url).encode(&mut request).unwrap();
    request
}

pub(crate) fn hello() -> bytes::Bytes {
    let hello =
        v1::Hello { access_token: format!("user {}", UserId::new_v7()), client: "test".into(), ..Default::default() };
    frame::encode(&v1::ClientFrame::from(client_frame::Frame::Hello(hello)))
}

pub(crate) async fn welcome(recv: &mut quinn::RecvStream) -> bool {
    let mut decoder = frame::Decoder::default();
    while let Some(chunk) = soon(recv.read_chunk(1_000, true)).await.unwrap() {
        decoder.push(&chunk.bytes);
        if let Some(bytes) = decoder.next().unwrap() {
            return matches!(frame::server_frame(bytes), Ok(Some(server_frame::Frame::Welcome(_))));
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_comes_before_its_session_is_kept() {
    let world = World::new().await;
    let (_endpoint, connection) = connect(&world).await;
    // CONNECT takes the first stream, whose id is 0; this one is opened after it, and speaks first.
    let (mut connect_send, _connect_recv) = connection.open_bi().await.unwrap();
    let (mut live_send, mut live_recv) = connection.open_bi().await.unwrap();
    live_send.write_all(&HEADER).await.unwrap();
    live_send.write_all(&hello()).await.unwrap();
    let _control = control(&connection).await;
    // Enough for the server to see the stream and find no session.
    tokio::time::timeout(Duration::from_millis(300), live_recv.read_chunk(1, true)).await.unwrap_err();
    connect_send.write_all(&connect_request(&world)).await.unwrap();
    assert!(welcome(&mut live_recv).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_streams_are_bounded() {
    let world = World::new().await;
    let (_endpoint, connection) = connect(&world).await;
    let _connect = connection.open_bi().await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..12 {
        let (mut send, recv) = soon(connection.open_bi()).await.unwrap();
        send.write_all(&HEADER).await.unwrap();
        streams.push((send, recv));
    }
    // Eight are kept, the others are refused: WEBTRANSPORT_BUFFERED_STREAM_REJECTED.
    let mut refused = 0;
    for (_, recv) in &mut streams {
        if let Ok(code) = tokio::time::timeout(Duration::from_millis(300), recv.received_reset()).await {
            assert_eq!(code.unwrap(), Some(0x3994_bd84_u32.into()));
            refused += 1;
        }
    }
    assert_eq!(refused, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_does_not_say_whose_it_is_is_given_up() {
    let world = World::new().await;
    let (_endpoint, connection) = connect(&world).await;
    let session = session(&world, &connection).await;
    // Half of 0x4041.
    let (mut bidi, mut answer) = connection.open_bi().await.unwrap();
    bidi.write_all(&[0x40]).await.unwrap();
    let mut uni = connection.open_uni().await.unwrap();
    uni.write_all(&[0x40]).await.unwrap();
    // The session itself goes on meanwhile.
    let (mut live_send, mut live_recv) = session.open_bi().await.unwrap();
    live_send.write_all(&hello()).await.unwrap();
    assert!(soon(live_recv.read_chunk(100, true)).await.unwrap().is_some());
    let limit = Duration::from_secs(20);
    assert!(within(limit, answer.received_reset()).await.unwrap().is_some());
    assert!(within(limit, uni.stopped()).await.unwrap().is_some());
    assert!(session.close_reason().is_none());
}

/// As Chromium does with QPACK's, whose end would be the connection's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unidirectional_stream_that_says_nothing_yet_is_let_be() {
    let world = World::new().await;
    let (_endpoint, connection) = connect(&world).await;
    let session = session(&world, &connection).await;
    let (mut live_send, mut live_recv) = session.open_bi().await.unwrap();
    live_send.write_all(&hello()).await.unwrap();
    assert!(soon(live_recv.read_chunk(100, true)).await.unwrap().is_some());
    let mut silent = connection.open_uni().await.unwrap();
    // A later one opens it too.
    let mut half = connection.open_uni().await.unwrap();
    half.write_all(&[0x40]).await.unwrap();
    assert!(within(Duration::from_secs(20), half.stopped()).await.unwrap().is_some());
    assert!(tokio::time::timeout(Duration::ZERO, silent.stopped()).await.is_err());
    // The encoder's: it says so, and is taken.
    silent.write_all(&[2]).await.unwrap();
    let ping = client_frame::Frame::Ping(v1::Ping { nonce: 1 });
    live_send.write_all(&frame::encode(&v1::ClientFrame::from(ping))).await.unwrap();
    assert!(soon(live_recv.read_chunk(100, true)).await.unwrap().is_some());
    assert!(session.close_reason().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_ends_with_its_last_session() {
    let world = World::new().await;
    let (_endpoint, connection) = connect(&world).await;
    let _control = control(&connection).await;
    let (_first, mut first) = session_by_hand(&world, &connection).await;
    let (_second, mut second) = session_by_hand(&world, &connection).await;
    let (mut first_send, _first_recv) = live(&connection, first.id()).await;
    let (mut second_send, mut second_recv) = live(&connection, second.id()).await;
    // Garbage ends the first alone.
    first_send.write_all(&[1, 0xff]).await.unwrap();
    ends_with(&mut first, CloseCode::ProtocolError).await;
    let ping = client_frame::Frame::Ping(v1::Ping { nonce: 1 });
    second_send.write_all(&frame::encode(&v1::ClientFrame::from(ping))).await.unwrap();
    assert!(soon(second_recv.read_chunk(100, true)).await.unwrap().is_some());
    assert!(connection.close_reason().is_none());
    // A stream of the first is refused from now on: WEBTRANSPORT_SESSION_GONE.
    let (mut late, mut answer) = connection.open_bi().await.unwrap();
    late.write_all(&HEADER).await.unwrap();
    assert_eq!(soon(answer.received_reset()).await.unwrap(), Some(0x170d_7b68_u32.into()));
    // The second ends, and the connection with it.
    second_send.write_all(&[1, 0xff]).await.unwrap();
    ends_with(&mut second, CloseCode::ProtocolError).await;
    soon(connection.closed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_says_goodbye_is_gone_at_once() {
    let world = World::new().await;
    let client = world.log_in(Kind::Wt, UserId::new_v7()).await;
    let Client::Wt(wt) = &client else { unreachable!() };
    let handle = world.edge.handle();
    assert_eq!(handle.sessions(), 1);
    wt.session.close(4200, b"done");
    crate::eventually("gone", || handle.sessions() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_use_is_closed() {
    let limits = Limits { unused: Duration::from_secs(1), ..Limits::default() };
    let world = World::with(limits).await;
    let (_endpoint, unused) = connect(&world).await;
    let (_endpoint, used) = connect(&world).await;
    let session = session(&world, &used).await;
    soon(unused.closed()).await;
    // A session has its own rules.
    let (mut send, mut recv) = session.open_bi().await.unwrap();
    send.write_all(&hello()).await.unwrap();
    assert!(soon(recv.read_chunk(100, true)).await.unwrap().is_some());
    assert!(used.close_reason().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_past_sixteen_kibibytes_are_refused() {
    let world = World::new().await;
    let (_endpoint, connection) = connect(&world).await;
    let (mut driver, mut sender) = h3::client::new(h3_quinn::Connection::new(connection)).await.unwrap();
    let driving = tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
    for (size, status) in [(12_000, 200), (20_000, 431)] {
        let request = http::Request::get("https://localhost/page").header("x", "y".repeat(size)).body(()).unwrap();
        // A client that has read the server's SETTINGS does not even send it.
        match soon(sender.send_request(request)).await {
            Ok(mut stream) => {
                // A server that needs no more may say so before the end was sent (RFC 9114 section 4.1).
                match soon(stream.finish()).await {
                    Ok(()) | Err(h3::error::StreamError::RemoteTerminate { code: Code::H3_NO_ERROR, .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                assert_eq!(soon(stream.recv_response()).await.unwrap().status(), status);
            }
            Err(error) => assert!(status == 431, "{error}"),
        }
    }
    driving.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_with_an_earlier_process_are_reset() {
    let world = async |key: u8| World::start(crate::Setup { reset_key: Some([key; 32]), ..crate::Setup::new() }).await;
    let before = world(7).await;
    for (after, told) in [(world(7).await, true), (world(8).await, false)] {
        let path = Path::new(before.edge_address()).await;
        let (endpoint, config) = before.quic_client();
        let connection = endpoint.connect_with(config, path.address, "localhost").unwrap().await.unwrap();
        let mut stream = connection.open_uni().await.unwrap();
        path.lead_to(after.edge_address());
        // Whatever goes first, an acknowledgement too, may have been answered by the reset already.
        let written = stream.write_all(&[0; 100]).await;
        assert!(written.is_ok() || told, "{written:?}");
        let lost = tokio::time::timeout(Duration::from_secs(3), connection.closed()).await;
        if told {
            assert_eq!(lost.unwrap(), quinn::ConnectionError::Reset);
        } else {
            assert!(lost.is_err(), "nobody can reset connections of an edge with another key: {lost:?}");
        }
    }
}

/// A path to an edge that can lead to another: for the client it is the same as one that was killed and started anew.
struct Path {
    address: std::net::SocketAddr,
    to: tokio::sync::watch::Sender<std::net::SocketAddr>,
}

impl Path {
    async fn new(edge: std::net::SocketAddr) -> Self {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (to, edge) = tokio::sync::watch::channel(edge);
        let address = socket.local_addr().unwrap();
        tokio::spawn(carry(socket, edge));
        Self { address, to }
    }

    fn lead_to(&self, edge: std::net::SocketAddr) {
        self.to.send(edge).unwrap();
    }
}

async fn carry(socket: tokio::net::UdpSocket, mut edge: tokio::sync::watch::Receiver<std::net::SocketAddr>) {
    let (mut edges, mut client) = (vec![*edge.borrow_and_update()], None);
    let mut bytes = [0; 2_048];
    while let Ok((size, from)) = socket.recv_from(&mut bytes).await {
        let now = *edge.borrow();
        if !edges.contains(&now) {
            edges.push(now);
        }
        let to = match edges.contains(&from) {
            // What an earlier one still says is lost.
            true => client.filter(|_| from == now),
            false => {
                client = Some(from);
                Some(now)
            }
        };
        if let Some(to) = to {
            let _ = socket.send_to(&bytes[..size], to).await;
        }
    }
}
