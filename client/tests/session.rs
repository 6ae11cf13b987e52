//! Connections and sessions against a small server, over every transport.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peer;

use std::time::Duration;

use gogochat_client::{CallError, ConnectError, Dialer, Session, Told, Transport, Trust};
use gogochat_proto::{
    close::CloseCode,
    error::ErrorCode,
    v1::{self, client_frame, server_frame::Frame},
};
use peer::{PATHS, Peer, within};
use sha2::{Digest as _, Sha256};

const SEND: &str = "gogochat.v1.ChatService/SendMessage";

fn request(text: &str) -> v1::SendMessageRequest {
    v1::SendMessageRequest { conversation_id: "c".into(), client_msg_id: "m".into(), text: text.into() }
}

#[tokio::test]
async fn calls_events_marks_and_typing() {
    let mut peer = Peer::start().await;
    for path in PATHS {
        let (dialer, target) = (peer.dialer(), peer.target(path).clone());
        let client = tokio::spawn(async move {
            let (session, mut told) = Session::connect(&dialer, &target, path.0, "token").await.unwrap();
            let first = session.call::<_, v1::SendMessageResponse>(SEND, "c", &request("hello")).await.unwrap();
            assert_eq!(first.seq, 42);
            let refused = session.call::<_, v1::SendMessageResponse>(SEND, "c", &request("no")).await.unwrap_err();
            assert_eq!(refused.code(), Some(ErrorCode::NotAMember));
            session.mark(vec![v1::Mark { conversation_id: "c".into(), delivered_seq: 3, read_seq: 2 }]).await.unwrap();
            session.typing("c", false).await.unwrap();
            let told = [told.recv().await.unwrap(), told.recv().await.unwrap()];
            (session, told)
        });

        let mut serving = peer.session().await;
        assert_eq!(serving.transport, path.0);
        let client_frame::Frame::Hello(hello) = serving.frame().await else { panic!("no Hello") };
        assert_eq!(hello.access_token, "token");
        serving.send(Frame::Welcome(peer::welcome())).await;
        let call = serving.call().await;
        assert_eq!((call.method.as_str(), call.key.as_str()), (SEND, "c"));
        serving.reply(call.id, &v1::SendMessageResponse { seq: 42, ..Default::default() }).await;
        let call = serving.call().await;
        serving.refuse(call.id, ErrorCode::NotAMember.with("no")).await;
        // A datagram may overtake the stream.
        let mut frames = [serving.frame().await, serving.frame().await];
        frames.sort_by_key(|frame| matches!(frame, client_frame::Frame::Ephemeral(_)));
        let [client_frame::Frame::Marks(marks), client_frame::Frame::Ephemeral(typing)] = frames else {
            panic!("not marks and typing")
        };
        assert_eq!(marks.marks[0].delivered_seq, 3);
        assert_eq!(typing.conversation_id, "c");
        serving.send(Frame::Event(v1::Event { log_id: "c".into(), seq: 1, ..Default::default() })).await;
        serving.send_lossy(Frame::Ephemeral(v1::Ephemeral { user_id: "p".into(), ..Default::default() })).await;

        let (session, told) = within(client).await.unwrap();
        assert!(told.iter().any(|t| matches!(t, Told::Event(event) if event.seq == 1)));
        assert!(told.iter().any(|t| matches!(t, Told::Ephemeral(e) if e.user_id == "p")));
        assert_eq!(within(session.close()).await, CloseCode::Done.into());
        assert!(serving.maybe().await.is_none(), "the server sees the end");
    }
}

#[tokio::test]
async fn the_server_says_why_it_closes() {
    let mut peer = Peer::start().await;
    for path in PATHS {
        for by_frame in [true, false] {
            let (dialer, target) = (peer.dialer(), peer.target(path).clone());
            let client = tokio::spawn(async move {
                let (session, _told) = Session::connect(&dialer, &target, path.0, "token").await.unwrap();
                let call = session.call::<_, v1::SendMessageResponse>(SEND, "c", &request("hello")).await.unwrap_err();
                (call, session.closed().await)
            });
            let mut serving = peer.signed_in().await;
            serving.call().await;
            if by_frame {
                serving.raw(gogochat_proto::frame::encode(&CloseCode::SignedOut.frame())).await;
            } else {
                serving.close(4005, "signed_out").await;
            }
            let (call, closed) = within(client).await.unwrap();
            assert_eq!(closed, CloseCode::SignedOut.into(), "{path:?} {by_frame}");
            assert!(matches!(call, CallError::Closed(why) if why == closed));
        }
    }
}

#[tokio::test]
async fn a_cut_transport_ends_the_session() {
    let mut peer = Peer::start().await;
    for path in PATHS {
        let (dialer, target) = (peer.dialer(), peer.target(path).clone());
        let client = tokio::spawn(async move {
            let (session, _told) = Session::connect(&dialer, &target, path.0, "token").await.unwrap();
            session.mark(Vec::new()).await.unwrap();
            session.closed().await
        });
        let mut serving = peer.signed_in().await;
        serving.frame().await;
        drop(serving);
        let closed = within(client).await.unwrap();
        assert!(closed.reconnect && closed.close_code().is_none(), "{closed:?}");
    }
}

#[tokio::test]
async fn a_refused_hello_and_what_is_no_frame() {
    let mut peer = Peer::start().await;
    for path in PATHS {
        for (bytes, code) in [
            (gogochat_proto::frame::encode(&CloseCode::TokenExpired.frame()), CloseCode::TokenExpired),
            (vec![0xff; 9].into(), CloseCode::ProtocolError),
            (vec![0x81, 0x80, 0x04].into(), CloseCode::FrameTooLarge),
        ] {
            let (dialer, target) = (peer.dialer(), peer.target(path).clone());
            let client = tokio::spawn(async move { Session::connect(&dialer, &target, path.0, "token").await });
            let mut serving = peer.session().await;
            serving.frame().await;
            serving.raw(bytes).await;
            let error = within(client).await.unwrap().unwrap_err();
            assert!(matches!(&error, ConnectError::Closed(closed) if *closed == code.into()), "{error:?}");
        }
    }
}

#[tokio::test]
async fn whom_a_dialer_trusts() {
    let mut peer = Peer::start().await;
    let hash: [u8; 32] = Sha256::digest(&peer.certificate).into();
    for path in &PATHS[..2] {
        for (trust, taken) in [
            (Trust::Authorities(peer.pem.clone().into_bytes()), true),
            (Trust::Pinned(vec![hash]), true),
            (Trust::Pinned(vec![[0; 32]]), false),
        ] {
            let dialer = Dialer::new(trust).unwrap();
            let opened = within(dialer.open(&peer.secure, path.0)).await;
            assert_eq!(opened.is_ok(), taken, "{path:?} {opened:?}");
            if let Ok(connection) = opened {
                // The server learns of a WebTransport session's stream by its first bytes.
                let mut connection = connection;
                let hello = tokio::spawn(async move { connection.hello("token").await });
                let _serving = peer.signed_in().await;
                assert!(within(hello).await.unwrap().is_ok());
            }
        }
    }
}

#[tokio::test]
async fn a_second_stream_that_ends_within_a_frame_leaves_nothing_to_the_next() {
    let mut peer = Peer::start().await;
    let path = PATHS.into_iter().find(|path| path.0 == Transport::WebTransport).unwrap();
    let (dialer, target) = (peer.dialer(), peer.target(path).clone());
    let call = |id| v1::Call { id, method: SEND.into(), ..Default::default() };
    let (ended, has_ended) = tokio::sync::oneshot::channel::<()>();
    let client = tokio::spawn(async move {
        let mut connection = dialer.open(&target, path.0).await.unwrap();
        connection.hello("token").await.unwrap();
        connection.queue_low(call(1));
        let waits = tokio::select! {
            frame = connection.next() => panic!("{frame:?}"),
            ended = has_ended => ended,
        };
        waits.unwrap();
        // The end of the stream may be known a moment later: what is lost with it is asked again.
        loop {
            connection.queue_low(call(2));
            if let Ok(frame) = tokio::time::timeout(Duration::from_millis(100), connection.next()).await {
                return frame;
            }
        }
    });
    let mut serving = peer.signed_in().await;
    assert_eq!(serving.call().await.id, 1);
    let reply = Frame::Reply(v1::Reply { id: 1, body: vec![7; 100].into(), error: None });
    let frame = gogochat_proto::frame::encode(&v1::ServerFrame::from(reply));
    serving.end_low(frame.slice(..40)).await;
    ended.send(()).unwrap();
    assert_eq!(serving.call().await.id, 2);
    serving.reply_low(2, &v1::SendMessageResponse { seq: 42, ..Default::default() }).await;
    let Frame::Reply(reply) = within(client).await.unwrap().unwrap() else { panic!("no reply") };
    assert_eq!((reply.id, reply.error), (2, None));
}
