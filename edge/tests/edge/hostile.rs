//! Bad input that the edge decides about: each has its close code or status, and the server goes on for others.

use std::{io::Write as _, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use gogochat_edge::Limits;
use gogochat_proto::{
    close::CloseCode,
    frame,
    ids::{LogId, UserId},
    limits::{MAX_CALL_STREAMS, MAX_CALLS_IN_FLIGHT, MAX_FRAME},
    node::edge_item,
    v1::{self, client_frame, ephemeral, server_frame},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::{
    ORIGIN, World,
    client::{Client, KINDS, Kind, wt_code},
    eventually, soon, within,
};

const SEND: &str = "gogochat.v1.ChatService/SendMessage";
const SYNC: &str = "gogochat.v1.SyncService/Sync";

/// The session ends with the code, in the Close frame and in the transport; a neighbour's goes on.
async fn ends_with(world: &World, client: &mut Client, code: CloseCode) {
    assert_eq!(within(Duration::from_secs(20), client.end()).await, (Some(code.code().into()), code.code().into()));
    still_up(world).await;
}

async fn still_up(world: &World) {
    let mut neighbour = world.log_in(Kind::Ws, UserId::new_v7()).await;
    neighbour.call(1, SYNC, "", &b"x"[..]).await;
    assert_eq!(neighbour.next_reply().await.body, "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_frame() {
    let world = World::new().await;
    for kind in KINDS {
        let mut client = world.log_in(kind, UserId::new_v7()).await;
        client.send_bytes(Bytes::from_static(&[3, 0xff, 0xff, 0xff])).await;
        ends_with(&world, &mut client, CloseCode::ProtocolError).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_ends_within_a_frame() {
    let world = World::new().await;
    let mut client = world.log_in(Kind::Ws, UserId::new_v7()).await;
    client.send_bytes(Bytes::from_static(&[9, 1, 2])).await;
    ends_with(&world, &mut client, CloseCode::ProtocolError).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_at_the_limit_and_past_it() {
    let world = World::new().await;
    for kind in KINDS {
        let mut client = world.log_in(kind, UserId::new_v7()).await;
        let call = |size: usize| {
            let call = v1::Call { id: 1, method: SYNC.into(), key: String::new(), body: vec![5; size].into() };
            v1::ClientFrame::from(client_frame::Frame::Call(call))
        };
        let overhead = prost::Message::encoded_len(&call(MAX_FRAME - 100)) - (MAX_FRAME - 100);
        client.send_bytes(frame::encode(&call(MAX_FRAME - overhead))).await;
        assert_eq!(client.next_reply().await.body.len(), MAX_FRAME - overhead);
        client.send_bytes(frame::encode(&call(MAX_FRAME - overhead + 1))).await;
        ends_with(&world, &mut client, CloseCode::FrameTooLarge).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_method_is_answered() {
    let world = World::new().await;
    for kind in KINDS {
        let mut client = world.log_in(kind, UserId::new_v7()).await;
        client.call(5, "gogochat.v1.ChatService/Nothing", "", Bytes::new()).await;
        let reply = client.next_reply().await;
        assert_eq!((reply.id, reply.error.unwrap().code), (5, "unknown_method".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_refused() {
    let world = World::new().await;
    for kind in KINDS {
        for (token, code) in [("expired", CloseCode::TokenExpired), ("garbage", CloseCode::TokenInvalid)] {
            let mut client = soon(world.connect(kind)).await;
            client.hello(token).await;
            ends_with(&world, &mut client, code).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_lapses_ends_the_session_unless_renewed() {
    let world = World::new().await;
    let user = UserId::new_v7();
    let mut lapsing = soon(world.connect(Kind::Ws)).await;
    lapsing.hello(&format!("brief {user}")).await;
    assert!(matches!(lapsing.next().await, server_frame::Frame::Welcome(_)));
    let mut renewed = soon(world.connect(Kind::Wt)).await;
    renewed.hello(&format!("user {user}")).await;
    assert!(matches!(renewed.next().await, server_frame::Frame::Welcome(_)));
    ends_with(&world, &mut lapsing, CloseCode::TokenExpired).await;
    renewed.call(1, SYNC, "", Bytes::new()).await;
    assert!(renewed.next_reply().await.error.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_before_hello() {
    let world = World::new().await;
    for kind in KINDS {
        let mut client = soon(world.connect(kind)).await;
        client.call(1, SYNC, "", Bytes::new()).await;
        ends_with(&world, &mut client, CloseCode::ProtocolError).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_hello() {
    let world = World::new().await;
    let mut clients = Vec::new();
    for kind in KINDS {
        clients.push(soon(world.connect(kind)).await);
    }
    for client in &mut clients {
        if let Client::Wt(wt) = client {
            // A stream is there for the other side only once something was sent on it.
            let code = within(Duration::from_secs(10), wt.session.closed()).await;
            assert_eq!(wt_code(code), u32::from(CloseCode::Timeout.code()));
        } else {
            ends_with(&world, client, CloseCode::Timeout).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_never_finished() {
    let world = World::new().await;
    let mut endings = Vec::new();
    for kind in KINDS {
        let mut client = world.log_in(kind, UserId::new_v7()).await;
        match &mut client {
            Client::Ws(socket, _) => socket.get_mut().write_all(&[0x82, 0x85, 1, 2, 3]).await.unwrap(),
            Client::Wss(socket, _) => {
                socket.get_mut().write_all(&[0x82, 0x85, 1, 2, 3]).await.unwrap();
                socket.get_mut().flush().await.unwrap();
            }
            Client::Wt(client) => client.send.write_all(&[100, 1]).await.unwrap(),
        }
        endings.push(client);
    }
    for client in &mut endings {
        ends_with(&world, client, CloseCode::Timeout).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_stream_that_sends_one_byte() {
    let world = World::new().await;
    let mut client = world.log_in(Kind::Wt, UserId::new_v7()).await;
    let Client::Wt(wt) = &mut client else { unreachable!() };
    let (mut send, _recv) = wt.session.open_bi().await.unwrap();
    send.write_all(&[50]).await.unwrap();
    ends_with(&world, &mut client, CloseCode::Timeout).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_origin() {
    let world = World::new().await;
    for origin in ["https://evil.example", "https://chat.example.org:444", "http://chat.example.org", "null"] {
        let error = world.ws("gogochat.v1.proto", Some(origin)).await.unwrap_err();
        let tungstenite::Error::Http(response) = error else { panic!("{error}") };
        assert_eq!(response.status(), 403);
        let error = soon(world.wt("/wt", Some(origin))).await.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("403"), "{error}");
    }
    assert!(world.ws("gogochat.v1.proto", Some(ORIGIN)).await.is_ok());
    assert!(soon(world.wt("/wt", Some(ORIGIN))).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_pages_need_no_list() {
    for origins in [vec![], vec![ORIGIN.parse().unwrap()]] {
        let listed = !origins.is_empty();
        let world = World::start(crate::Setup { origins, ..crate::Setup::new() }).await;
        let port = world.edge_address().port();
        // The tests' WebSockets ask for `localhost` without a port.
        assert!(world.ws("gogochat.v1.proto", Some("https://localhost")).await.is_ok());
        assert!(world.ws("gogochat.v1.proto", Some("http://localhost")).await.is_ok());
        assert!(world.ws("gogochat.v1.proto", Some(&format!("https://localhost:{port}"))).await.is_err());
        assert_eq!(world.ws("gogochat.v1.proto", Some(ORIGIN)).await.is_ok(), listed);
        assert!(soon(world.wt("/wt", Some(&format!("https://localhost:{port}")))).await.is_ok());
        for foreign in [format!("http://localhost:{port}"), "https://localhost".to_owned()] {
            let error = soon(world.wt("/wt", Some(&foreign))).await.map(|_| ()).unwrap_err();
            assert!(error.to_string().contains("403"), "{error}");
        }
        assert_eq!(soon(world.wt("/wt", Some(ORIGIN))).await.is_ok(), listed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_path_and_another_protocol() {
    let world = World::new().await;
    assert!(soon(world.wt("/elsewhere", None)).await.map(|_| ()).unwrap_err().to_string().contains("404"));
    let error = world.ws("chat", None).await.unwrap_err();
    let tungstenite::Error::Http(response) = error else { panic!("{error}") };
    assert_eq!(response.status(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_streams_at_the_limit_and_past_it() {
    let world = World::new().await;
    let mut client = world.log_in(Kind::Wt, UserId::new_v7()).await;
    let Client::Wt(wt) = &mut client else { unreachable!() };
    let call = v1::Call { id: 7, method: SYNC.into(), key: String::new(), body: Bytes::from_static(b"page") };
    let mut open = Vec::new();
    for id in 0..MAX_CALL_STREAMS {
        let (mut send, mut recv) = soon(wt.session.open_bi()).await.unwrap();
        let call = client_frame::Frame::Call(v1::Call { id: id as u32, ..call.clone() });
        send.write_all(&frame::encode(&v1::ClientFrame::from(call))).await.unwrap();
        let answer = soon(recv.read_chunk(1_000, true)).await.unwrap().unwrap();
        assert!(!answer.bytes.is_empty());
        open.push((send, recv));
    }
    // One that has ended makes room.
    let (mut send, mut recv) = open.pop().unwrap();
    send.finish().unwrap();
    assert_eq!(soon(recv.read_to_end(10)).await.unwrap(), b"");
    for _ in 0..2 {
        let (mut send, recv) = soon(wt.session.open_bi()).await.unwrap();
        send.write_all(&[]).await.unwrap();
        let _ = send.write_all(&frame::encode(&v1::ClientFrame::from(client_frame::Frame::Call(call.clone())))).await;
        open.push((send, recv));
    }
    ends_with(&world, &mut client, CloseCode::TooManyStreams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn something_else_than_calls_on_a_call_stream() {
    let world = World::new().await;
    let mut client = world.log_in(Kind::Wt, UserId::new_v7()).await;
    let Client::Wt(wt) = &mut client else { unreachable!() };
    let (mut send, _recv) = wt.session.open_bi().await.unwrap();
    let ping = client_frame::Frame::Ping(v1::Ping { nonce: 1 });
    send.write_all(&frame::encode(&v1::ClientFrame::from(ping))).await.unwrap();
    ends_with(&world, &mut client, CloseCode::ProtocolError).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_at_the_limit_and_past_it() {
    let world = World::new().await;
    world.core.set_mute(true);
    let key = LogId::new_v7().to_string();
    for kind in KINDS {
        let mut client = world.log_in(kind, UserId::new_v7()).await;
        for id in 0..MAX_CALLS_IN_FLIGHT as u32 {
            client.call(id, SEND, &key, Bytes::new()).await;
        }
        client.send(client_frame::Frame::Ping(v1::Ping { nonce: 1 })).await;
        assert_eq!(client.next().await, server_frame::Frame::Pong(v1::Pong { nonce: 1 }));
        client.call(9_999, SEND, &key, Bytes::new()).await;
        ends_with(&world, &mut client, CloseCode::TooManyCalls).await;
    }
}

/// Fills a session's pipe: it is told of events and reads none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads() {
    let limits = Limits { queue_bytes: 64 * 1024, queue_max_bytes: 128 * 1024, ..Limits::default() };
    let world = World::with(limits).await;
    let group = LogId::new_v7();
    for kind in KINDS {
        let (slow, fast) = (UserId::new_v7(), UserId::new_v7());
        world.core.join(slow, group);
        world.core.join(fast, group);
        let mut slow = world.log_in(kind, slow).await;
        let mut fast = world.log_in(kind, fast).await;
        eventually("interest", || world.core.is_interested(group)).await;
        // Past what the sockets' own buffers take (about 4 MiB in clear TCP on loopback).
        for _ in 0..1_000 {
            let seq = world.core.commit(group, 16_000);
            // The neighbour keeps up, and misses nothing.
            assert_eq!(fast.next_event().await, seq);
        }
        // The slow one reads again: what was sent before, then from where to fetch, then what comes after.
        let mut last = None;
        let resync = loop {
            match slow.next().await {
                server_frame::Frame::Event(event) => {
                    assert!(last.is_none_or(|last| event.seq == last + 1));
                    last = Some(event.seq);
                }
                server_frame::Frame::Resync(resync) => break resync,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((resync.log_id, Some(resync.from_seq)), (group.to_string(), last));
        let seq = world.core.commit(group, 10);
        assert_eq!(fast.next_event().await, seq);
        loop {
            match slow.next().await {
                server_frame::Frame::Event(event) if event.seq == seq => break,
                server_frame::Frame::Event(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_for_too_long() {
    let limits = Limits { stalled: Duration::from_secs(1), ..Limits::default() };
    let world = World::with(limits).await;
    let group = LogId::new_v7();
    let mut clients = Vec::new();
    for kind in KINDS {
        let user = UserId::new_v7();
        world.core.join(user, group);
        clients.push(world.log_in(kind, user).await);
    }
    eventually("interest", || world.core.is_interested(group)).await;
    let handle = world.edge.handle();
    let fill = async {
        while handle.sessions() > 0 {
            if world.core.last_seq(group) < 1_500 {
                world.core.commit(group, 16_000);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(Duration::from_secs(20), fill).await;
    // What the sockets still hold comes first; over TCP it may hide the Close frame, which could not be sent.
    for client in &mut clients {
        let (_, code) = soon(client.end()).await;
        if let Client::Wt(_) = client {
            assert_eq!(code, u32::from(CloseCode::SlowConsumer.code()));
        }
    }
    still_up(&world).await;
}

/// Replies are never dropped, so a session whose replies pile up has to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_and_never_reads() {
    let limits = Limits { queue_max_bytes: 256 * 1024, ..Limits::default() };
    let world = World::with(limits).await;
    for kind in KINDS {
        let mut client = world.log_in(kind, UserId::new_v7()).await;
        let asking = async {
            for id in 0..2_000 {
                client.call(id % 200, SYNC, "", vec![1; 60_000]).await;
            }
        };
        // It may be the client that waits: then the edge has stopped reading from it, which bounds it as well.
        let _ = tokio::time::timeout(Duration::from_secs(3), asking).await;
        still_up(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_flood_is_shed() {
    let world = World::new().await;
    let (user, group) = (UserId::new_v7(), LogId::new_v7());
    world.core.join(user, group);
    let mut client = world.log_in(Kind::Wt, user).await;
    let Client::Wt(wt) = &mut client else { unreachable!() };
    let typing = ephemeral::Kind::Typing(v1::Typing { stopped: false });
    let ephemeral = v1::Ephemeral { conversation_id: group.to_string(), user_id: String::new(), kind: Some(typing) };
    let datagram: Bytes =
        prost::Message::encode_to_vec(&v1::ClientFrame::from(client_frame::Frame::Ephemeral(ephemeral))).into();
    for n in 0..50_000 {
        wt.session.send_datagram(datagram.clone()).unwrap();
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    client.call(1, SYNC, "", Bytes::new()).await;
    assert!(client.next_reply().await.error.is_none());
    let typing = || world.core.seen(|item| matches!(item, edge_item::Item::Ephemeral(_)).then_some(())).len();
    eventually("some typing passes", || typing() > 0).await;
    assert!(typing() < 500, "{}", typing());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_that_is_no_frame() {
    let world = World::new().await;
    let mut client = world.log_in(Kind::Wt, UserId::new_v7()).await;
    let Client::Wt(wt) = &mut client else { unreachable!() };
    wt.session.send_datagram(Bytes::from_static(&[0xff; 20])).unwrap();
    ends_with(&world, &mut client, CloseCode::ProtocolError).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_where_one_is_not_a_member_goes_nowhere() {
    let world = World::new().await;
    let mut client = world.log_in(Kind::Ws, UserId::new_v7()).await;
    let typing = ephemeral::Kind::Typing(v1::Typing { stopped: false });
    let ephemeral =
        v1::Ephemeral { conversation_id: LogId::new_v7().to_string(), user_id: String::new(), kind: Some(typing) };
    client.send(client_frame::Frame::Ephemeral(ephemeral)).await;
    client.call(1, SYNC, "", Bytes::new()).await;
    assert!(client.next_reply().await.error.is_none());
    assert!(world.core.seen(|item| matches!(item, edge_item::Item::Ephemeral(_)).then_some(())).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_a_server_that_a_client_must_not_send() {
    let world = World::new().await;
    let mut client = world.log_in(Kind::Ws, UserId::new_v7()).await;
    let Client::Ws(socket, _) = &mut client else { unreachable!() };
    socket.send(Message::text("{}")).await.unwrap();
    ends_with(&world, &mut client, CloseCode::ProtocolError).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unmasked_frames() {
    let world = World::new().await;
    let mut client = world.log_in(Kind::Ws, UserId::new_v7()).await;
    let Client::Ws(socket, _) = &mut client else { unreachable!() };
    socket.get_mut().write_all(&[0x82, 2, 1, 0]).await.unwrap();
    ends_with(&world, &mut client, CloseCode::ProtocolError).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocket_pings_are_answered() {
    let world = World::new().await;
    let mut client = world.log_in(Kind::Wss, UserId::new_v7()).await;
    let Client::Wss(socket, _) = &mut client else { unreachable!() };
    socket.send(Message::Ping(Bytes::from_static(b"there?"))).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"there?")));
}

/// Garbage where HTTP, TLS and QUIC are expected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_sockets() {
    let world = World::new().await;
    for address in [world.http_address(), world.edge_address()] {
        let mut tcp = std::net::TcpStream::connect(address).unwrap();
        tcp.write_all(&[0xfe; 4_096]).unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.send_to(&[0xc0; 1_200], address).unwrap();
        udp.send_to(&[0x40; 30], address).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let mut tcp = tokio::net::TcpStream::from_std(tcp).unwrap();
        let mut answer = Vec::new();
        let _ = soon(tcp.read_to_end(&mut answer)).await;
    }
    still_up(&world).await;
}
