//! The core goes and comes; what clients see of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    ids::{LogId, UserId},
    node::{self, core_item, edge_item},
    v1::{self, client_frame, server_frame},
};

use crate::{
    World,
    client::{KINDS, Kind},
    eventually, soon, within,
};

const SEND: &str = "gogochat.v1.ChatService/SendMessage";
const SYNC: &str = "gogochat.v1.SyncService/Sync";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_outlive_the_core() {
    let world = World::new().await;
    let (user, group) = (UserId::new_v7(), LogId::new_v7());
    world.core.join(user, group);
    let mut client = world.log_in(Kind::Wt, user).await;
    eventually("interest", || world.core.is_interested(group)).await;
    world.core.commit(group, 10);
    assert_eq!(client.next_event().await, 1);

    // One call is under way as the core goes, one comes while it is away.
    world.core.set_mute(true);
    client.call(1, SEND, &group.to_string(), &b"first"[..]).await;
    let commands = || world.core.seen(|item| matches!(item, edge_item::Item::Command(_)).then_some(())).len();
    eventually("the call is under way", || commands() == 1).await;
    world.core.set_away(true);
    let reply = client.next_reply().await;
    assert_eq!((reply.id, reply.error.unwrap().code.as_str()), (1, "unavailable"));
    eventually("not ready", || world.edge.handle().ready().is_err()).await;
    let asked = Instant::now();
    for (id, method, code) in [(2, SEND, "out_of_order"), (3, SYNC, "unavailable")] {
        client.call(id, method, &group.to_string(), &b"second"[..]).await;
        let error = client.next_reply().await.error.unwrap();
        assert_eq!(error.code, code);
        assert!(error.retryable());
    }
    assert!(asked.elapsed() < Duration::from_secs(2));

    // Meanwhile another edge's client wrote; what this one misses is replayed, once and in order.
    world.core.commit_silently(group);
    world.core.set_mute(false);
    world.core.set_away(false);
    within(Duration::from_secs(10), world.edge.handle().attached()).await;
    assert_eq!(client.next_event().await, 2);
    assert_eq!(world.core.attached(), 2);
    let principals = world.core.seen(|item| match item {
        edge_item::Item::Open(open) => Some((open.principal.is_some(), open.access_token.is_empty())),
        _ => None,
    });
    assert_eq!(principals.last(), Some(&(true, true)));
    client.call(4, SEND, &group.to_string(), &b"first"[..]).await;
    let mut frames = [client.next().await, client.next().await];
    frames.sort_by_key(|frame| matches!(frame, server_frame::Frame::Event(_)));
    assert!(matches!(&frames[0], server_frame::Frame::Reply(reply) if reply.id == 4 && reply.error.is_none()));
    assert!(matches!(&frames[1], server_frame::Frame::Event(event) if event.seq == 3));
}

/// As when so many come to a core at once that it refuses some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_session_that_is_refused_for_now_is_asked_for_again() {
    let world = World::new().await;
    let (user, group) = (UserId::new_v7(), LogId::new_v7());
    let mut client = world.log_in(Kind::Wt, user).await;
    world.core.set_full(true);
    world.core.set_away(true);
    eventually("not ready", || world.edge.handle().ready().is_err()).await;
    world.core.set_away(false);
    let opens = || {
        let known = |item: &edge_item::Item| matches!(item, edge_item::Item::Open(open) if open.principal.is_some());
        world.core.seen(|item| known(item).then_some(())).len()
    };
    eventually("it is asked again, and again", || opens() > 2).await;
    world.core.set_full(false);
    let asked = opens();
    eventually("it is asked once more", || opens() > asked).await;
    client.call(1, SEND, &group.to_string(), &b"still here"[..]).await;
    assert_eq!(client.next_reply().await.error, None);
    // Who comes anew is told to come later.
    world.core.set_full(true);
    let mut new = soon(world.connect(Kind::Ws)).await;
    let hello = v1::Hello { access_token: format!("user {user}"), ..Default::default() };
    new.send(client_frame::Frame::Hello(hello)).await;
    let code = u32::from(CloseCode::Unavailable.code());
    assert_eq!(soon(new.end()).await, (Some(code), code));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_overtakes_what_was_refused_whichever_stream_it_comes_on() {
    let world = World::new().await;
    let (user, a, b) = (UserId::new_v7(), LogId::new_v7(), LogId::new_v7());
    let (a, b) = (a.to_string(), b.to_string());
    let mut client = world.log_in(Kind::Ws, user).await;
    let commands = || {
        // Of the latest stream.
        let mut bodies = Vec::new();
        world.core.seen(|item| -> Option<()> {
            match item {
                edge_item::Item::Hello(_) => bodies.clear(),
                edge_item::Item::Command(command) => bodies.push(command.body.clone()),
                _ => {}
            }
            None
        });
        bodies
    };

    // The stream breaks in the middle of a pipeline.
    world.core.set_mute(true);
    client.call(1, SEND, &a, &b"1"[..]).await;
    client.call(2, SEND, &a, &b"2"[..]).await;
    eventually("both are under way", || commands().len() == 2).await;
    world.core.hold_opens();
    world.core.set_away(true);
    for id in [1, 2] {
        assert_eq!(refusal(&mut client).await, (id, "unavailable".into()));
    }
    eventually("not ready", || world.edge.handle().ready().is_err()).await;
    world.core.set_mute(false);
    world.core.set_away(false);
    within(Duration::from_secs(10), world.edge.handle().attached()).await;

    // It is there again, and the rest of the pipeline comes: the session is not open there yet.
    let later = [(3, &a, "out_of_order"), (4, &b, "unavailable"), (5, &b, "out_of_order")];
    for (id, key, code) in later {
        client.call(id, SEND, key, id.to_string()).await;
        assert_eq!(refusal(&mut client).await, (id, code.into()));
    }
    eventually("it is announced", || {
        let mut kinds = Vec::new();
        world.core.seen(|item| -> Option<()> {
            kinds.push(std::mem::discriminant(item));
            None
        });
        // The login's open came with a token of its own.
        world
            .core
            .seen(|item| matches!(item, edge_item::Item::Open(open) if open.principal.is_some()).then_some(()))
            .len()
            == 1
            && kinds.len() > 2
    })
    .await;
    assert!(commands().is_empty(), "nothing goes to a core that has not opened the session");

    world.core.open_held();
    eventually("interest", || world.core.is_interested(user.into())).await;
    let seq = world.core.commit(user.into(), 1);
    assert_eq!(client.next_event().await, seq, "it is open again");
    client.call(6, SEND, &a, &b"2"[..]).await;
    assert_eq!(refusal(&mut client).await, (6, "out_of_order".into()));
    for (id, body) in [(7, "1"), (8, "2"), (9, "3")] {
        client.call(id, SEND, &a, body).await;
        assert_eq!(accepted(&mut client).await, id);
    }
    assert_eq!(commands(), ["1", "2", "3"]);

    // The core itself refuses, and then its stream, and with it what it knows of that, is lost.
    world.core.set_overloaded(true);
    client.call(10, SEND, &a, &b"4"[..]).await;
    assert_eq!(refusal(&mut client).await, (10, "overloaded".into()));
    world.core.set_overloaded(false);
    world.core.set_away(true);
    eventually("not ready", || world.edge.handle().ready().is_err()).await;
    world.core.set_away(false);
    within(Duration::from_secs(10), world.edge.handle().attached()).await;
    eventually("interest", || world.core.is_interested(user.into())).await;
    let seq = world.core.commit(user.into(), 1);
    assert_eq!(client.next_event().await, seq, "it is open again");
    client.call(11, SEND, &a, &b"5"[..]).await;
    assert_eq!(refusal(&mut client).await, (11, "out_of_order".into()));
    for (id, body) in [(12, "4"), (13, "5")] {
        client.call(id, SEND, &a, body).await;
        assert_eq!(accepted(&mut client).await, id);
    }
    assert_eq!(commands(), ["4", "5"]);
}

async fn refusal(client: &mut crate::client::Client) -> (u32, String) {
    let reply = client.next_reply().await;
    (reply.id, reply.error.expect("a refusal").code)
}

async fn accepted(client: &mut crate::client::Client) -> u32 {
    let reply = client.next_reply().await;
    assert_eq!(reply.error, None);
    reply.id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_while_the_core_is_away() {
    let world = World::new().await;
    world.core.set_away(true);
    eventually("not ready", || world.edge.handle().ready().is_err()).await;
    // One that comes just before the core is back is served.
    let mut early = soon(world.connect(Kind::Ws)).await;
    early.hello(&format!("user {}", UserId::new_v7())).await;
    world.core.set_away(false);
    assert!(matches!(early.next_or_end().await, Ok(server_frame::Frame::Welcome(_)) | Err(4103)));
    world.core.set_away(true);
    for kind in KINDS {
        let mut client = soon(world.connect(kind)).await;
        client.hello(&format!("user {}", UserId::new_v7())).await;
        let code = u32::from(CloseCode::Unavailable.code());
        assert_eq!(soon(client.end()).await, (Some(code), code));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_fan_out_is_fetched_again() {
    let world = World::new().await;
    let (user, group) = (UserId::new_v7(), LogId::new_v7());
    world.core.join(user, group);
    let mut client = world.log_in(Kind::Wss, user).await;
    eventually("interest", || world.core.is_interested(group)).await;
    world.core.commit(group, 1);
    world.core.commit_silently(group);
    world.core.commit_silently(group);
    world.core.commit(group, 1);
    for seq in 1..=4 {
        assert_eq!(client.next_event().await, seq);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_and_leaving_by_the_own_log() {
    let world = World::new().await;
    let (user, group) = (UserId::new_v7(), LogId::new_v7());
    let mut devices = vec![world.log_in(Kind::Wt, user).await, world.log_in(Kind::Ws, user).await];
    world.core.commit(group, 1);
    eventually("interest in the own log", || world.core.is_interested(user.into())).await;
    let join = node::Subscription { log_id: group.to_bytes(), from_seq: 1 };
    world.core.commit_event(user.into(), 1, Some(join), Bytes::new());
    for device in &mut devices {
        assert_eq!(device.next_event().await, 1);
    }
    eventually("interest", || world.core.is_interested(group)).await;
    world.core.commit(group, 1);
    for device in &mut devices {
        assert_eq!(device.next_event().await, 2);
    }
    world.core.commit_event(user.into(), 1, None, group.to_bytes());
    for device in &mut devices {
        assert_eq!(device.next_event().await, 2);
    }
    eventually("no interest", || !world.core.is_interested(group)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_device_is_signed_out_and_others_stay() {
    let world = World::new().await;
    let user = UserId::new_v7();
    let mut sessions = Vec::new();
    for kind in KINDS {
        let mut client = soon(world.connect(kind)).await;
        client.hello(&format!("user {user}")).await;
        let server_frame::Frame::Welcome(welcome) = client.next().await else { panic!() };
        sessions.push((client, welcome.device_id.parse::<gogochat_proto::ids::DeviceId>().unwrap()));
    }
    let revoke = |device_id: Bytes, except_device_id: Bytes| {
        world.core.tell(core_item::Item::Revoke(node::Revoke {
            user_id: user.to_bytes(),
            device_id,
            except_device_id,
            close_code: CloseCode::SignedOut.code().into(),
            reason: String::new(),
        }));
    };
    let code = u32::from(CloseCode::SignedOut.code());
    revoke(sessions[0].1.to_bytes(), Bytes::new());
    assert_eq!(soon(sessions[0].0.end()).await, (Some(code), code));
    revoke(Bytes::new(), sessions[1].1.to_bytes());
    assert_eq!(soon(sessions[2].0.end()).await, (Some(code), code));
    sessions[1].0.send(client_frame::Frame::Ping(v1::Ping { nonce: 3 })).await;
    assert_eq!(sessions[1].0.next().await, server_frame::Frame::Pong(v1::Pong { nonce: 3 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ephemerals_go_to_others_and_watermarks_to_all() {
    let world = World::new().await;
    let group = LogId::new_v7();
    let users: Vec<_> = KINDS.iter().map(|_| UserId::new_v7()).collect();
    let mut clients = Vec::new();
    for (kind, user) in KINDS.into_iter().zip(&users) {
        world.core.join(*user, group);
        clients.push(world.log_in(kind, *user).await);
    }
    eventually("interest", || world.core.is_interested(group)).await;
    let watermark = v1::Watermark { delivered_seq: 7, ..Default::default() };
    let frame = v1::ServerFrame::from(server_frame::Frame::Watermark(watermark.clone()));
    let down = |kind: node::EphemeralKind, skip_subject: bool, frame: &v1::ServerFrame| {
        world.core.tell(core_item::Item::Ephemeral(node::EphemeralDown {
            log_id: group.to_bytes(),
            subject: users[0].to_bytes(),
            skip_subject,
            kind: kind.into(),
            frame: prost::Message::encode_to_vec(frame).into(),
        }));
    };
    let typing = v1::Ephemeral {
        conversation_id: group.to_string(),
        kind: Some(v1::ephemeral::Kind::Typing(v1::Typing::default())),
        ..Default::default()
    };
    let typing = v1::ServerFrame::from(server_frame::Frame::Ephemeral(typing));
    down(node::EphemeralKind::Typing, true, &typing);
    down(node::EphemeralKind::Watermark, false, &frame);
    for (index, (kind, client)) in KINDS.into_iter().zip(&mut clients).enumerate() {
        match kind {
            Kind::Wt => {
                let crate::client::Client::Wt(wt) = &client else { unreachable!() };
                let datagram = soon(wt.session.read_datagram()).await.unwrap();
                assert_eq!(datagram, prost::Message::encode_to_vec(&typing));
            }
            _ if index > 0 => assert_eq!(Some(client.next().await), typing.frame),
            _ => {}
        }
        assert_eq!(client.next().await, server_frame::Frame::Watermark(watermark.clone()), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_tells_finishes_and_closes() {
    let world = World::new().await;
    let mut clients = Vec::new();
    for kind in KINDS {
        clients.push(world.log_in(kind, UserId::new_v7()).await);
    }
    let handle = world.edge.handle();
    let (core, edge) = (world.core, world.edge);
    core.set_mute(true);
    let targets = ["https://a.example".to_owned(), "https://b.example:8443".to_owned()];
    let draining = tokio::spawn({
        let targets = targets.clone();
        async move { edge.drain(Duration::from_secs(3), &targets).await }
    });
    let mut named = Vec::new();
    for client in &mut clients {
        let server_frame::Frame::Drain(drain) = client.next().await else { panic!("no Drain") };
        // What is left of it.
        assert!((1..=3_000).contains(&drain.deadline_ms), "{}", drain.deadline_ms);
        named.push(drain.target);
        // What is under way goes on until the deadline.
        client.call(1, SYNC, "", &b"last"[..]).await;
        assert_eq!(client.next_reply().await.body, "last");
    }
    for target in &targets {
        let share = named.iter().filter(|named| *named == target).count();
        assert!(share.abs_diff(clients.len() / 2) <= 1, "{named:?}");
    }
    assert!(handle.ready().is_err());
    let code = u32::from(CloseCode::Draining.code());
    for client in &mut clients {
        assert_eq!(soon(client.end()).await, (Some(code), code));
    }
    within(Duration::from_secs(10), draining).await.unwrap();
    assert_eq!(handle.sessions(), 0);
}
