//! What a session does, the same over each transport.

use gogochat_edge::Limits;
use gogochat_proto::{
    close::CloseCode,
    frame::encode,
    ids::{LogId, UserId},
    v1::{self, client_frame, server_frame},
};

use crate::{
    World,
    client::{Client, KINDS, Kind},
    eventually, soon,
};

const SEND: &str = "gogochat.v1.ChatService/SendMessage";
const SYNC: &str = "gogochat.v1.SyncService/Sync";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_call_and_fan_out_over_each() {
    let world = World::new().await;
    let group = LogId::new_v7();
    let mut clients = Vec::new();
    for kind in KINDS {
        let user = UserId::new_v7();
        world.core.join(user, group);
        clients.push(world.log_in(kind, user).await);
    }
    for client in &mut clients {
        client.call(1, SYNC, "", &b"body"[..]).await;
        let reply = client.next_reply().await;
        assert_eq!((reply.id, &reply.body[..], reply.error), (1, &b"body"[..], None));
    }
    clients[0].call(2, SEND, &group.to_string(), vec![7; 40]).await;
    for (index, client) in clients.iter_mut().enumerate() {
        let mut frames = vec![client.next().await];
        if index == 0 {
            frames.push(client.next().await);
            assert!(
                frames.iter().any(|f| matches!(f, server_frame::Frame::Reply(r) if r.id == 2 && r.error.is_none()))
            );
        }
        assert!(frames.iter().any(|f| matches!(f, server_frame::Frame::Event(e) if e.seq == 1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_over_websocket() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;

    let world = World::new().await;
    let (user, group) = (UserId::new_v7(), LogId::new_v7());
    world.core.join(user, group);
    let mut socket = world.ws("gogochat.v1.json", Some(crate::ORIGIN)).await.unwrap();
    let hello = serde_json::json!({ "hello": { "accessToken": format!("user {user}") } });
    socket.send(Message::text(hello.to_string())).await.unwrap();
    let mut next = async || -> serde_json::Value {
        let message = soon(socket.next()).await.unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    };
    assert_eq!(next().await["welcome"]["userId"], user.to_string());
    eventually("interest", || world.core.is_interested(group)).await;
    world.core.commit(group, 3);
    assert_eq!(next().await["event"]["message"]["text"], "xxx");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_json_call_that_is_not_its_methods_request_is_answered() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;

    let world = World::new().await;
    let mut socket = world.ws("gogochat.v1.json", None).await.unwrap();
    let send = "gogochat.v1.ChatService/SendMessage";
    let call = |id: u32, body: serde_json::Value| {
        Message::text(serde_json::json!({ "call": { "id": id, "method": send, "key": "k", "body": body } }).to_string())
    };
    let hello = serde_json::json!({ "hello": { "accessToken": format!("user {}", UserId::new_v7()) } });
    socket.send(Message::text(hello.to_string())).await.unwrap();
    soon(socket.next()).await.unwrap().unwrap();
    for (body, code) in
        [(serde_json::json!({ "text": 5 }), "invalid_argument"), (serde_json::json!([]), "malformed_body")]
    {
        socket.send(call(7, body)).await.unwrap();
        let reply = soon(socket.next()).await.unwrap().unwrap();
        let reply: serde_json::Value = serde_json::from_str(reply.to_text().unwrap()).unwrap();
        assert_eq!((reply["reply"]["id"].as_u64(), reply["reply"]["error"]["code"].as_str()), (Some(7), Some(code)));
    }
    // The session goes on.
    socket.send(Message::text(r#"{"ping":{"nonce":"5"}}"#)).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::text(r#"{"pong":{"nonce":"5"}}"#));

    // Before Hello there are no calls, whatever their body.
    let mut socket = world.ws("gogochat.v1.json", None).await.unwrap();
    socket.send(call(7, serde_json::json!({ "text": 5 }))).await.unwrap();
    loop {
        if let Message::Close(close) = soon(socket.next()).await.unwrap().unwrap() {
            break assert_eq!(u16::from(close.unwrap().code), 4000);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_in_order_over_each() {
    let world = World::new().await;
    let group = LogId::new_v7();
    for kind in KINDS {
        let user = UserId::new_v7();
        world.core.join(user, group);
        let mut client = world.log_in(kind, user).await;
        eventually("interest", || world.core.is_interested(group)).await;
        let first = world.core.last_seq(group) + 1;
        for _ in 0..500 {
            world.core.commit(group, 100);
        }
        for seq in first..first + 500 {
            assert_eq!(client.next_event().await, seq, "{kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ping_is_answered() {
    let world = World::new().await;
    for kind in KINDS {
        let mut client = world.log_in(kind, UserId::new_v7()).await;
        client.send(client_frame::Frame::Ping(v1::Ping { nonce: 99 })).await;
        assert_eq!(client.next().await, server_frame::Frame::Pong(v1::Pong { nonce: 99 }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_sessions_than_the_edge_may_have() {
    let world = World::with(Limits { sessions: 2, ..Limits::default() }).await;
    let user = UserId::new_v7();
    for kind in KINDS {
        let mut sessions = vec![world.log_in(kind, user).await, world.log_in(kind, user).await];
        let mut third = soon(world.connect(kind)).await;
        third.hello(&format!("user {user}")).await;
        let code = u32::from(CloseCode::Unavailable.code());
        assert_eq!(soon(third.end()).await.1, code, "{kind:?}");
        drop(sessions.pop());
        eventually("there is room", || world.edge.handle().sessions() == 1).await;
        sessions.push(world.log_in(kind, user).await);
        drop(sessions);
        eventually("all have gone", || world.edge.handle().sessions() == 0).await;
    }
}

/// docs/protocol.md, section 3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_and_calls_in_one_write_are_welcomed_and_answered() {
    let world = World::new().await;
    for kind in KINDS {
        let user = UserId::new_v7();
        let hello = v1::Hello { access_token: format!("user {user}"), client: "test/1".into(), ..Default::default() };
        let call = |id: u32| v1::Call { id, method: SYNC.into(), body: vec![7; 10].into(), ..Default::default() };
        let frames =
            [client_frame::Frame::Hello(hello), client_frame::Frame::Call(call(1)), client_frame::Frame::Call(call(2))];
        let bytes: Vec<u8> = frames.into_iter().flat_map(|frame| encode(&v1::ClientFrame::from(frame))).collect();
        let mut client = world.connect(kind).await;
        client.send_bytes(bytes.into()).await;
        assert!(matches!(client.next().await, server_frame::Frame::Welcome(_)), "{kind:?}");
        let mut answered = [client.next_reply().await.id, client.next_reply().await.id];
        answered.sort_unstable();
        assert_eq!(answered, [1, 2], "{kind:?}");
    }
}

/// RFC 6455 section 5.5.1: browsers tell of an abnormal end (1006) where no answer comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_client_that_closes_is_answered_with_its_own_code() {
    use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
    use tokio_tungstenite::tungstenite::{
        Error, Message,
        protocol::{CloseFrame, frame::coding::CloseCode as Code},
    };

    async fn close<S>(socket: &mut S, code: Option<Code>) -> Option<Code>
    where
        S: Sink<Message, Error = Error> + Stream<Item = Result<Message, Error>> + Unpin,
    {
        let frame = code.map(|code| CloseFrame { code, reason: "bye".into() });
        socket.send(Message::Close(frame)).await.unwrap();
        soon(async {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Close(answer))) => return answer.map(|answer| answer.code),
                    Some(Ok(_)) => {}
                    end => panic!("an end without a Close frame: {end:?}"),
                }
            }
        })
        .await
    }

    let world = World::new().await;
    for kind in [Kind::Ws, Kind::Wss] {
        for code in [Some(Code::Normal), Some(Code::Away), Some(Code::Library(4_999)), None] {
            for is_open in [false, true] {
                let mut client = match is_open {
                    true => world.log_in(kind, UserId::new_v7()).await,
                    false => world.connect(kind).await,
                };
                let answer = match &mut client {
                    Client::Ws(socket, _) => close(&mut **socket, code).await,
                    Client::Wss(socket, _) => close(&mut **socket, code).await,
                    Client::Wt(_) => unreachable!(),
                };
                assert_eq!(answer, code, "{kind:?}, open: {is_open}");
            }
        }
    }
}
