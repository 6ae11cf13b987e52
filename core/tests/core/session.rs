//! Attachments: opening sessions, fan-out and replay, revocation, cuts.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use gogochat_proto::{
    ids::{LogId, UserId},
    node::{self, EphemeralKind, core_item::Item, edge_item::Item as Up},
    v1::{self, ephemeral::Kind, server_frame::Frame},
};
use gogochat_storage::{
    open::Storage,
    presence::{Presence, PresenceError, SessionKey, Status},
};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::support::{
    DEADLINE, Edge, Node, User, code, command, event, eventually, message, next_call, next_session, serve_with_window,
    text,
};

#[tokio::test]
async fn sessions_are_opened_by_token_and_again_by_principal() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let (_, opened) = edge.open(&alice).await;
    assert_eq!(opened.principal, Some(alice.principal()));
    assert_eq!(opened.own_seq, 3);
    assert_eq!(opened.subscriptions, [node::Subscription { log_id: log.to_bytes(), from_seq: 1 }]);
    assert!(opened.expires_ms > 0);

    let open = |principal, access_token: &str| node::SessionOpen {
        session: next_session(),
        access_token: access_token.into(),
        address: "192.0.2.1".into(),
        principal,
        ..Default::default()
    };
    assert!(edge.try_open(open(Some(bob.principal()), "")).await.is_ok());
    assert_eq!(code(edge.try_open(open(None, "")).await), "unauthenticated");
    assert_eq!(code(edge.try_open(open(None, "x")).await), "token_invalid");
    let foreign = node::Principal { user_id: alice.id.to_bytes(), device_id: bob.device.to_bytes() };
    assert_eq!(code(edge.try_open(open(Some(foreign), "")).await), "token_invalid");
    let nothing = node::Principal::default();
    assert_eq!(code(edge.try_open(open(Some(nothing), "")).await), "unauthenticated");
    let _: v1::LogOutResponse =
        node.call("AccountService/LogOut", Some(&bob.token), &v1::LogOutRequest {}).await.unwrap();
    assert_eq!(code(edge.try_open(open(Some(bob.principal()), "")).await), "token_invalid");
}

#[tokio::test]
async fn an_open_session_is_opened_anew_with_another_token_of_its_device() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let request = v1::RefreshRequest { refresh_token: alice.refresh.clone() };
    let renewed = User::of(node.call("AccountService/Refresh", None, &request).await.unwrap());
    let open = |user: &User| node::SessionOpen { session, access_token: user.token.clone(), ..Default::default() };
    assert_eq!(edge.try_open(open(&renewed)).await.unwrap().principal, Some(alice.principal()));
    edge.say(session, log, "still here").await.unwrap();

    // A ticket is good with the device's token, and with no earlier one.
    let ticket = |user: &User| node::SessionOpen {
        session: next_session(),
        principal: Some(user.principal()),
        token_hash: bytes::Bytes::copy_from_slice(&Sha256::digest(user.token.as_bytes())),
        ..Default::default()
    };
    let opened = edge.try_open(ticket(&renewed)).await.unwrap();
    assert_eq!(opened.token_hash, ticket(&renewed).token_hash);
    assert_eq!(code(edge.try_open(ticket(&alice)).await), "token_invalid");
    let cut = node::SessionOpen { token_hash: vec![1].into(), ..ticket(&renewed) };
    assert_eq!(code(edge.try_open(cut).await), "token_invalid");
    let again = node::SessionOpen { token_hash: bytes::Bytes::new(), ..ticket(&renewed) };
    assert!(edge.try_open(again).await.unwrap().token_hash.is_empty());
    assert_eq!(code(edge.try_open(open(&bob)).await), "token_invalid");
    assert_eq!(code(edge.say(session, log, "closed").await), "unauthenticated");
}

#[tokio::test]
async fn the_hello_comes_first() {
    let node = Node::start().await;
    let (up, batches) = tokio::sync::mpsc::channel(1);
    let mut down = node::node_service_client::NodeServiceClient::new(node.channel.clone())
        .attach(tokio_stream::wrappers::ReceiverStream::new(batches))
        .await
        .unwrap()
        .into_inner();
    let item = Up::Close(node::SessionClose { session: 1 });
    up.send(node::EdgeBatch { items: vec![node::EdgeItem { item: Some(item) }] }).await.unwrap();
    assert_eq!(down.message().await.unwrap_err().code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn every_edge_is_told_the_same_ticket_keys() {
    let node = Node::start().await;
    let (mut one, mut other) = (Edge::attach(&node).await, Edge::attach(&node).await);
    for edge in [&mut one, &mut other] {
        edge.settle().await;
    }
    assert!(!one.ticket_keys.is_empty() && one.ticket_keys.iter().all(|key| key.key.len() == 32));
    assert_eq!(one.ticket_keys, other.ticket_keys);
    let another = Node::start().await;
    let mut of_another_core = Edge::attach(&another).await;
    of_another_core.settle().await;
    assert_ne!(one.ticket_keys, of_another_core.ticket_keys);
}

#[tokio::test]
async fn interest_replays_what_is_missing_and_goes_on_live() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    for n in 0..600 {
        node.send(&alice, log, &n.to_string()).await.unwrap();
    }
    let mut edge = Edge::attach(&node).await;
    edge.interest(log, 100).await;
    for n in 600..650 {
        node.send(&alice, log, &n.to_string()).await.unwrap();
    }
    for seq in 101..=651 {
        assert_eq!(text(&edge.event_after(log, seq - 1).await).unwrap(), (seq - 2).to_string());
    }
    // The edge has lost some, and asks again.
    edge.interest(log, 640).await;
    for seq in 641..=651 {
        edge.event_after(log, seq - 1).await;
    }
    // What comes beside that was asked for twice, and ends with the interest.
    edge.send(Up::Uninterest(log.to_bytes())).await;
    edge.settle().await;
    node.send(&alice, log, "unheard").await.unwrap();
    assert_eq!(edge.settle().await, []);
    edge.interest(log, 651).await;
    assert_eq!(text(&edge.event(log).await.1).unwrap(), "unheard");
}

/// Edges come, hear some, and go, all the while messages are sent: as edges take what they are sent, each has each once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_that_come_and_go_while_messages_are_sent_hear_each_once() {
    let node = std::sync::Arc::new(Node::start().await);
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let last = 601;
    let sender = tokio::spawn({
        let node = node.clone();
        async move {
            for n in 0..last - 1 {
                node.send(&alice, log, &n.to_string()).await.unwrap();
            }
        }
    });
    let edges = (1..=3_u64).map(|stay| {
        let node = node.clone();
        tokio::spawn(async move {
            let mut edge = Edge::attach(&node).await;
            let mut have = 1;
            while have < last {
                edge.interest(log, have).await;
                for _ in 0..stay.min((last - have) as u64) {
                    let event = edge.event_after(log, have).await;
                    have += 1;
                    assert_eq!((event.seq, text(&event).unwrap()), (have, (have - 2).to_string()));
                }
                edge.send(Up::Uninterest(log.to_bytes())).await;
                for item in edge.settle().await {
                    let Item::Fanout(fanout) = item else { panic!("{item:?}") };
                    have += i64::from(fanout.seq == have + 1);
                }
            }
        })
    });
    for edge in edges.collect::<Vec<_>>() {
        edge.await.unwrap();
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn a_session_hears_of_its_conversations_from_the_own_log() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let mut edge = Edge::attach(&node).await;
    let (_, opened) = edge.open(&alice).await;
    assert_eq!(opened.own_seq, 0);
    // It joins before the edge has asked for the own log: the replay says so too.
    let log = node.befriend(&bob, &alice).await;
    edge.interest(alice.own(), opened.own_seq).await;
    let mut subscribed = None;
    for seq in 1..=3 {
        let (fanout, _) = edge.event(alice.own()).await;
        assert_eq!(fanout.seq, seq);
        subscribed = subscribed.or(fanout.subscribe);
    }
    assert_eq!(subscribed.unwrap(), node::Subscription { log_id: log.to_bytes(), from_seq: 0 });
}

#[tokio::test]
async fn a_revoked_session_is_closed_and_its_commands_refused() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    edge.say(session, log, "x").await.unwrap();
    let _: v1::LogOutResponse =
        node.call("AccountService/LogOut", Some(&alice.token), &v1::LogOutRequest {}).await.unwrap();
    let revoke = edge
        .next("revoke", |item| match item {
            Item::Revoke(revoke) => Some(revoke.clone()),
            _ => None,
        })
        .await;
    assert_eq!((revoke.user_id, revoke.device_id), (alice.id.to_bytes(), alice.device.to_bytes()));
    assert_eq!((revoke.close_code, revoke.reason.as_str()), (4005, "signed_out"));
    assert_eq!(code(edge.say(session, log, "y").await), "token_invalid");
    edge.send(Up::Close(node::SessionClose { session })).await;
    assert_eq!(code(edge.say(session, log, "y").await), "unauthenticated");
}

#[tokio::test]
async fn typing_is_told_with_the_user_set_by_the_core() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let up = |kind| {
        let ephemeral = v1::Ephemeral { user_id: bob.id.to_string(), kind: Some(kind), ..Default::default() };
        Up::Ephemeral(node::EphemeralUp {
            session,
            log_id: log.to_bytes(),
            ephemeral: prost::Message::encode_to_vec(&ephemeral).into(),
        })
    };
    edge.send(up(Kind::Presence(v1::Presence { online: false, last_seen_ms: 1 }))).await;
    edge.send(up(Kind::Typing(v1::Typing { stopped: false }))).await;
    let (down, frame) = edge.ephemeral(log, EphemeralKind::Typing).await;
    assert!(down.skip_subject);
    assert_eq!(down.subject, alice.id.to_bytes());
    let Frame::Ephemeral(told) = frame else { panic!("{frame:?}") };
    assert_eq!((told.user_id, told.conversation_id), (alice.id.to_string(), log.to_string()));
}

/// Attach is cut again and again under load; the client repeats what was not answered. Nothing is lost, doubled or out of order, where the
/// edge drops what it has and asks for what is missing before an event, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cutting_the_attachment_under_load_loses_nothing() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let requests: Vec<_> = (0..2_000).map(|n| message(log, &n.to_string())).collect();
    let mut answered: HashMap<usize, i64> = HashMap::new();
    let mut heard: Vec<String> = Vec::new();
    let mut have = 1;
    for round in 0.. {
        assert!(round < 100, "no progress");
        let mut edge = Edge::attach(&node).await;
        let (session, _) = edge.open(&alice).await;
        edge.interest(log, have).await;
        let first = (0..requests.len()).find(|n| !answered.contains_key(n)).unwrap_or(requests.len());
        let window: Vec<usize> =
            (first..requests.len().min(first + 700)).filter(|n| !answered.contains_key(n)).collect();
        let calls: HashMap<u32, usize> = window.iter().map(|n| (next_call(), *n)).collect();
        let mut ordered: Vec<_> = calls.iter().map(|(call, n)| (*n, *call)).collect();
        ordered.sort_unstable();
        edge.send_all(
            ordered
                .iter()
                .map(|(n, call)| command(session, *call, "ChatService/SendMessage", &log.to_string(), &requests[*n])),
        )
        .await;
        // It takes some of what comes, and then the stream is cut.
        let last = window.is_empty();
        let enough = if last { usize::MAX } else { 150 + 37 * (round % 5) };
        let (mut taken, mut asked, mut gap) = (0, None, false);
        while taken < enough && !(last && heard.len() == requests.len()) {
            taken += 1;
            edge.next("item", |item| {
                match item {
                    // What was refused for now, it repeats.
                    Item::Result(result) if result.error.is_none() => {
                        let sent = <v1::SendMessageResponse as prost::Message>::decode(result.body.clone()).unwrap();
                        answered.insert(calls[&result.call_id], sent.seq);
                    }
                    Item::Fanout(fanout) if fanout.log_id == log.to_bytes() => {
                        gap = fanout.seq > have + 1;
                        if fanout.seq == have + 1 {
                            have = fanout.seq;
                            heard.extend(text(&event(fanout)));
                        }
                    }
                    _ => {}
                }
                Some(())
            })
            .await;
            if gap && asked != Some(have) {
                asked = Some(have);
                edge.interest(log, have).await;
            }
            gap = false;
            if !last && answered.len() == requests.len() && taken >= window.len() {
                break;
            }
        }
        if last {
            break;
        }
    }
    let expected: Vec<String> = (0..requests.len()).map(|n| n.to_string()).collect();
    assert_eq!(heard, expected);
    let kept: Vec<String> = node.texts(&bob, log).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(kept, expected);
    assert!((0..requests.len()).all(|n| answered[&n] == n as i64 + 2));
}

#[tokio::test]
async fn an_edge_that_does_not_read_is_detached_and_the_others_go_on() {
    let mut config = crate::support::config();
    config.edge_queue_items = 64;
    let node = Node::with(config, |s| s).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut slow = Edge::over(serve_with_window(node.core.node_service(), 64 * 1024)).await;
    slow.interest(log, 1).await;
    slow.settle().await;
    let mut quick = Edge::attach(&node).await;
    let session = quick.enter(&alice).await;
    // Until the window and the queue of the one that does not read are full.
    let text = "x".repeat(16 * 1024);
    for n in 0..200 {
        quick.say(session, log, &text).await.unwrap();
        assert_eq!(quick.event(log).await.0.seq, n + 2);
    }
    let status = slow.end().await;
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
}

#[tokio::test]
async fn presence_is_told_to_contacts_and_a_reload_is_no_departure() {
    let mut config = crate::support::config();
    // Longer than a busy machine takes between the end of a session and the beginning of the next.
    config.presence_grace = std::time::Duration::from_secs(2);
    let node = Node::with(config, |s| s).await;
    let (alice, bob, eve) = (node.register("alice").await, node.register("bob").await, node.register("eve").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    edge.enter(&bob).await;
    let session = edge.enter(&alice).await;
    let presence = async |edge: &mut Edge| {
        let (down, frame) = edge.ephemeral(log, EphemeralKind::Presence).await;
        let Frame::Ephemeral(v1::Ephemeral { user_id, kind: Some(Kind::Presence(presence)), .. }) = frame else {
            panic!("{frame:?}")
        };
        assert!(down.skip_subject);
        (user_id, presence.online)
    };
    let mut told = presence(&mut edge).await;
    if told.0 == bob.id.to_string() {
        told = presence(&mut edge).await;
    }
    assert_eq!(told, (alice.id.to_string(), true));

    let asked = |user: &User| v1::GetPresenceRequest { user_ids: vec![user.id.to_string()] };
    let got: v1::GetPresenceResponse =
        node.call("SocialService/GetPresence", Some(&bob.token), &asked(&alice)).await.unwrap();
    assert!(got.presences[0].presence.unwrap().online);
    let got: v1::GetPresenceResponse =
        node.call("SocialService/GetPresence", Some(&eve.token), &asked(&alice)).await.unwrap();
    assert_eq!(got.presences, [], "not a contact");

    // One session comes as the other goes: nobody hears of it.
    edge.send(Up::Close(node::SessionClose { session })).await;
    let again = edge.enter(&alice).await;
    edge.send(Up::Close(node::SessionClose { session: again })).await;
    assert_eq!(presence(&mut edge).await, (alice.id.to_string(), false));
    let got: v1::GetPresenceResponse =
        node.call("SocialService/GetPresence", Some(&bob.token), &asked(&alice)).await.unwrap();
    let seen = got.presences[0].presence.unwrap();
    assert!(!seen.online && seen.last_seen_ms > 0);
    let _: LogId = log;
}

/// What a contact's edge is told of a user.
async fn told(edge: &mut Edge, log: LogId, user: &User) -> bool {
    loop {
        let (_, frame) = edge.ephemeral(log, EphemeralKind::Presence).await;
        if let Frame::Ephemeral(v1::Ephemeral { user_id, kind: Some(Kind::Presence(presence)), .. }) = frame
            && user_id == user.id.to_string()
        {
            return presence.online;
        }
    }
}

#[tokio::test]
async fn who_leaves_beside_a_session_of_a_lost_core_is_offline_when_that_lapses() {
    let mut config = crate::support::config();
    config.presence_grace = std::time::Duration::from_millis(50);
    config.presence_ttl = std::time::Duration::from_secs(1);
    let mut directory = None;
    let node = Node::with(config, |storage| {
        directory = Some(storage.presence.clone());
        storage
    })
    .await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    edge.enter(&bob).await;
    let session = edge.enter(&alice).await;
    assert!(told(&mut edge, log, &alice).await);
    // A core that was killed has left this behind.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    directory.unwrap().online(alice.id, (7, 7), now.as_millis() as i64, 1_000).await.unwrap();
    edge.send(Up::Close(node::SessionClose { session })).await;
    assert!(!told(&mut edge, log, &alice).await);
}

/// The presence of the node, which may be away.
struct Away {
    directory: Arc<dyn Presence>,
    is_away: AtomicBool,
    refused: AtomicU64,
}

impl Away {
    fn is_here(&self) -> Result<(), PresenceError> {
        match self.is_away.load(Ordering::SeqCst) {
            true => {
                self.refused.fetch_add(1, Ordering::SeqCst);
                Err(PresenceError("a test".into()))
            }
            false => Ok(()),
        }
    }

    /// It is away until it has refused once more.
    async fn refuse_once(&self) {
        let before = self.refused.load(Ordering::SeqCst);
        eventually("it is asked", async || (self.refused.load(Ordering::SeqCst) > before).then_some(())).await;
        self.is_away.store(false, Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl Presence for Away {
    async fn arrive(&self, of: &[(UserId, SessionKey)], now: i64, ttl_ms: i64) -> Result<Vec<bool>, PresenceError> {
        self.is_here()?;
        self.directory.arrive(of, now, ttl_ms).await
    }

    async fn leave(&self, sessions: &[(UserId, SessionKey)], now: i64) -> Result<Vec<bool>, PresenceError> {
        self.is_here()?;
        self.directory.leave(sessions, now).await
    }

    async fn get(&self, users: &[UserId], now: i64) -> Result<Vec<Status>, PresenceError> {
        self.is_here()?;
        self.directory.get(users, now).await
    }

    async fn check(&self) -> Result<(), PresenceError> {
        self.directory.check().await
    }

    fn emptied(&self) -> watch::Receiver<u64> {
        self.directory.emptied()
    }
}

/// Who comes or goes while presence is away for a moment is told of once it is back.
#[tokio::test]
async fn comings_and_goings_are_told_once_presence_is_back() {
    let mut config = crate::support::config();
    config.presence_grace = std::time::Duration::from_millis(10);
    config.presence_ttl = std::time::Duration::from_secs(3);
    let mut away = None;
    let node = Node::with(config, |storage| {
        let (directory, is_away) = (storage.presence.clone(), AtomicBool::new(false));
        let wrapped = Arc::new(Away { directory, is_away, refused: AtomicU64::new(0) });
        away = Some(wrapped.clone());
        Storage { presence: wrapped, ..storage }
    })
    .await;
    let away = away.unwrap();
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    edge.enter(&bob).await;
    let is_noted = async || away.directory.get(&[bob.id], 0).await.unwrap()[0].online.then_some(());
    eventually("bob is noted", is_noted).await;
    away.is_away.store(true, Ordering::SeqCst);
    let session = edge.enter(&alice).await;
    away.refuse_once().await;
    assert!(told(&mut edge, log, &alice).await);
    away.is_away.store(true, Ordering::SeqCst);
    edge.send(Up::Close(node::SessionClose { session })).await;
    away.refuse_once().await;
    assert!(!told(&mut edge, log, &alice).await);
}

#[tokio::test]
async fn a_core_that_goes_away_sees_off_those_who_left_just_before() {
    let mut config = crate::support::config();
    config.presence_grace = std::time::Duration::from_secs(3_600);
    let node = Node::with(config, |storage| storage).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    edge.enter(&bob).await;
    let session = edge.enter(&alice).await;
    assert!(told(&mut edge, log, &alice).await);
    edge.send(Up::Close(node::SessionClose { session })).await;
    edge.settle().await;
    let (_, online) = tokio::join!(node.core.drain(DEADLINE), told(&mut edge, log, &alice));
    assert!(!online);
}
