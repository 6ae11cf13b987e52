//! What a session does, the same over each transport.

use gogochat_edge::Limits;
use gogochat_proto::{
    close::CloseCode,
    ids::{LogId, UserId},
    v1::{self, client_frame, server_frame},
};

use crate::{World, client::KINDS, eventually, soon};

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
