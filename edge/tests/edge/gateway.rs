//! Behind a gateway, which tells with PROXY protocol headers where connections come from.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use gogochat_edge::Limits;
use gogochat_proto::{ids::UserId, node::edge_item};
use ppp::{
    v1,
    v2::{Addresses, Builder, Command, Protocol, Type, Version},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::{
    Setup, World,
    client::{Client, Kind},
    soon, within,
};

const SYNC: &str = "gogochat.v1.SyncService/Sync";
const GATEWAY: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Of this machine too, and no gateway.
const SOMEBODY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

async fn behind_a_gateway(limits: Limits) -> World {
    let proxy_protocol_from = vec![format!("{GATEWAY}/32").parse().unwrap()];
    World::start(Setup { limits, proxy_protocol_from, ..Setup::new() }).await
}

/// The kinds over TCP, and where they go.
fn listeners(world: &World) -> [(Kind, SocketAddr); 2] {
    [(Kind::Ws, world.http_address()), (Kind::Wss, world.edge_address())]
}

fn line(source: &str) -> Vec<u8> {
    let source: SocketAddr = source.parse().unwrap();
    let destination = if source.is_ipv4() { "192.0.2.200:443" } else { "[2001:db8::200]:443" };
    v1::Addresses::from((source, destination.parse().unwrap())).to_string().into_bytes()
}

fn block(source: &str) -> Vec<u8> {
    let source: SocketAddr = source.parse().unwrap();
    let destination = if source.is_ipv4() { "192.0.2.200:443" } else { "[2001:db8::200]:443" };
    let addresses = (source, destination.parse::<SocketAddr>().unwrap());
    let block = Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, addresses);
    block.write_tlv(Type::UniqueId, &b"a connection"[..]).unwrap().build().unwrap()
}

/// A block with these two bytes, this length, and what follows.
fn bare(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
    [ppp::v2::PROTOCOL_PREFIX, &[command, family], &length.to_be_bytes(), rest].concat()
}

/// A connection from this address of this machine.
async fn dial(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let tcp = socket.connect(to).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp
}

/// A connection to `to` through a gateway that begins with this: in pieces of so many bytes, the last together with the client's first words.
async fn through(to: SocketAddr, header: &[u8], piece: usize) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut near, _) = listener.accept().await.unwrap();
    let mut header = header.to_vec();
    tokio::spawn(async move {
        let mut far = dial(GATEWAY, to).await;
        while header.len() > piece {
            let rest = header.split_off(piece);
            far.write_all(&header).await.unwrap();
            header = rest;
            tokio::task::yield_now().await;
        }
        let mut first = vec![0; 1_000];
        let size = near.read(&mut first).await.unwrap();
        far.write_all(&[&header, &first[..size]].concat()).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    client
}

async fn log_in(world: &World, tcp: TcpStream, kind: Kind) -> Client {
    let mut client = soon(world.connect_over(tcp, kind)).await;
    client.log_in(UserId::new_v7()).await;
    client
}

/// Where sessions were opened from.
fn opened_from(world: &World) -> Vec<String> {
    world.core.seen(|item| match item {
        edge_item::Item::Open(open) => Some(open.address.clone()),
        _ => None,
    })
}

/// Asks on the connection, which stays: the status; `None`: it was closed without a word.
async fn ask(tcp: &mut TcpStream, path: &str) -> Option<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer token\r\n\r\n");
    if tcp.write_all(request.as_bytes()).await.is_err() {
        return None;
    }
    let mut answer = vec![0; 4_096];
    match soon(tcp.read(&mut answer)).await {
        Ok(0) => None,
        Ok(size) => Some(String::from_utf8_lossy(&answer[..size])["HTTP/1.1 ".len()..][..3].parse().unwrap()),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => panic!("{error}"),
    }
}

/// The edge closes the connection, without an answer.
async fn ends(mut tcp: TcpStream, what: &str) {
    let mut answer = Vec::new();
    match soon(tcp.read_to_end(&mut answer)).await {
        Ok(_) => assert!(answer.is_empty(), "{what} is answered: {}", String::from_utf8_lossy(&answer)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{what}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_that_it_tells_is_the_clients() {
    let world = behind_a_gateway(Limits::default()).await;
    let mut expected = Vec::new();
    for (kind, to) in listeners(&world) {
        for (header, told) in [
            (line("192.0.2.1:4000"), "192.0.2.1"),
            (line("[2001:db8::1]:4000"), "2001:db8::1"),
            (block("192.0.2.2:4000"), "192.0.2.2"),
            (block("[2001:db8::2]:4000"), "2001:db8::2"),
            (block("[::ffff:192.0.2.3]:4000"), "192.0.2.3"),
        ] {
            // At once with what follows it, and byte for byte.
            for piece in [1_000, 1] {
                let mut client = log_in(&world, through(to, &header, piece).await, kind).await;
                expected.push(told.to_owned());
                assert_eq!(opened_from(&world), expected, "{kind:?}");
                client.call(1, SYNC, "", &b"body"[..]).await;
                assert_eq!(client.next_reply().await.body, "body");
                assert_eq!(world.core.take_callers(), [told]);
            }
        }
    }
    // REST, in clear.
    let mut tcp = through(world.http_address(), &block("192.0.2.4:4000"), 7).await;
    for _ in 0..2 {
        assert_eq!(ask(&mut tcp, "/v1/conversations").await, Some(200));
        assert_eq!(world.core.take_callers(), ["192.0.2.4"]);
    }
    // HTTP/3 is not offered to whom it brings, as it would hide where they come from.
    let request = b"GET /page HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    for (through_it, tcp) in [
        (true, through(world.edge_address(), &block("192.0.2.4:4000"), 1_000).await),
        (false, dial(SOMEBODY, world.edge_address()).await),
    ] {
        let mut tls = world.tls_over(tcp, &[b"http/1.1"]).await;
        tls.write_all(request).await.unwrap();
        let mut answer = String::new();
        soon(tls.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("alt-svc: ") != through_it, "{answer}");
    }
    // QUIC has no such header.
    world.log_in(Kind::Wt, UserId::new_v7()).await;
    assert_eq!(opened_from(&world).last().unwrap(), "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_says_of_no_client_is_its_own() {
    let world = behind_a_gateway(Limits::default()).await;
    let unspecified =
        Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Unspecified, Addresses::Unspecified);
    let headers = [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
        bare(0x20, 0x00, 0, &[]),
        bare(0x20, 0x11, 12, &[192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2]),
        unspecified.build().unwrap(),
    ];
    for (kind, to) in listeners(&world) {
        for header in &headers {
            log_in(&world, through(to, header, 1_000).await, kind).await;
            assert_eq!(opened_from(&world).pop().unwrap(), GATEWAY.to_string(), "{kind:?}: {header:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_client_has_its_share_whichever_way_it_comes() {
    for of in [line, block] {
        let world = behind_a_gateway(Limits { connections_per_address: 2, ..Limits::default() }).await;
        let connect = async |source: &str| {
            let mut tcp = through(world.http_address(), &of(source), 1_000).await;
            let status = ask(&mut tcp, "/page").await;
            status.map(|status| {
                assert_eq!(status, 200);
                tcp
            })
        };
        let mut held = vec![connect("192.0.2.1:1").await.unwrap(), connect("192.0.2.1:2").await.unwrap()];
        assert!(connect("192.0.2.1:3").await.is_none(), "one too many");
        assert!(connect("192.0.2.2:1").await.is_some(), "another is not concerned");
        assert!(connect("[::ffff:192.0.2.1]:1").await.is_none(), "the same, written otherwise");
        held.push(connect("[2001:db8::1]:1").await.unwrap());
        held.push(connect("[2001:db8::2]:1").await.unwrap());
        assert!(connect("[2001:db8::3]:1").await.is_none(), "one subscriber of IPv6");
        held.remove(0);
        let place_given_back = async { while connect("192.0.2.1:4").await.is_none() {} };
        soon(place_given_back).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_takes_its_addresss_share_as_long_as_it_is_open() {
    let world = behind_a_gateway(Limits { connections_per_address: 1, ..Limits::default() }).await;
    for ((kind, to), source) in listeners(&world).into_iter().zip(["192.0.2.1:1", "192.0.2.2:1"]) {
        let session = log_in(&world, through(to, &line(source), 1_000).await, kind).await;
        let refused = async || {
            let mut tcp = through(world.http_address(), &line(source), 1_000).await;
            ask(&mut tcp, "/page").await.is_none()
        };
        assert!(refused().await, "{kind:?}");
        drop(session);
        soon(async { while refused().await {} }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_of_anybody_else_is_not_believed() {
    let world = behind_a_gateway(Limits::default()).await;
    for header in [line("192.0.2.1:4000"), block("192.0.2.1:4000")] {
        let mut clear = dial(SOMEBODY, world.http_address()).await;
        clear.write_all(&header).await.unwrap();
        let mut answer = Vec::new();
        soon(clear.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
        let mut tls = dial(SOMEBODY, world.edge_address()).await;
        tls.write_all(&header).await.unwrap();
        let mut answer = Vec::new();
        let _ = soon(tls.read_to_end(&mut answer)).await;
        // A fatal alert, if it was not overtaken by the end (RFC 8446 section 6).
        assert!(answer.is_empty() || answer.starts_with(&[21, 3]), "{answer:?}");
    }
    assert_eq!(world.core.take_callers(), Vec::<String>::new());
    // Without one they are served, as whom they are.
    for (kind, to) in listeners(&world) {
        log_in(&world, dial(SOMEBODY, to).await, kind).await;
        assert_eq!(opened_from(&world).pop().unwrap(), SOMEBODY.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_header_ends_the_connection() {
    let world = behind_a_gateway(Limits::default()).await;
    let cases: [(&str, Vec<u8>); 15] = [
        ("HTTP without a header", b"GET /page HTTP/1.1\r\nhost: localhost\r\n\r\n".into()),
        ("TLS without a header", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        ("garbage", (0..=255).rev().collect()),
        ("a mark that turns out none", b"\r\n\r\n\0\r\nQUIT\r".into()),
        ("a line of 107 bytes without an end", [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 93]].concat()),
        ("a line that ends too late", [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 92], b"\r\n"].concat()),
        ("a line that ends in LF alone", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n".into()),
        ("a line without ports", b"PROXY TCP4 192.0.2.1 192.0.2.2\r\n".into()),
        ("a line with a port too large", b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n".into()),
        ("a block of version 3", bare(0x31, 0x11, 12, &[0; 12])),
        ("a block with an unknown command", bare(0x22, 0x11, 12, &[0; 12])),
        ("a block too short for its addresses", bare(0x21, 0x21, 12, &[0; 12])),
        ("a block that is too long", bare(0x21, 0x11, u16::MAX, &[0; 12])),
        ("a Unix socket", bare(0x21, 0x31, 216, &[b'/'; 216])),
        ("UDP", bare(0x21, 0x12, 12, &[0; 12])),
    ];
    for (kind, to) in listeners(&world) {
        for (what, bytes) in &cases {
            let mut tcp = dial(GATEWAY, to).await;
            tcp.write_all(bytes).await.unwrap();
            ends(tcp, what).await;
        }
        for header in [line("192.0.2.1:4000"), block("192.0.2.1:4000")] {
            for cut in [0, 1, 5, 11, 15, 16, 27, header.len() - 1] {
                let mut tcp = dial(GATEWAY, to).await;
                tcp.write_all(&header[..cut]).await.unwrap();
                tcp.shutdown().await.unwrap();
                ends(tcp, "a part of a header").await;
            }
        }
        log_in(&world, through(to, &block("192.0.2.1:4000"), 1_000).await, kind).await;
    }
    assert_eq!(opened_from(&world).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_long_for_a_header() {
    let world = behind_a_gateway(Limits::default()).await;
    let mut waiting = Vec::new();
    for (_, to) in listeners(&world) {
        for header in [line("192.0.2.1:4000"), block("192.0.2.1:4000")] {
            for cut in [0, header.len() - 1] {
                let mut tcp = dial(GATEWAY, to).await;
                tcp.write_all(&header[..cut]).await.unwrap();
                waiting.push(tcp);
            }
        }
    }
    for tcp in waiting {
        within(Duration::from_secs(8), ends(tcp, "half a header")).await;
    }
}
