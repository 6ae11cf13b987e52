//! Accounts: tokens, passwords, devices, and what they refuse.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use gogochat_core::{CoreConfig, Rate};
use gogochat_proto::{
    close::CloseCode,
    node::{InvokeRequest, core_item::Item, invoke_request::Caller, node_service_client::NodeServiceClient},
    service::Service,
    v1,
};
use gogochat_storage::{bus::channel::ChannelBus, open::Storage};

use crate::{
    faulty::Faults,
    support::{Edge, Node, PASSWORD, User, code, config, eventually, field, new_id},
};

fn registration(name: &str) -> v1::RegisterRequest {
    v1::RegisterRequest { name: name.into(), password: PASSWORD.into(), ..Default::default() }
}

async fn register(node: &Node, request: v1::RegisterRequest) -> Result<v1::Session, v1::Error> {
    node.call("AccountService/Register", None, &request).await
}

async fn account(node: &Node, token: &str) -> Result<v1::Account, v1::Error> {
    node.call("AccountService/GetAccount", Some(token), &v1::GetAccountRequest {}).await
}

async fn refresh(node: &Node, token: &str) -> Result<v1::Session, v1::Error> {
    node.call("AccountService/Refresh", None, &v1::RefreshRequest { refresh_token: token.into() }).await
}

#[tokio::test]
async fn register_log_in_and_ask_who_one_is() {
    let node = Node::start().await;
    let request = v1::RegisterRequest {
        name: "Alice".into(),
        display_name: "  Alice A\u{301}.  ".into(),
        device_name: "Firefox".into(),
        ..registration("")
    };
    let session = register(&node, request).await.unwrap();
    let person = session.user.clone().unwrap();
    assert_eq!((person.name.as_str(), person.display_name.as_str()), ("alice", "Alice Á."));
    assert!(session.access_token.starts_with("gga_") && session.refresh_token.starts_with("ggr_"));
    assert!(session.access_expires_ms < session.refresh_expires_ms);
    assert_eq!(code(register(&node, registration("alice")).await), "name_taken");

    let other = node.log_in("ALICE").await.unwrap();
    assert_ne!(other.device.to_string(), session.device_id);
    let account = account(&node, &session.access_token).await.unwrap();
    assert_eq!((account.user.unwrap(), account.device_id), (person, session.device_id));
}

#[tokio::test]
async fn wrong_credentials_are_the_same_for_everyone() {
    let node = Node::start().await;
    node.register("alice").await;
    let attempt = |name: &str, password: &str| v1::LogInRequest {
        name: name.into(),
        password: password.into(),
        ..Default::default()
    };
    let mut errors = Vec::new();
    for request in
        [attempt("alice", "wrong horse"), attempt("nobody", PASSWORD), attempt("!", ""), attempt("", PASSWORD)]
    {
        let answer: Result<v1::Session, _> = node.call("AccountService/LogIn", None, &request).await;
        errors.push(answer.unwrap_err());
    }
    assert_eq!(errors[0].code, "wrong_credentials");
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
}

#[tokio::test]
async fn what_may_not_be_chosen_is_refused_by_its_field() {
    let node = Node::start().await;
    let zalgo = format!("z{}", "\u{301}".repeat(10_000));
    assert_eq!(field(register(&node, registration("al")).await), "name");
    assert_eq!(field(register(&node, registration("bob\u{202e}")).await), "name");
    assert_eq!(
        field(register(&node, v1::RegisterRequest { password: "short".into(), ..registration("bob") }).await),
        "password"
    );
    for hostile in ["a\u{0}b", "a\u{202e}b", "a\nb", "\u{200b}", zalgo.as_str()] {
        let request = v1::RegisterRequest { display_name: hostile.into(), ..registration("bob") };
        assert_eq!(field(register(&node, request).await), "displayName", "{hostile:?}");
        let request = v1::RegisterRequest { device_name: hostile.into(), ..registration("bob") };
        let answer = register(&node, request).await;
        assert_eq!(field(answer), "deviceName", "{hostile:?}");
    }
    assert!(register(&node, registration("bob")).await.is_ok());
}

#[tokio::test]
async fn tokens_that_are_none() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    assert_eq!(code(account(&node, "").await), "unauthenticated");
    let unknown = format!("gga_{}", "A".repeat(43));
    for wrong in ["x", "gga_", &unknown, &alice.refresh, &alice.token[..40]] {
        assert_eq!(code(account(&node, wrong).await), "token_invalid", "{wrong}");
    }
    assert_eq!(code(refresh(&node, &alice.token).await), "token_invalid");
    assert_eq!(code(refresh(&node, "").await), "token_invalid");
}

#[tokio::test]
async fn an_access_token_expires_and_is_refreshed() {
    let mut config = config();
    config.access_ttl = Duration::ZERO;
    let node = Node::with(config, |s| s).await;
    let alice = node.register("alice").await;
    assert_eq!(code(account(&node, &alice.token).await), "token_expired");
    let renewed = User::of(refresh(&node, &alice.refresh).await.unwrap());
    assert_eq!(renewed.device, alice.device);
    assert_eq!(code(account(&node, &renewed.token).await), "token_expired");
    assert_eq!(code(account(&node, &alice.token).await), "token_invalid");
}

#[tokio::test]
async fn a_refresh_token_used_twice_signs_the_device_out() {
    let mut config = config();
    config.refresh_grace = Duration::ZERO;
    let node = Node::with(config, |s| s).await;
    let alice = node.register("alice").await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let renewed = User::of(refresh(&node, &alice.refresh).await.unwrap());
    assert!(account(&node, &renewed.token).await.is_ok());
    // The grace is over with the millisecond.
    let reused = eventually("the grace is over", async || refresh(&node, &alice.refresh).await.err()).await;
    assert_eq!(reused.code, "token_reused");
    let revoke = edge.next("revoke", |item| match item {
        Item::Revoke(revoke) => Some(revoke.clone()),
        _ => None,
    });
    let revoke = revoke.await;
    assert_eq!(revoke.device_id, alice.device.to_bytes());
    assert_eq!(revoke.close_code, u32::from(CloseCode::SignedOut.code()));
    assert_eq!(code(account(&node, &renewed.token).await), "token_invalid");
    assert_eq!(code(refresh(&node, &renewed.refresh).await), "token_invalid");
    assert_eq!(code(edge.say(session, alice.own(), "x").await), "token_invalid");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_in_grace() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let _lost = refresh(&node, &alice.refresh).await.unwrap();
    let again = User::of(refresh(&node, &alice.refresh).await.unwrap());
    assert!(account(&node, &again.token).await.is_ok());
}

#[tokio::test]
async fn devices_are_listed_and_signed_out() {
    let node = Node::start().await;
    let phone = node.register("alice").await;
    let laptop = node.log_in("alice").await.unwrap();
    let bob = node.register("bob").await;
    let list: v1::ListDevicesResponse =
        node.call("AccountService/ListDevices", Some(&phone.token), &v1::ListDevicesRequest {}).await.unwrap();
    assert_eq!(list.devices.len(), 2);
    let current: Vec<_> = list.devices.iter().filter(|d| d.current).map(|d| d.id.clone()).collect();
    assert_eq!(current, [phone.device.to_string()]);

    let revoke = |device: String| v1::RevokeDeviceRequest { device_id: device };
    let answer: Result<v1::RevokeDeviceResponse, _> =
        node.call("AccountService/RevokeDevice", Some(&phone.token), &revoke(bob.device.to_string())).await;
    assert_eq!(code(answer), "not_found");
    let answer: Result<v1::RevokeDeviceResponse, _> =
        node.call("AccountService/RevokeDevice", Some(&phone.token), &revoke("x".into())).await;
    assert_eq!(field(answer), "deviceId");
    let _: v1::RevokeDeviceResponse =
        node.call("AccountService/RevokeDevice", Some(&phone.token), &revoke(laptop.device.to_string())).await.unwrap();
    assert_eq!(code(account(&node, &laptop.token).await), "token_invalid");
    let asserted = gogochat_proto::node::invoke_request::Caller::Principal(laptop.principal());
    let answer = node.invoke("AccountService/GetAccount", Some(asserted), Default::default(), "").await;
    assert_eq!(code(answer), "token_invalid");

    let _: v1::LogOutResponse =
        node.call("AccountService/LogOut", Some(&phone.token), &v1::LogOutRequest {}).await.unwrap();
    assert_eq!(code(account(&node, &phone.token).await), "token_invalid");
    assert!(account(&node, &bob.token).await.is_ok());
}

#[tokio::test]
async fn a_new_password_signs_every_other_device_out() {
    let node = Node::start().await;
    let phone = node.register("alice").await;
    let laptop = node.log_in("alice").await.unwrap();
    let mut edge = Edge::attach(&node).await;
    let kept = edge.enter(&phone).await;
    let closed = edge.enter(&laptop).await;
    let change = |current: &str| v1::ChangePasswordRequest {
        current_password: current.into(),
        new_password: "battery staple".into(),
    };
    let answer: Result<v1::ChangePasswordResponse, _> =
        node.call("AccountService/ChangePassword", Some(&phone.token), &change("wrong")).await;
    assert_eq!(code(answer), "wrong_credentials");
    let changed: v1::ChangePasswordResponse =
        node.call("AccountService/ChangePassword", Some(&phone.token), &change(PASSWORD)).await.unwrap();
    assert_eq!(changed.devices_signed_out, 1);
    let revoke = edge
        .next("revoke", |item| match item {
            Item::Revoke(revoke) => Some(revoke.clone()),
            _ => None,
        })
        .await;
    assert_eq!(revoke.device_id, laptop.device.to_bytes());
    assert_eq!(code(edge.say(closed, alice_log(&phone), "x").await), "token_invalid");
    assert_eq!(code(edge.say(kept, alice_log(&phone), "x").await), "not_a_member");
    assert_eq!(code(node.log_in("alice").await), "wrong_credentials");
    assert!(account(&node, &phone.token).await.is_ok());
}

fn alice_log(user: &User) -> gogochat_proto::ids::LogId {
    let _ = user;
    new_id().parse().unwrap()
}

#[tokio::test]
async fn registrations_are_limited_by_address() {
    let mut config = config();
    let three = Rate { burst: 3, per_minute: 1 };
    config.rates.register_by_address = three;
    config.exempt_loopback = true;
    let node = Node::with(config, |s| s).await;
    for n in 0..3 {
        node.register(&format!("user{n}")).await;
    }
    let limited = register(&node, registration("user3")).await.unwrap_err();
    assert_eq!(limited.code, "rate_limited");
    assert!(limited.retry_after_ms > 0);
    let body = prost::Message::encode_to_vec(&registration("user3"));
    assert!(node.invoke("AccountService/Register", None, body.into(), "127.0.0.1").await.is_ok(), "loopback is exempt");
}

/// Tries to log in from an address: the code of the refusal.
async fn log_in_from(node: &Node, name: &str, password: &str, address: &str) -> String {
    let request = v1::LogInRequest { name: name.into(), password: password.into(), ..Default::default() };
    let body = prost::Message::encode_to_vec(&request);
    let answer = node.invoke("AccountService/LogIn", None, body.into(), address).await;
    answer.map_or_else(|error| error.code, |_| String::new())
}

/// Whoever tries passwords under somebody's name keeps nobody out but who is where they are.
#[tokio::test]
async fn failed_log_ins_lock_nobody_out_elsewhere() {
    let mut config = config();
    config.rates.failed_log_ins = Rate { burst: 3, per_minute: 1 };
    config.exempt_loopback = true;
    let node = Node::with(config, |s| s).await;
    node.register("alice").await;
    for _ in 0..10 {
        assert_eq!(log_in_from(&node, "alice", PASSWORD, "203.0.113.9").await, "", "what succeeds does not count");
    }
    for _ in 0..3 {
        assert_eq!(log_in_from(&node, "alice", "wrong", "203.0.113.9").await, "wrong_credentials");
        assert_eq!(code(register(&node, registration("alice")).await), "name_taken");
    }
    assert_eq!(log_in_from(&node, "alice", PASSWORD, "203.0.113.9").await, "rate_limited");
    assert_eq!(log_in_from(&node, "nobody", PASSWORD, "203.0.113.9").await, "wrong_credentials");
    assert_eq!(log_in_from(&node, "alice", PASSWORD, "192.0.2.7").await, "", "the owner is elsewhere");
    assert_eq!(log_in_from(&node, "alice", "wrong", "127.0.0.1").await, "wrong_credentials");
}

/// Changes of the password have a bucket of their own, and it is the user's.
#[tokio::test]
async fn changes_of_the_password_are_limited_by_user() {
    let mut config = config();
    config.rates.password_changes = Rate { burst: 2, per_minute: 1 };
    config.rates.failed_log_ins = Rate { burst: 3, per_minute: 1 };
    let node = Node::with(config, |s| s).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    for _ in 0..4 {
        log_in_from(&node, "alice", "wrong", "192.0.2.1").await;
    }
    let change = async |user: &User, current: &str| {
        let request =
            v1::ChangePasswordRequest { current_password: current.into(), new_password: "another horse".into() };
        node.call::<v1::ChangePasswordResponse>("AccountService/ChangePassword", Some(&user.token), &request).await
    };
    assert_eq!(code(change(&alice, "wrong").await), "wrong_credentials");
    change(&alice, PASSWORD).await.unwrap();
    let refused = change(&alice, "another horse").await.unwrap_err();
    assert_eq!(refused.code, "rate_limited");
    assert!(refused.retry_after_ms > 0);
    change(&bob, PASSWORD).await.unwrap();
}

/// A refresh token that nobody has costs a look and no writer, and from one address so many are looked at.
#[tokio::test]
async fn a_refresh_token_of_nobodys_costs_no_writer() {
    let faults = Faults::new();
    let mut config = config();
    config.rates.unknown_refreshes = Rate { burst: 3, per_minute: 1 };
    let node = Node::with(config, |storage| faults.before(storage)).await;
    let alice = node.register("alice").await;
    let unknown = format!("ggr_{}", "A".repeat(alice.refresh.len() - 4));
    for _ in 0..3 {
        assert_eq!(code(refresh(&node, &unknown).await), "token_invalid");
    }
    let refused = refresh(&node, &unknown).await.unwrap_err();
    assert_eq!(refused.code, "rate_limited");
    assert!(refused.retry_after_ms > 0);
    assert_eq!(faults.rotations.load(Ordering::SeqCst), 0);
    let body = prost::Message::encode_to_vec(&v1::RefreshRequest { refresh_token: alice.refresh.clone() });
    assert!(node.invoke("AccountService/Refresh", None, body.into(), "198.51.100.4").await.is_ok());
    assert_eq!(faults.rotations.load(Ordering::SeqCst), 1);
    // One that was exchanged is known: its second use signs the device out.
    let body = prost::Message::encode_to_vec(&v1::RefreshRequest { refresh_token: alice.refresh });
    assert!(node.invoke("AccountService/Refresh", None, body.into(), "198.51.100.4").await.is_ok(), "in its grace");
    assert_eq!(faults.rotations.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_core_without_edges_tells_of_a_sign_out_with_the_answer_though_the_bus_took_it() {
    let config = CoreConfig { services: vec![Service::Account], ..config() };
    let node = Node::with(config, |storage| Storage {
        bus: Arc::new(ChannelBus::new(64)),
        local: Some(Arc::new(ChannelBus::new(64))),
        ..storage
    })
    .await;
    let alice = node.register("alice").await;
    let request = InvokeRequest {
        method: "gogochat.v1.AccountService/LogOut".into(),
        caller: Some(Caller::AccessToken(alice.token.clone())),
        address: "192.0.2.1".into(),
        ..Default::default()
    };
    let reply = NodeServiceClient::new(node.channel.clone()).invoke(request).await.unwrap().into_inner();
    assert_eq!(reply.error, None);
    let told: Vec<_> = reply.revoked.iter().map(|revoke| revoke.device_id.clone()).collect();
    assert_eq!(told, [alice.device.to_bytes()]);
}
