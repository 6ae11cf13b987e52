//! Clients that send half of everything and read nothing: the server's memory stays bounded, and others go on as if they were not there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{net::SocketAddr, time::Duration};

use gogochat_testkit::{
    http,
    people::Person,
    process::{Dev, ready, resident_kib},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream, UdpSocket},
};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_clients_cost_bounded_memory() {
    let mut dev = Dev::start(env!("CARGO_BIN_EXE_gogochat")).await.unwrap();
    let pid = dev.process().unwrap().pid();
    let (ann, ben) =
        (Person::register(dev.http, "ann").await.unwrap(), Person::register(dev.http, "ben").await.unwrap());
    let conversation = ann.befriend(&ben).await.unwrap();
    // What the server takes once for everybody, such as the password hash's memory, is there by now.
    let before = resident_kib(pid).unwrap();

    // They send half of everything, and stay.
    let mut hostile = Vec::new();
    for _ in 0..CONNECTIONS {
        hostile.push(half(dev.http, b"GET /ws HTTP/1.1\r\nHost: x\r\nX: ").await);
        hostile.push(half(dev.edge, &[0x16, 3, 1, 2, 0, 1]).await);
        let mut session = signed_in(dev.http, &ben).await;
        session.write_all(&[frame_header(0x81, MAX_FRAME).as_slice(), &[b' '; MAX_FRAME - 1]].concat()).await.unwrap();
        hostile.push(session);
    }
    // They never read what is sent to them.
    for _ in 0..CONNECTIONS {
        hostile.push(signed_in(dev.http, &ben).await);
    }
    datagrams(dev.edge).await;
    let text = "x".repeat(16 * 1024);
    for _ in 0..MESSAGES {
        ann.send(&conversation, &Uuid::new_v4().to_string(), &text).await.unwrap();
    }

    let grown = resident_kib(pid).unwrap().saturating_sub(before);
    let unbounded = CONNECTIONS * MESSAGES * text.len() / 1024;
    assert!(grown < BOUND_KIB, "the server has grown by {grown} KiB; without bounds it would be {unbounded} KiB");
    assert!(unbounded > 4 * BOUND_KIB);
    // What was not read was dropped, and everybody else is served.
    let metrics = String::from_utf8(http::get(dev.http, "/metrics").await.unwrap().body.to_vec()).unwrap();
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("gogochat_edge_dropped_total{kind=\"event\"}") && !line.ends_with(" 0")),
        "{metrics}"
    );
    ready(dev.http, &dev.log()).await.unwrap();
    let path = format!("/v1/conversations/{conversation}/events?beforeSeq=0&limit=1");
    let page = ben.call("GET", &path, &Value::Null).await.unwrap();
    assert_eq!(page["lastSeq"].as_str(), Some((MESSAGES + 1).to_string().as_str()));
}

/// A connection on which no more than this was sent.
async fn half(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(address).await;
    stream.write_all(bytes).await.unwrap();
    stream
}

/// A WebSocket session of this person that has read its Welcome and reads no more.
async fn signed_in(address: SocketAddr, person: &Person) -> TcpStream {
    let mut stream = connect(address).await;
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: gogochat.v1.json\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    until(&mut stream, b"\r\n\r\n").await;
    let hello = json!({ "hello": { "accessToken": person.token } }).to_string();
    let frame = [frame_header(0x81, hello.len()).as_slice(), hello.as_bytes()].concat();
    stream.write_all(&frame).await.unwrap();
    until(&mut stream, b"welcome").await;
    stream
}

async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // What is not read waits at the server, not in this socket.
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(address).await.unwrap()
}

async fn until(stream: &mut TcpStream, end: &[u8]) {
    let mut seen = Vec::new();
    while !seen.windows(end.len()).any(|window| window == end) {
        let mut chunk = [0; 1024];
        let read = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut chunk)).await.unwrap().unwrap();
        assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&chunk[..read]);
    }
}

/// The header of a frame (RFC 6455 section 5.2) masked with zeros, which leave its payload as it is.
fn frame_header(kind: u8, length: usize) -> Vec<u8> {
    let bytes = (length as u64).to_be_bytes();
    let length = match length {
        0..=125 => vec![0x80 | bytes[7]],
        126..=0xffff => [&[0x80 | 126], &bytes[6..]].concat(),
        _ => [&[0x80 | 127], bytes.as_slice()].concat(),
    };
    [&[kind], length.as_slice(), &[0; 4]].concat()
}

/// Datagrams that look like the first of so many QUIC connections, and such that look like nothing.
async fn datagrams(edge: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for n in 0..DATAGRAMS {
        let mut datagram = vec![0; 1200];
        // A long header of version 1, type Initial (RFC 9000 section 17.2.2), with a connection id of its own.
        datagram[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
        datagram[6..14].copy_from_slice(&u64::from(n).to_be_bytes());
        if n % 2 == 0 {
            datagram[0] = (n >> 3) as u8;
        }
        socket.send_to(&datagram, edge).await.unwrap();
    }
}

/// Of each kind; a user may have 100 sessions.
const CONNECTIONS: usize = 50;
const MESSAGES: usize = 1_500;
const DATAGRAMS: u32 = 50_000;
/// The largest frame, of which the last byte never comes.
const MAX_FRAME: usize = 64 * 1024;
const BOUND_KIB: usize = 150 * 1024;
