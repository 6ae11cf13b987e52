//! What users say of themselves: who may change it, who hears of it, and who is found by it.

use gogochat_core::Rate;
use gogochat_proto::{
    http, json,
    node::EphemeralKind,
    v1::{self, ephemeral::Kind, server_frame::Frame},
};
use serde_json::{Value, json};

use crate::support::{Answer, Edge, Node, User, code, config, field};

async fn update(node: &Node, user: &User, change: v1::UpdateAccountRequest) -> Answer<v1::Account> {
    node.call("AccountService/UpdateAccount", Some(&user.token), &change).await
}

/// `PATCH /v1/account` with this body.
async fn patch(node: &Node, user: &User, body: Value) -> Answer<Value> {
    let route = http::route(&"PATCH".parse().unwrap(), "/v1/account").unwrap();
    let body = route.request(None, body.to_string().as_bytes())?;
    let caller = gogochat_proto::node::invoke_request::Caller::AccessToken(user.token.clone());
    let reply = node.invoke("AccountService/UpdateAccount", Some(caller), body, "192.0.2.1").await?;
    Ok(serde_json::from_slice(&json::response_to_json(route.method(), &reply).unwrap()).unwrap())
}

async fn find(node: &Node, user: &User, query: &str) -> Vec<String> {
    let request = v1::FindPeopleRequest { query: query.into(), limit: 0 };
    let found: v1::FindPeopleResponse =
        node.call("SocialService/FindPeople", Some(&user.token), &request).await.unwrap();
    found.people.into_iter().map(|person| person.name).collect()
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_clears_what_is_empty() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let body =
        json!({ "displayName": " Alice A. ", "signature": "hi", "birthday": "2000-02-29", "gender": "GENDER_FEMALE" });
    let now = patch(&node, &alice, body).await.unwrap();
    assert_eq!(now["user"]["displayName"], "Alice A.");
    assert_eq!((&now["birthday"], &now["gender"]), (&json!("2000-02-29"), &json!("GENDER_FEMALE")));

    let now = patch(&node, &alice, json!({ "signature": "" })).await.unwrap();
    assert_eq!((&now["user"]["signature"], &now["user"]["displayName"]), (&json!(""), &json!("Alice A.")));
    assert_eq!(now["birthday"], "2000-02-29");
    assert_eq!(patch(&node, &alice, json!({})).await.unwrap(), now);
    let now = patch(&node, &alice, json!({ "displayName": "", "birthday": "", "gender": "GENDER_UNSPECIFIED" })).await;
    let now = now.unwrap();
    assert_eq!((&now["user"]["displayName"], &now["birthday"]), (&json!("alice"), &json!("")));
    assert_eq!(now["gender"], "GENDER_UNSPECIFIED");
}

#[tokio::test]
async fn what_may_not_be_said_is_refused_by_its_field() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for (wrong, name) in [
        (json!({ "displayName": "x".repeat(65) }), "displayName"),
        (json!({ "displayName": "a\u{202e}b" }), "displayName"),
        (json!({ "signature": "x".repeat(141) }), "signature"),
        (json!({ "signature": "a\nb" }), "signature"),
        (json!({ "birthday": "2001-02-29" }), "birthday"),
        (json!({ "birthday": "9999-01-01" }), "birthday"),
        (json!({ "gender": 9 }), "gender"),
        (json!({ "name": "bob" }), "name"),
    ] {
        assert_eq!(field(patch(&node, &alice, wrong.clone()).await), name, "{wrong}");
    }
    let most = "語".repeat(140);
    assert_eq!(patch(&node, &alice, json!({ "signature": most })).await.unwrap()["user"]["signature"], most);
}

#[tokio::test]
async fn own_devices_and_contacts_hear_of_it_and_nobody_else_does() {
    let node = Node::start().await;
    let [alice, bob, carol] = [node.register("alice").await, node.register("bob").await, node.register("carol").await];
    let with_bob = node.befriend(&alice, &bob).await;
    let with_carol = node.befriend(&alice, &carol).await;
    let ended = v1::RemoveContactRequest { user_id: alice.id.to_string() };
    let _: v1::RemoveContactResponse =
        node.call("SocialService/RemoveContact", Some(&carol.token), &ended).await.unwrap();
    let mut edge = Edge::attach(&node).await;
    for user in [&alice, &bob, &carol] {
        edge.enter(user).await;
    }
    edge.settle().await;
    let change = v1::UpdateAccountRequest { signature: Some("Away".into()), ..Default::default() };
    update(&node, &alice, change.clone()).await.unwrap();
    for log in [alice.own(), with_bob] {
        let (down, frame) = edge.ephemeral(log, EphemeralKind::Person).await;
        assert_eq!((down.subject.clone(), down.skip_subject), (alice.id.to_bytes(), log != alice.own()));
        let Frame::Ephemeral(ephemeral) = frame else { panic!("{frame:?}") };
        let Some(Kind::Person(person)) = ephemeral.kind else { panic!("{ephemeral:?}") };
        assert_eq!((person.name.as_str(), person.signature.as_str()), ("alice", "Away"));
    }
    // What changes nothing that others see is not sent, and nothing goes to who is no contact any more.
    update(&node, &alice, change).await.unwrap();
    update(&node, &alice, v1::UpdateAccountRequest { gender: Some(1), ..Default::default() }).await.unwrap();
    let late = edge.settle().await;
    let people = late.iter().filter(|item| match item {
        gogochat_proto::node::core_item::Item::Ephemeral(down) => down.kind() == EphemeralKind::Person,
        _ => false,
    });
    assert_eq!(people.count(), 0, "{with_carol}: {late:?}");
}

#[tokio::test]
async fn changes_are_limited() {
    let mut config = config();
    config.rates.profile_changes = Rate { burst: 3, per_minute: 1 };
    let node = Node::with(config, |storage| storage).await;
    let [alice, bob] = [node.register("alice").await, node.register("bob").await];
    for n in 0..3 {
        patch(&node, &alice, json!({ "signature": n.to_string() })).await.unwrap();
    }
    assert_eq!(code(patch(&node, &alice, json!({ "signature": "x" })).await), "rate_limited");
    patch(&node, &bob, json!({ "signature": "x" })).await.unwrap();
}

#[tokio::test]
async fn people_are_found_by_either_name() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for (name, display_name) in [("bob", "Kenji Tanaka"), ("tanaka", "Bo"), ("tan", "小明"), ("yuki", "ＴＡＮＡＫＡ")]
    {
        let user = node.register(name).await;
        let change = v1::UpdateAccountRequest { display_name: Some(display_name.into()), ..Default::default() };
        update(&node, &user, change).await.unwrap();
    }
    // The one of exactly that name, others by name, then those by display name.
    assert_eq!(find(&node, &alice, "tan").await, ["tan", "tanaka", "bob", "yuki"]);
    assert_eq!(find(&node, &alice, "Tanaka").await, ["tanaka", "bob", "yuki"]);
    assert_eq!(find(&node, &alice, "@bob").await, ["bob"]);
    assert_eq!(find(&node, &alice, "@BO").await, ["bob"]);
    assert_eq!(find(&node, &alice, "bo").await, ["bob", "tanaka"]);
    assert_eq!(find(&node, &alice, "小明").await, ["tan"]);
    assert_eq!(find(&node, &alice, "@小明").await, [""; 0]);
    assert_eq!(find(&node, &alice, "kenji t").await, ["bob"]);
}
