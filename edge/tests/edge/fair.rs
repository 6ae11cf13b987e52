//! What one client sends does not hold up others, and so many sessions get no more than a few.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use gogochat_proto::{
    close::CloseCode,
    frame,
    ids::{LogId, UserId},
    limits::{FRAMES_A_SECOND, MAX_CALLS_IN_FLIGHT, MAX_CALLS_OF_USER, MAX_FRAME, TYPING_INTERVAL},
    node::{self, core_item, edge_item},
    v1::{self, client_frame, ephemeral, server_frame},
};
use gogochat_testkit::attack::flood::Flood;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    World,
    client::{Client, KINDS, Kind},
    eventually, soon, within,
};

const SEND: &str = "gogochat.v1.ChatService/SendMessage";
const SYNC: &str = "gogochat.v1.SyncService/Sync";
/// Frames that a session may send at once.
const AT_ONCE: u64 = 5 * FRAMES_A_SECOND as u64;

fn ping(nonce: u64) -> Bytes {
    frame::encode(&v1::ClientFrame::from(client_frame::Frame::Ping(v1::Ping { nonce })))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_pings_do_not_hold_up_anothers_calls() {
    let world = World::new().await;
    let mut neighbour = world.log_in(Kind::Ws, UserId::new_v7()).await;
    let (before_hello, live) = (Flood::default(), Flood::default());
    let floods = [(before_hello.clone(), None), (live.clone(), Some(format!("user {}", UserId::new_v7())))];
    let address = world.http_address();
    let floods = floods.map(|(flood, token)| tokio::spawn(async move { flood.pings(address, token.as_deref()).await }));
    eventually("what passes at once has", || before_hello.answered() > AT_ONCE && live.answered() > AT_ONCE).await;
    let answered = || before_hello.answered() + live.answered();
    let (start, before) = (Instant::now(), answered());
    for id in 0..100 {
        neighbour.call(id, SYNC, "", &b"x"[..]).await;
        assert_eq!(neighbour.next_reply().await.id, id);
    }
    // Both sockets are full all the time; both are read at their rate and no faster.
    let most = 2.0 * FRAMES_A_SECOND as f64 * start.elapsed().as_secs_f64() + 20.0;
    let between = (answered() - before) as f64;
    assert!(between <= most, "{between} frames of others, {most} at most");
    assert!(before_hello.sent() > 2 * AT_ONCE && live.sent() > 2 * AT_ONCE);
    floods.iter().for_each(tokio::task::JoinHandle::abort);
}

/// On one thread: what a client reads at once was written in one turn of the edge's.
#[tokio::test]
async fn a_reader_gives_way_after_so_many_frames() {
    let world = World::new().await;
    let mut client = soon(world.connect(Kind::Ws)).await;
    let Client::Ws(socket, _) = &mut client else { unreachable!() };
    let socket = socket.get_mut();
    // Empty pings, all of which come together.
    socket.write_all(&[0x89, 0x80, 0, 0, 0, 0].repeat(AT_ONCE as usize)).await.unwrap();
    let (mut pongs, mut most, mut buffer) = (0, 0, vec![0; 64 * 1024]);
    while pongs < AT_ONCE as usize {
        let read = soon(socket.read(&mut buffer)).await.unwrap() / 2;
        pongs += read;
        most = most.max(read);
    }
    // Tokio's budget of a turn is 128.
    assert!(most <= 4 * 128, "{most} of {pongs} frames in one turn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_at_the_limit_and_past_it() {
    let world = World::new().await;
    for kind in KINDS {
        let mut client = world.log_in(kind, UserId::new_v7()).await;
        let start = Instant::now();
        // Past what passes at once by as many as pass in a second.
        let count = AT_ONCE + FRAMES_A_SECOND as u64;
        for first in (0..count).step_by(100) {
            let pings: Vec<u8> = (first..first + 100).flat_map(ping).collect();
            client.send_bytes(pings.into()).await;
        }
        for nonce in 0..count {
            assert_eq!(client.next().await, server_frame::Frame::Pong(v1::Pong { nonce }));
        }
        assert!(start.elapsed() >= Duration::from_millis(950), "{kind:?}: {:?}", start.elapsed());
        // It is no mistake: the session goes on.
        client.call(1, SYNC, "", &b"x"[..]).await;
        assert_eq!(client.next_reply().await.body, "x");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_message_of_many_frames_at_the_limit_and_past_it() {
    let world = World::new().await;
    let mut client = world.log_in(Kind::Ws, UserId::new_v7()).await;
    let call = |id: u32, size: usize| {
        let call = |body: usize| v1::Call { id, method: SYNC.into(), key: String::new(), body: vec![1; body].into() };
        let frame = |body| frame::encode(&v1::ClientFrame::from(client_frame::Frame::Call(call(body))));
        let frame = frame(size - (frame(300).len() - 300));
        assert_eq!(frame.len(), size);
        frame
    };
    // What a frame of the largest size takes with its length.
    let mut message: BytesMut = (128..256).flat_map(|id| call(id, 512)).collect();
    message.extend(ping(0));
    assert_eq!(message.len(), MAX_FRAME + 3);
    client.send_bytes(message.clone().freeze()).await;
    for _ in 0..=128 {
        let next = client.next().await;
        assert!(matches!(
            next,
            server_frame::Frame::Reply(v1::Reply { error: None, .. }) | server_frame::Frame::Pong(_)
        ));
    }
    message.extend(ping(0));
    client.send_bytes(message.freeze()).await;
    let code = u32::from(CloseCode::FrameTooLarge.code());
    assert_eq!(soon(client.end()).await, (Some(code), code));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_calls_wait_outside_the_ordered_lane() {
    let world = World::new().await;
    for kind in KINDS {
        let mut client = world.log_in(kind, UserId::new_v7()).await;
        world.core.set_pondering(true);
        for id in 0..MAX_CALLS_IN_FLIGHT as u32 {
            client.call(id, SYNC, "", Bytes::new()).await;
        }
        client.send(client_frame::Frame::Ping(v1::Ping { nonce: 1 })).await;
        // None was refused.
        assert_eq!(client.next().await, server_frame::Frame::Pong(v1::Pong { nonce: 1 }));
        world.core.set_pondering(false);
        for _ in 0..MAX_CALLS_IN_FLIGHT {
            assert_eq!(client.next_reply().await.error, None);
        }
        world.core.set_pondering(true);
        for id in 0..=MAX_CALLS_IN_FLIGHT as u32 {
            client.call(id, SYNC, "", Bytes::new()).await;
        }
        let code = u32::from(CloseCode::TooManyCalls.code());
        assert_eq!(soon(client.end()).await, (Some(code), code));
        world.core.set_pondering(false);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_user_at_the_limit_and_past_it() {
    let world = World::new().await;
    world.core.set_mute(true);
    let (user, key) = (UserId::new_v7(), LogId::new_v7().to_string());
    let mut sessions = Vec::new();
    for kind in KINDS.into_iter().cycle().take(MAX_CALLS_OF_USER / MAX_CALLS_IN_FLIGHT) {
        let mut client = world.log_in(kind, user).await;
        for id in 0..MAX_CALLS_IN_FLIGHT as u32 {
            client.call(id, SEND, &key, Bytes::new()).await;
        }
        client.send(client_frame::Frame::Ping(v1::Ping { nonce: 1 })).await;
        assert_eq!(client.next().await, server_frame::Frame::Pong(v1::Pong { nonce: 1 }));
        sessions.push(client);
    }
    let mut late = world.log_in(Kind::Ws, user).await;
    for (id, method) in [(1, SEND), (2, SYNC)] {
        late.call(id, method, &key, Bytes::new()).await;
        let error = late.next_reply().await.error.unwrap();
        assert_eq!((error.code.as_str(), error.retryable()), ("rate_limited", true));
    }
    // Another user has a share of their own.
    let mut neighbour = world.log_in(Kind::Ws, UserId::new_v7()).await;
    neighbour.call(1, SYNC, "", &b"x"[..]).await;
    assert_eq!(neighbour.next_reply().await.body, "x");
    // A session that ends gives its places back.
    drop(sessions.pop());
    let mut id = 10;
    within(Duration::from_secs(10), async {
        loop {
            id += 1;
            late.call(id, SYNC, "", &b"x"[..]).await;
            if late.next_reply().await.error.is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_calls_do_not_hold_up_anothers() {
    let world = World::new().await;
    let (user, address) = (UserId::new_v7(), world.http_address());
    let floods: Vec<_> = (0..4).map(|_| Flood::default()).collect();
    let tasks: Vec<_> = floods
        .iter()
        .cloned()
        .map(|flood| {
            tokio::spawn(
                async move { flood.calls(address, &format!("user {user}"), "nothing", "", |_| Vec::new()).await },
            )
        })
        .collect();
    let answered = || floods.iter().map(Flood::answered).sum::<u64>();
    // What is refused is a frame as any other.
    eventually("what passes at once has", || floods.iter().all(|flood| flood.answered() > AT_ONCE)).await;
    let mut neighbour = world.log_in(Kind::Wt, UserId::new_v7()).await;
    let (start, before) = (Instant::now(), answered());
    for id in 0..100 {
        neighbour.call(id, SYNC, "", &b"x"[..]).await;
        assert_eq!(neighbour.next_reply().await.id, id);
    }
    let most = 4.0 * FRAMES_A_SECOND as f64 * start.elapsed().as_secs_f64() + 40.0;
    let between = (answered() - before) as f64;
    assert!(between <= most, "{between} calls of others, {most} at most");
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_sessions_that_flood_with_typing_say_it_once() {
    let world = World::new().await;
    let (user, group, address) = (UserId::new_v7(), LogId::new_v7(), world.http_address());
    world.core.join(user, group);
    let start = Instant::now();
    let floods: Vec<_> = (0..10).map(|_| Flood::default()).collect();
    let tasks: Vec<_> = floods
        .iter()
        .cloned()
        .map(|flood| {
            let (token, group) = (format!("user {user}"), group.to_string());
            tokio::spawn(async move { flood.typing(address, &token, &group).await })
        })
        .collect();
    let typing = || world.core.seen(|item| matches!(item, edge_item::Item::Ephemeral(_)).then_some(())).len();
    eventually("it is said again", || typing() >= 2).await;
    let said = typing() as f64;
    let most = 1.0 + start.elapsed().as_secs_f64() / TYPING_INTERVAL.as_secs_f64();
    assert!(said <= most, "{said} in {:?}", start.elapsed());
    assert!(start.elapsed() >= TYPING_INTERVAL);
    assert!(floods.iter().all(|flood| flood.sent() >= AT_ONCE));
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_is_delivered_once_whichever_edge_it_was_said_at() {
    let world = World::new().await;
    let group = LogId::new_v7();
    let users: Vec<_> = (0..3).map(|_| UserId::new_v7()).collect();
    let mut clients = Vec::new();
    for user in &users {
        world.core.join(*user, group);
        // Frames are counted, and datagrams may be lost.
        clients.push(world.log_in(Kind::Ws, *user).await);
    }
    eventually("interest", || world.core.is_interested(group)).await;
    let typing = |subject: UserId, stopped: bool| {
        let kind = Some(ephemeral::Kind::Typing(v1::Typing { stopped }));
        let typing = v1::Ephemeral { conversation_id: group.to_string(), user_id: subject.to_string(), kind };
        let frame = v1::ServerFrame::from(server_frame::Frame::Ephemeral(typing));
        world.core.tell(core_item::Item::Ephemeral(node::EphemeralDown {
            log_id: group.to_bytes(),
            frame: prost::Message::encode_to_vec(&frame).into(),
            subject: subject.to_bytes(),
            skip_subject: true,
            kind: node::EphemeralKind::Typing.into(),
        }));
    };
    let start = Instant::now();
    // Each edge has passed it on, and the core has sent it on. That it changes is news, four times.
    for _ in 0..100 {
        typing(users[0], false);
    }
    for _ in 0..100 {
        typing(users[0], true);
        typing(users[0], false);
    }
    // Many members at once: the conversation has a budget for all of them, of which four are used.
    for _ in 0..100 {
        typing(UserId::new_v7(), false);
    }
    let seq = world.core.commit(group, 1);
    for (index, client) in clients.iter_mut().enumerate() {
        let mut got = 0;
        let end = loop {
            match client.next().await {
                server_frame::Frame::Ephemeral(_) => got += 1,
                server_frame::Frame::Event(event) => break event.seq,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(end, seq);
        // The one who types is not told.
        let at_once = if index == 0 { 16 } else { 20 };
        let most = at_once + 10 * (1 + start.elapsed().as_secs());
        assert!((at_once..=most).contains(&got), "{got} to {index}");
    }
}
