//! The client that outlives its connections, against a small server over every transport.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peer;

use std::{sync::Arc, time::Duration};

use gogochat_client::{
    Account, Backoff, Client, Dialer, DialerOptions, Options, Path, Rest, Target, Transport, Trust, Update,
};
use gogochat_proto::{
    close::CloseCode,
    frame,
    ids::{LogId, UserId},
    v1::{self, server_frame::Frame},
};
use peer::{PATHS, Peer, Serving, within};

const SEND: &str = "gogochat.v1.ChatService/SendMessage";
const SYNC: &str = "gogochat.v1.SyncService/Sync";
const LIST: &str = "gogochat.v1.ChatService/ListEvents";

fn account(peer: &Peer) -> Arc<Account> {
    let rest = Arc::new(Rest::new(peer.dialer(), peer.clear.clone()));
    let session = v1::Session { access_token: "token".into(), ..v1::Session::default() };
    Arc::new(Account::from_session(rest, session))
}

fn options(target: &Target, transport: Transport) -> Options {
    let backoff = Backoff { first: Duration::from_millis(10), most: Duration::from_millis(50) };
    Options { backoff, ..Options::new(target.clone(), transport) }
}

async fn sign_in(peer: &mut Peer, me: UserId) -> Serving {
    let mut serving = peer.session().await;
    serving.frame().await;
    serving.send(Frame::Welcome(v1::Welcome { user_id: me.to_string(), ..peer::welcome() })).await;
    serving
}

/// The next call of this method, and its request; others are not expected before it.
async fn expect<T: prost::Message + Default>(serving: &mut Serving, method: &str) -> (u32, T) {
    let call = serving.call().await;
    assert_eq!(call.method, method);
    (call.id, T::decode(call.body).unwrap())
}

fn event(log: LogId, seq: i64) -> v1::Event {
    v1::Event { log_id: log.to_string(), seq, ..v1::Event::default() }
}

#[tokio::test]
async fn a_cut_is_bridged() {
    let mut peer = Peer::start().await;
    for path in PATHS {
        let (me, c) = (UserId::new_v7(), LogId::new_v7());
        let (client, mut updates) = Client::start(&peer.dialer(), account(&peer), options(peer.target(path), path.0));
        let id = client.post(c, "hello").unwrap();

        let mut serving = sign_in(&mut peer, me).await;
        assert_eq!(within(client.online()).await.unwrap().user_id, me.to_string());
        let (_, request) = expect::<v1::SendMessageRequest>(&mut serving, SEND).await;
        assert_eq!(request.client_msg_id, id.to_string());
        let (sync, _) = expect::<v1::SyncRequest>(&mut serving, SYNC).await;
        let head = Some(v1::Head { conversation_id: c.to_string(), last_seq: 1, ..Default::default() });
        let conversations = vec![v1::Conversation { id: c.to_string(), head, ..Default::default() }];
        serving.reply(sync, &v1::SyncResponse { own_last_seq: 7, conversations, ..Default::default() }).await;
        serving.send(Frame::Event(event(c, 2))).await;
        loop {
            if let Update::Event(got) = within(updates.recv()).await.unwrap() {
                assert_eq!(got.seq, 2);
                break;
            }
        }
        drop(serving);

        let mut serving = sign_in(&mut peer, me).await;
        let (send, request) = expect::<v1::SendMessageRequest>(&mut serving, SEND).await;
        assert_eq!(request.client_msg_id, id.to_string(), "the same id");
        let (sync, request) = expect::<v1::SyncRequest>(&mut serving, SYNC).await;
        assert_eq!((request.own_seq, request.known[0].last_seq), (7, 2));
        serving.reply(send, &v1::SendMessageResponse { seq: 3, ..Default::default() }).await;
        let head = Some(v1::Head { conversation_id: c.to_string(), last_seq: 4, ..Default::default() });
        let conversations = vec![v1::Conversation { id: c.to_string(), head, ..Default::default() }];
        serving.reply(sync, &v1::SyncResponse { own_last_seq: 7, conversations, ..Default::default() }).await;
        let (list, _) = expect::<v1::ListEventsRequest>(&mut serving, LIST).await;
        serving
            .reply_low(list, &v1::ListEventsResponse { events: vec![event(c, 3), event(c, 4)], ..Default::default() })
            .await;

        let (mut seqs, mut sent) = (Vec::new(), None);
        loop {
            match within(updates.recv()).await.unwrap() {
                Update::Event(event) => seqs.push(event.seq),
                Update::Sent { client_msg_id, outcome, .. } => sent = Some((client_msg_id, outcome.unwrap().seq)),
                Update::CaughtUp if !seqs.is_empty() => break,
                _ => {}
            }
        }
        assert_eq!((seqs, sent), (vec![3, 4], Some((id.to_string(), 3))));
        within(client.stop()).await;
        assert!(serving.maybe().await.is_none());
    }
}

#[tokio::test]
async fn where_one_address_takes_no_session_another_does() {
    let mut peer = Peer::start().await;
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (trust, timeout) = (Trust::AnyOnLoopback, Duration::from_millis(500));
    let dialer = Dialer::with(DialerOptions { trust, timeout, ..DialerOptions::default() }).unwrap();
    for path in PATHS {
        let here = peer.target(path).clone();
        let away: Target = format!("{}://{gone}", if here.is_secure() { "https" } else { "http" }).parse().unwrap();
        let options = Options { others: vec![here], ..options(&away, path.0) };
        let (client, _updates) = Client::start(&dialer, account(&peer), options);
        // Opened, lost, and opened again.
        for _ in 0..2 {
            let me = UserId::new_v7();
            let _serving = sign_in(&mut peer, me).await;
            while within(client.online()).await.unwrap().user_id != me.to_string() {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn a_signed_out_device_stops() {
    let mut peer = Peer::start().await;
    let (client, mut updates) =
        Client::start(&peer.dialer(), account(&peer), options(&peer.secure.clone(), Transport::WebTransport));
    let serving = sign_in(&mut peer, UserId::new_v7()).await;
    serving.raw(frame::encode(&CloseCode::SignedOut.frame())).await;
    let ended = loop {
        if let Update::Ended(closed) = within(updates.recv()).await.unwrap() {
            break closed;
        }
    };
    assert_eq!(ended, CloseCode::SignedOut.into());
    assert!(within(updates.recv()).await.is_none());
    assert!(within(client.online()).await.is_none());
    assert!(client.post(LogId::new_v7(), "x").is_err());
    assert!(within(client.send(LogId::new_v7(), "x")).await.is_err());
}

#[tokio::test]
async fn a_drain_moves_and_calls_go_on() {
    let mut peer = Peer::start().await;
    let (client, _updates) =
        Client::start(&peer.dialer(), account(&peer), options(&peer.clear.clone(), Transport::WebSocket));
    let me = UserId::new_v7();
    let first = sign_in(&mut peer, me).await;
    first.send(Frame::Drain(v1::Drain { deadline_ms: 20, ..Default::default() })).await;
    let mut second = sign_in(&mut peer, me).await;
    expect::<v1::SyncRequest>(&mut second, SYNC).await;
    let call = tokio::spawn(async move {
        client.call::<_, v1::ListContactsResponse>("m", "k", &v1::ListContactsRequest::default()).await.map(|_| client)
    });
    loop {
        let call = second.call().await;
        if call.method == "m" {
            second.reply(call.id, &v1::ListContactsResponse::default()).await;
            break;
        }
    }
    within(call).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_leads_to_the_edge_that_it_names_and_nothing_is_cut() {
    let (mut here, mut there) = (Peer::start().await, Peer::start().await);
    for transport in [Transport::WebTransport, Transport::WebSocket] {
        let (me, c) = (UserId::new_v7(), LogId::new_v7());
        let (client, mut updates) =
            Client::start(&here.dialer(), account(&here), options(&here.secure.clone(), transport));
        let mut old = sign_in(&mut here, me).await;
        let (answered, unanswered) = (client.post(c, "1").unwrap(), client.post(LogId::new_v7(), "2").unwrap());
        let sends = [send_call(&mut old).await, send_call(&mut old).await];
        let (call, _) = sends.iter().find(|(_, id)| *id == answered.to_string()).unwrap();
        old.send(drain(1_000, &there.secure.to_string())).await;

        let mut new = sign_in(&mut there, me).await;
        assert_eq!(new.transport, transport);
        // What is due at the old session still comes.
        old.reply(*call, &v1::SendMessageResponse { seq: 1, ..Default::default() }).await;
        let later = client.post(c, "3").unwrap();
        let repeated = [send_call(&mut new).await, send_call(&mut new).await].map(|(_, id)| id);
        for id in [unanswered, later] {
            assert!(repeated.contains(&id.to_string()), "under the same id");
        }
        while old.maybe().await.is_some() {}
        let (mut sessions, mut sent) = (0, Vec::new());
        while sessions < 2 {
            match within(updates.recv()).await.unwrap() {
                Update::Online { .. } => sessions += 1,
                Update::Sent { client_msg_id, .. } => sent.push(client_msg_id),
                Update::Offline { why } => panic!("{why}"),
                _ => {}
            }
        }
        assert_eq!(sent, [answered.to_string()]);

        // A session that is lost leads to the own address again.
        drop(new);
        sign_in(&mut here, me).await;
        within(client.stop()).await;
    }
}

#[tokio::test]
async fn without_the_edge_that_a_drain_names_the_own_address_serves() {
    let mut peer = Peer::start().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("https://{}", taken.local_addr().unwrap());
    for named in [silent.as_str(), "https://127.0.0.1:1", "no address"] {
        for transport in [Transport::WebTransport, Transport::WebSocket] {
            let (client, mut updates) =
                Client::start(&peer.dialer(), account(&peer), options(&peer.secure.clone(), transport));
            let me = UserId::new_v7();
            let mut old = sign_in(&mut peer, me).await;
            old.send(drain(400, named)).await;
            let _new = sign_in(&mut peer, me).await;
            while old.maybe().await.is_some() {}
            let mut sessions = 0;
            while sessions < 2 {
                match within(updates.recv()).await.unwrap() {
                    Update::Online { .. } => sessions += 1,
                    Update::Offline { why } => panic!("{why}"),
                    _ => {}
                }
            }
            within(client.stop()).await;
        }
    }
}

fn drain(deadline_ms: i32, target: &str) -> Frame {
    Frame::Drain(v1::Drain { deadline_ms, target: target.to_owned(), ..Default::default() })
}

/// The next message that is sent: the call's id and the message's.
async fn send_call(serving: &mut Serving) -> (u32, String) {
    loop {
        let call = serving.call().await;
        if call.method == SEND {
            let request = <v1::SendMessageRequest as prost::Message>::decode(call.body).unwrap();
            return (call.id, request.client_msg_id);
        }
    }
}

#[tokio::test]
async fn without_udp_the_web_socket_serves() {
    let mut peer = Peer::start().await;
    peer.close_udp();
    let (client, _updates) = Client::start(
        &peer.dialer(),
        account(&peer),
        Options { path: Path::Auto, ..options(&peer.secure.clone(), Transport::WebTransport) },
    );
    let serving = sign_in(&mut peer, UserId::new_v7()).await;
    assert_eq!(serving.transport, Transport::WebSocket);
    assert!(within(client.online()).await.is_some());
}

#[tokio::test]
async fn what_is_posted_at_once_is_sent_in_order_and_whole() {
    const MESSAGES: usize = 500;
    let mut peer = Peer::start().await;
    let c = LogId::new_v7();
    let (client, _updates) =
        Client::start(&peer.dialer(), account(&peer), options(&peer.clear.clone(), Transport::WebSocket));
    let mut serving = sign_in(&mut peer, UserId::new_v7()).await;
    within(client.online()).await;
    let posted: Vec<_> = (0..MESSAGES).map(|n| client.post(c, n.to_string()).unwrap().to_string()).collect();
    let mut came = Vec::new();
    while came.len() < MESSAGES {
        let call = serving.call().await;
        if call.method == SEND {
            came.push(<v1::SendMessageRequest as prost::Message>::decode(call.body).unwrap().client_msg_id);
            serving.reply(call.id, &v1::SendMessageResponse { seq: came.len() as i64, ..Default::default() }).await;
        }
    }
    assert_eq!(came, posted);
}

#[tokio::test]
async fn a_token_is_renewed_inside_the_session() {
    let mut peer = Peer::start().await;
    // Not before the session is open, on a busy machine too: a token that has lapsed would be renewed first.
    let soon = std::time::SystemTime::now() + Duration::from_secs(3);
    let access_expires_ms = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let session = v1::Session {
        access_token: "first".into(),
        refresh_token: "refresh".into(),
        access_expires_ms,
        ..v1::Session::default()
    };
    let rest = Arc::new(Rest::new(peer.dialer(), peer::refreshes("refresh", "second").await));
    let account = Arc::new(Account::from_session(rest, session));
    let (_client, _updates) =
        Client::start(&peer.dialer(), account, options(&peer.secure.clone(), Transport::WebTransport));
    let mut serving = peer.session().await;
    let mut tokens = Vec::new();
    while tokens.len() < 2 {
        if let v1::client_frame::Frame::Hello(hello) = serving.frame().await {
            tokens.push(hello.access_token);
            if tokens.len() == 1 {
                serving.send(Frame::Welcome(peer::welcome())).await;
            }
        }
    }
    assert_eq!(tokens, ["first", "second"]);
}

/// Each call says which group, in its request and as its key, and has an id of its own.
#[tokio::test]
async fn groups_are_changed_by_calls_of_their_own() {
    let mut peer = Peer::start().await;
    let path = PATHS[0];
    let (group, user) = (LogId::new_v7(), UserId::new_v7());
    let (client, mut updates) = Client::start(&peer.dialer(), account(&peer), options(peer.target(path), path.0));
    let mut serving = sign_in(&mut peer, UserId::new_v7()).await;
    while !matches!(within(updates.recv()).await.unwrap(), Update::Online { .. }) {}
    tokio::spawn(async move { while updates.recv().await.is_some() {} });
    let acts = tokio::spawn(async move {
        let change = v1::UpdateConversationRequest { title: Some("Tea".into()), ..Default::default() };
        client.update_group(group, change).await.unwrap();
        client.set_member_role(group, user, v1::MemberRole::Admin).await.unwrap();
        client.mute_member(group, user, 5).await.unwrap();
        assert_eq!(client.remove_members(group, &[user]).await.unwrap().removed, 1);
        client.dismiss_group(group).await.unwrap();
    });
    let mut methods = Vec::new();
    while methods.len() < 5 {
        let call = serving.call().await;
        if !call.method.starts_with("gogochat.v1.ChatService/") {
            continue;
        }
        assert_eq!(call.key, group.to_string());
        // The others' replies are empty: they know no field of it.
        serving.reply(call.id, &v1::RemoveMembersResponse { removed: 1, member_count: 1 }).await;
        methods.push(call.method.rsplit('/').next().unwrap().to_owned());
    }
    within(acts).await.unwrap();
    assert_eq!(methods, ["UpdateConversation", "SetMemberRole", "MuteMember", "RemoveMembers", "DismissGroup"]);
}
