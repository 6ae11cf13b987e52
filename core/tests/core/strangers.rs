//! Blocks, and invites to groups, as calls.

use gogochat_core::Rate;
use gogochat_proto::{
    ids::LogId,
    node::{EphemeralKind, edge_item::Item as Up, invoke_request::Caller},
    v1::{self, ephemeral::Kind},
};
use prost::Message as _;

use crate::support::{Edge, Node, User, code, config, field, new_id};

async fn block(node: &Node, user: &User, peer: &User) {
    let request = v1::BlockPersonRequest { user_id: peer.id.to_string() };
    let _: v1::BlockPersonResponse = node.call("SocialService/BlockPerson", Some(&user.token), &request).await.unwrap();
}

fn types(session: u64, log: LogId) -> Up {
    let kind = Some(Kind::Typing(v1::Typing { stopped: false }));
    let ephemeral = v1::Ephemeral { conversation_id: log.to_string(), kind, ..Default::default() };
    let ephemeral = ephemeral.encode_to_vec().into();
    Up::Ephemeral(gogochat_proto::node::EphemeralUp { session, log_id: log.to_bytes(), ephemeral })
}

#[tokio::test]
async fn nothing_passes_in_the_direct_conversation_of_who_is_blocked() {
    let node = Node::start().await;
    let (ann, bob) = (node.register("ann").await, node.register("bob").await);
    let (direct, cyd) = (node.befriend(&ann, &bob).await, node.register("cyd").await);
    let other = node.befriend(&ann, &cyd).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&ann).await;
    edge.enter(&bob).await;
    for log in [direct, other] {
        edge.interest(log, 1).await;
    }
    edge.send(types(session, direct)).await;
    edge.ephemeral(direct, EphemeralKind::Typing).await;
    block(&node, &bob, &ann).await;
    // It is passed on in order, so that what comes in the other conversation says that nothing came before it.
    edge.send(types(session, direct)).await;
    edge.send(types(session, other)).await;
    let next = edge.next("typing", |item| match item {
        gogochat_proto::node::core_item::Item::Ephemeral(down) if down.kind() == EphemeralKind::Typing => {
            Some(down.log_id.clone())
        }
        _ => None,
    });
    assert_eq!(next.await, other.to_bytes());
    assert_eq!(code(node.send(&ann, direct, "x").await), "not_a_contact");
    let presence = v1::GetPresenceRequest { user_ids: vec![bob.id.to_string()] };
    let known: v1::GetPresenceResponse =
        node.call("SocialService/GetPresence", Some(&ann.token), &presence).await.unwrap();
    assert!(known.presences.is_empty());
}

#[tokio::test]
async fn who_guesses_codes_is_stopped_by_network_and_stops_nobody_else() {
    let mut config = config();
    config.rates.unknown_invites = Rate { burst: 5, per_minute: 1 };
    let node = Node::with(config, |storage| storage).await;
    let (ann, eve) = (node.register("ann").await, node.register("eve").await);
    let group = v1::CreateGroupRequest { client_msg_id: new_id(), title: "Tea".into(), member_ids: vec![] };
    let made: v1::CreateGroupResponse = node.call("ChatService/CreateGroup", Some(&ann.token), &group).await.unwrap();
    let conversation_id = made.conversation_id;
    let invite = |uses, expires_in_ms| v1::CreateInviteRequest {
        conversation_id: conversation_id.clone(),
        uses,
        expires_in_ms,
        ..Default::default()
    };
    let created: v1::CreateInviteResponse =
        node.call("ChatService/CreateInvite", Some(&ann.token), &invite(1, 0)).await.unwrap();
    assert_eq!(created.code.len(), 32);
    for wrong in [invite(-1, 0), invite(10_001, 0)] {
        let answer: Result<v1::CreateInviteResponse, _> =
            node.call("ChatService/CreateInvite", Some(&ann.token), &wrong).await;
        assert_eq!(field(answer), "uses");
    }
    let longer: Result<v1::CreateInviteResponse, _> =
        node.call("ChatService/CreateInvite", Some(&ann.token), &invite(0, 400 * 24 * 3_600 * 1_000)).await;
    assert_eq!(field(longer), "expiresInMs");

    let asked = async |name: &str, code: &str, address: &str| {
        let body = match name {
            "ChatService/GetInvite" => v1::GetInviteRequest { code: code.into() }.encode_to_vec(),
            _ => v1::JoinByInviteRequest { code: code.into(), ..Default::default() }.encode_to_vec(),
        };
        let caller = Some(Caller::AccessToken(eve.token.clone()));
        node.invoke(name, caller, body.into(), address).await.map_err(|error| error.code)
    };
    let guess = |n: u64| format!("{n:032x}");
    for n in 0..3 {
        assert_eq!(asked("ChatService/GetInvite", &guess(n), "192.0.2.9").await.unwrap_err(), "not_found");
    }
    for n in 3..5 {
        assert_eq!(asked("ChatService/JoinByInvite", &guess(n), "192.0.2.9").await.unwrap_err(), "not_found");
    }
    for name in ["ChatService/GetInvite", "ChatService/JoinByInvite"] {
        assert_eq!(asked(name, &created.code, "192.0.2.9").await.unwrap_err(), "rate_limited");
    }
    asked("ChatService/GetInvite", &created.code, "192.0.2.10").await.unwrap();
    asked("ChatService/JoinByInvite", &created.code, "192.0.2.10").await.unwrap();
    // It had one use, and who is in is in.
    assert_eq!(asked("ChatService/GetInvite", &created.code, "192.0.2.10").await.unwrap_err(), "not_found");
    let seen = v1::GetConversationRequest { conversation_id };
    let seen: v1::Conversation = node.call("ChatService/GetConversation", Some(&eve.token), &seen).await.unwrap();
    assert_eq!((seen.member_count, seen.role()), (2, v1::MemberRole::Member));
}
