//! The second factor of log-ins.

use std::time::{SystemTime, UNIX_EPOCH};

use gogochat_core::Rate;
use gogochat_proto::v1;
use totp_rs::{Builder, Secret};

use crate::support::{Answer, Node, PASSWORD, User, code, config};

async fn call<R: prost::Message + Default>(
    node: &Node,
    by: &User,
    method: &str,
    request: &impl prost::Message,
) -> Answer<R> {
    node.call(&format!("AccountService/{method}"), Some(&by.token), request).await
}

async fn begin(node: &Node, by: &User) -> Answer<v1::BeginSecondFactorResponse> {
    call(node, by, "BeginSecondFactor", &v1::BeginSecondFactorRequest { current_password: PASSWORD.into() }).await
}

async fn confirm(node: &Node, by: &User, code: &str) -> Answer<v1::ConfirmSecondFactorResponse> {
    call(node, by, "ConfirmSecondFactor", &v1::ConfirmSecondFactorRequest { code: code.into() }).await
}

async fn remove(node: &Node, by: &User, factor: &str) -> Answer<v1::SecondFactor> {
    let request = v1::RemoveSecondFactorRequest { current_password: PASSWORD.into(), second_factor: factor.into() };
    call(node, by, "RemoveSecondFactor", &request).await
}

async fn get(node: &Node, by: &User) -> v1::SecondFactor {
    call(node, by, "GetSecondFactor", &v1::GetSecondFactorRequest {}).await.unwrap()
}

async fn log_in(node: &Node, name: &str, password: &str, factor: &str) -> Answer<v1::Session> {
    let request = v1::LogInRequest {
        name: name.into(),
        password: password.into(),
        second_factor: factor.into(),
        ..Default::default()
    };
    node.call("AccountService/LogIn", None, &request).await
}

/// What an authenticator shows so many steps from now.
fn shown(secret: &str, steps: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let totp = Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).build().unwrap();
    totp.generate(now.saturating_add_signed(30 * steps)).to_string()
}

/// Turns it on with the code before this one, so that those of now and of later are left.
async fn turn_on(node: &Node, by: &User) -> (String, Vec<String>) {
    let begun = begin(node, by).await.unwrap();
    let codes = confirm(node, by, &shown(&begun.secret, -1)).await.unwrap().recovery_codes;
    (begun.secret, codes)
}

#[tokio::test]
async fn log_ins_ask_for_it_once_it_is_confirmed() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    assert_eq!(get(&node, &alice).await, v1::SecondFactor::default());
    assert_eq!(code(confirm(&node, &alice, "123456").await), "second_factor_off");
    let wrong = v1::BeginSecondFactorRequest { current_password: "wrong horse".into() };
    let refused = call::<v1::BeginSecondFactorResponse>(&node, &alice, "BeginSecondFactor", &wrong).await;
    assert_eq!(code(refused), "wrong_credentials");

    let begun = begin(&node, &alice).await.unwrap();
    assert_eq!(begun.uri, format!("otpauth://totp/gogochat:alice?secret={}&issuer=gogochat", begun.secret));
    assert!(log_in(&node, "alice", PASSWORD, "").await.is_ok(), "it is not confirmed");
    let other = shown(&begin(&node, &alice).await.unwrap().secret, 0);
    let again = begin(&node, &alice).await.unwrap();
    for wrong in [other.as_str(), "", "abcdef", "1234567"] {
        assert_eq!(code(confirm(&node, &alice, wrong).await), "second_factor_wrong", "{wrong:?}");
    }
    let codes = confirm(&node, &alice, &shown(&again.secret, -1)).await.unwrap().recovery_codes;
    assert_eq!(codes.len(), 10);
    let on = get(&node, &alice).await;
    assert!(on.on && on.since_ms > 0 && on.recovery_codes_left == 10, "{on:?}");
    assert_eq!(code(begin(&node, &alice).await), "second_factor_on");
    assert_eq!(code(confirm(&node, &alice, "123456").await), "second_factor_on");

    // The right password alone is told of it.
    assert_eq!(code(log_in(&node, "alice", PASSWORD, " ").await), "second_factor_required");
    assert_eq!(code(log_in(&node, "alice", "wrong horse", "").await), "wrong_credentials");
    assert_eq!(code(log_in(&node, "alice", "wrong horse", &codes[0]).await), "wrong_credentials");
    assert_eq!(code(log_in(&node, "alice", PASSWORD, &shown(&begun.secret, 0)).await), "second_factor_wrong");
    assert_eq!(code(log_in(&node, "alice", PASSWORD, &shown(&again.secret, -1)).await), "second_factor_wrong", "used");
    assert!(log_in(&node, "alice", PASSWORD, &shown(&again.secret, 1)).await.is_ok());
    assert_eq!(code(log_in(&node, "alice", PASSWORD, &shown(&again.secret, 0)).await), "second_factor_wrong", "older");
    let typed = codes[0].to_uppercase().replace('-', " ");
    assert!(log_in(&node, "alice", PASSWORD, &typed).await.is_ok());
    assert_eq!(code(log_in(&node, "alice", PASSWORD, &codes[0]).await), "second_factor_wrong", "used");
    assert_eq!(get(&node, &alice).await.recovery_codes_left, 9);
}

#[tokio::test]
async fn it_is_removed_by_who_has_it_or_with_the_access_anew() {
    let node = Node::start().await;
    let (alice, boss) = (node.register("alice").await, node.administrator("boss").await);
    let off = v1::SecondFactor::default();
    assert_eq!(remove(&node, &alice, "").await.unwrap(), off, "there is none");
    let (secret, codes) = turn_on(&node, &alice).await;
    assert_eq!(code(remove(&node, &alice, "").await), "second_factor_required");
    assert_eq!(code(remove(&node, &alice, "000000").await), "second_factor_wrong");
    assert_eq!(remove(&node, &alice, &shown(&secret, 0)).await.unwrap(), off);
    assert!(log_in(&node, "alice", PASSWORD, "").await.is_ok());
    assert!(log_in(&node, "alice", PASSWORD, &codes[0]).await.is_ok(), "nobody looks at it");

    let (_, codes) = turn_on(&node, &alice).await;
    let reset = v1::ResetAccessRequest { user_id: alice.id.to_string() };
    let given: v1::ResetAccessResponse =
        node.call("AdminService/ResetAccess", Some(&boss.token), &reset).await.unwrap();
    let request = v1::LogInRequest {
        name: "alice".into(),
        password: given.one_time_password,
        new_password: "another horse".into(),
        second_factor: codes[0].clone(),
        ..Default::default()
    };
    let session: v1::Session = node.call("AccountService/LogIn", None, &request).await.unwrap();
    assert!(log_in(&node, "alice", "another horse", "").await.is_ok());
    let again: v1::SecondFactor = node
        .call("AccountService/GetSecondFactor", Some(&session.access_token), &v1::GetSecondFactorRequest {})
        .await
        .unwrap();
    assert_eq!(again, off);
}

#[tokio::test]
async fn a_password_alone_does_not_get_to_guess() {
    let mut config = config();
    config.rates.wrong_factors = Rate { burst: 5, per_minute: 1 };
    let node = Node::with(config, |storage| storage).await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let (secret, codes) = turn_on(&node, &alice).await;
    let (other, _) = turn_on(&node, &bob).await;
    // Right ones are not counted.
    assert!(log_in(&node, "alice", PASSWORD, &shown(&secret, 0)).await.is_ok());
    for _ in 0..5 {
        assert_eq!(code(log_in(&node, "alice", PASSWORD, "000000").await), "second_factor_wrong");
    }
    for guess in ["000000", &shown(&secret, 1)] {
        assert_eq!(code(log_in(&node, "alice", PASSWORD, guess).await), "rate_limited");
    }
    assert!(log_in(&node, "bob", PASSWORD, &shown(&other, 0)).await.is_ok());
    // The owner has another way in, which nobody guesses.
    assert!(log_in(&node, "alice", PASSWORD, &codes[0]).await.is_ok());
}
