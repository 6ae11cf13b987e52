//! Signing out, where nobody is left to tell of it: sessions end all the same.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gogochat_core::CoreConfig;
use gogochat_proto::{close::CloseCode, node::core_item::Item, v1};
use gogochat_storage::store::Store;
use prost::Message;

use crate::{
    faulty::Faults,
    support::{Edge, Node, PASSWORD, User, code, config, eventually},
};

/// The answer to the store's transaction is lost: the device is gone, the caller is told to repeat it, and finds nothing to repeat.
#[tokio::test]
async fn a_sign_out_whose_answer_was_lost_ends_the_sessions() {
    let faults = Faults::new();
    let config = CoreConfig { refresh_grace: Duration::ZERO, ..config() };
    let node = Node::with(config, |storage| faults.before(storage)).await;
    let mut edge = Edge::attach(&node).await;

    let alice = node.register("alice").await;
    let session = edge.enter(&alice).await;
    faults.lose_a_sign_out();
    lost::<v1::LogOutResponse>(&node, &alice, "LogOut", &v1::LogOutRequest {}).await;
    ends(&mut edge, session, &alice).await;

    let (phone, bob) = (node.register("bob").await, node.log_in("bob").await.unwrap());
    let session = edge.enter(&bob).await;
    let revoke = v1::RevokeDeviceRequest { device_id: bob.device.to_string() };
    faults.lose_a_sign_out();
    lost::<v1::RevokeDeviceResponse>(&node, &phone, "RevokeDevice", &revoke).await;
    let again: Result<v1::RevokeDeviceResponse, _> =
        node.call("AccountService/RevokeDevice", Some(&phone.token), &revoke).await;
    assert_eq!(code(again), "not_found");
    ends(&mut edge, session, &bob).await;

    let (phone, carol) = (node.register("carol").await, node.log_in("carol").await.unwrap());
    let session = edge.enter(&carol).await;
    let change = v1::ChangePasswordRequest { current_password: PASSWORD.into(), new_password: "battery staple".into() };
    faults.lose_a_sign_out();
    lost::<v1::ChangePasswordResponse>(&node, &phone, "ChangePassword", &change).await;
    let again: Result<v1::ChangePasswordResponse, _> =
        node.call("AccountService/ChangePassword", Some(&phone.token), &change).await;
    assert_eq!(code(again), "wrong_credentials");
    ends(&mut edge, session, &carol).await;

    let dave = node.register("dave").await;
    let session = edge.enter(&dave).await;
    let refresh = v1::RefreshRequest { refresh_token: dave.refresh.clone() };
    let _: v1::Session = node.call("AccountService/Refresh", None, &refresh).await.unwrap();
    faults.lose_a_sign_out();
    // The grace is over with the millisecond.
    let refused = eventually("the token is taken for a copy", async || {
        node.call::<v1::Session>("AccountService/Refresh", None, &refresh).await.err()
    })
    .await;
    assert_eq!(refused.code, "unavailable");
    ends(&mut edge, session, &dave).await;
}

/// Another core has signed a device out, and was lost before it told anybody.
#[tokio::test]
async fn what_a_lost_core_signed_out_ends_at_the_others() {
    let mut kept: Option<Arc<dyn Store>> = None;
    let node = Node::with(config(), |storage| {
        kept = Some(storage.store.clone());
        storage
    })
    .await;
    let mut edge = Edge::attach(&node).await;
    let (alice, other) = (node.register("alice").await, node.log_in("alice").await.unwrap());
    let (session, others) = (edge.enter(&alice).await, edge.enter(&other).await);
    assert!(kept.unwrap().revoke_device(alice.id, alice.device, now_ms()).await.unwrap());
    ends(&mut edge, session, &alice).await;
    // An edge may vouch for it a moment longer.
    let asserted = gogochat_proto::node::invoke_request::Caller::Principal(alice.principal());
    let answer = node.invoke("AccountService/GetAccount", Some(asserted), Default::default(), "").await;
    assert_eq!(code(answer), "token_invalid");
    assert_eq!(code(edge.say(others, other.own(), "x").await), "not_a_member", "the other one is signed in still");
}

/// A store that is away for a while hides no sign-out: those of that time are found when it is back. One that was told is not told again.
#[tokio::test]
async fn each_sign_out_is_told_once_and_none_is_missed_while_the_store_is_away() {
    let faults = Faults::new();
    let mut kept: Option<Arc<dyn Store>> = None;
    let node = Node::with(config(), |storage| {
        kept = Some(storage.store.clone());
        faults.before(storage)
    })
    .await;
    let store = kept.unwrap();
    let mut edge = Edge::attach(&node).await;
    let (alice, bob, carol) = (node.register("alice").await, node.register("bob").await, node.register("carol").await);
    for user in [&alice, &bob, &carol] {
        edge.enter(user).await;
    }
    faults.fail_looks(2);
    let _: v1::LogOutResponse =
        node.call("AccountService/LogOut", Some(&alice.token), &v1::LogOutRequest {}).await.unwrap();
    for user in [&bob, &carol] {
        assert!(store.revoke_device(user.id, user.device, now_ms()).await.unwrap());
    }
    let mut told = Vec::new();
    while told.len() < 3 {
        told.push(edge.next("revoke", revoked).await);
    }
    assert_eq!(told, [&alice, &bob, &carol].map(|user| user.device.to_bytes()));
    assert_eq!(edge.settle().await.iter().filter_map(revoked).count(), 0);
}

async fn lost<R: Message + Default + std::fmt::Debug>(node: &Node, user: &User, method: &str, request: &impl Message) {
    let answer: Result<R, _> = node.call(&format!("AccountService/{method}"), Some(&user.token), request).await;
    assert_eq!(code(answer), "unavailable");
}

/// The edge is told to close the device's session, and what still comes from it is refused.
async fn ends(edge: &mut Edge, session: u64, user: &User) {
    let device = edge.next("revoke", revoked).await;
    assert_eq!(device, user.device.to_bytes());
    assert_eq!(code(edge.say(session, user.own(), "x").await), "token_invalid");
}

fn revoked(item: &Item) -> Option<bytes::Bytes> {
    match item {
        Item::Revoke(revoke) => {
            assert_eq!(revoke.close_code, u32::from(CloseCode::SignedOut.code()));
            Some(revoke.device_id.clone())
        }
        _ => None,
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
