//! People and contacts.

use gogochat_proto::v1::{self, ContactState};

use crate::support::{Node, User, code, config, field, new_id};

fn request(user: &User, note: &str) -> v1::RequestContactRequest {
    v1::RequestContactRequest { user_id: user.id.to_string(), note: note.into() }
}

async fn ask(
    node: &Node,
    from: &User,
    request: v1::RequestContactRequest,
) -> Result<v1::RequestContactResponse, v1::Error> {
    node.call("SocialService/RequestContact", Some(&from.token), &request).await
}

async fn contacts(node: &Node, user: &User) -> Vec<(String, ContactState, String)> {
    let list: v1::ListContactsResponse =
        node.call("SocialService/ListContacts", Some(&user.token), &v1::ListContactsRequest::default()).await.unwrap();
    list.contacts.into_iter().map(|c| (c.person.clone().unwrap().name, c.state(), c.note)).collect()
}

#[tokio::test]
async fn asking_accepting_and_ending() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let asked = ask(&node, &alice, request(&bob, "hi, it is me")).await.unwrap();
    assert_eq!((asked.state(), asked.conversation_id.as_str()), (ContactState::Requested, ""));
    assert_eq!(contacts(&node, &alice).await, [("bob".into(), ContactState::Requested, "hi, it is me".into())]);
    assert_eq!(contacts(&node, &bob).await, [("alice".into(), ContactState::Incoming, "hi, it is me".into())]);
    // Asking one who has asked accepts.
    let both = ask(&node, &bob, request(&alice, "")).await.unwrap();
    assert_eq!(both.state(), ContactState::Accepted);
    node.send(&alice, both.conversation_id.parse().unwrap(), "hello").await.unwrap();
    assert_eq!(code(ask(&node, &alice, request(&bob, "")).await), "already_contact");
    let remove = v1::RemoveContactRequest { user_id: bob.id.to_string() };
    let _: v1::RemoveContactResponse =
        node.call("SocialService/RemoveContact", Some(&alice.token), &remove).await.unwrap();
    assert_eq!(contacts(&node, &bob).await, []);
    let again: Result<v1::RemoveContactResponse, _> =
        node.call("SocialService/RemoveContact", Some(&alice.token), &remove).await;
    assert_eq!(code(again), "not_found");
    let accept = v1::AcceptContactRequest { user_id: bob.id.to_string() };
    let answer: Result<v1::AcceptContactResponse, _> =
        node.call("SocialService/AcceptContact", Some(&alice.token), &accept).await;
    assert_eq!(code(answer), "not_found");
}

#[tokio::test]
async fn requests_that_cannot_be() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    assert_eq!(code(ask(&node, &alice, request(&alice, "")).await), "yourself");
    let nobody = v1::RequestContactRequest { user_id: new_id(), note: String::new() };
    assert_eq!(code(ask(&node, &alice, nobody).await), "not_found");
    let malformed = v1::RequestContactRequest { user_id: "bob".into(), note: String::new() };
    assert_eq!(field(ask(&node, &alice, malformed).await), "userId");
    assert_eq!(field(ask(&node, &alice, request(&bob, &"x".repeat(201))).await), "note");
    assert_eq!(field(ask(&node, &alice, request(&bob, "a\u{202e}b")).await), "note");
    assert!(ask(&node, &alice, request(&bob, &"x".repeat(200))).await.is_ok());
}

#[tokio::test]
async fn requests_are_limited_but_for_loopback() {
    let mut config = config();
    config.rates.contact_requests = gogochat_core::Rate { burst: 1, per_minute: 1 };
    config.exempt_loopback = true;
    let node = Node::with(config, |s| s).await;
    let (alice, bob, carol) = (node.register("alice").await, node.register("bob").await, node.register("carol").await);
    ask(&node, &alice, request(&bob, "")).await.unwrap();
    assert_eq!(code(ask(&node, &alice, request(&carol, "")).await), "rate_limited");
    let caller = gogochat_proto::node::invoke_request::Caller::AccessToken(alice.token.clone());
    let body = prost::Message::encode_to_vec(&request(&carol, ""));
    assert!(node.invoke("SocialService/RequestContact", Some(caller), body.into(), "::1").await.is_ok());
}

#[tokio::test]
async fn people_are_found_by_the_beginning_of_their_name() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for name in ["alicia", "al_bert", "bob"] {
        node.register(name).await;
    }
    let find = async |query: &str, limit: i32| -> Result<Vec<String>, v1::Error> {
        let request = v1::FindPeopleRequest { query: query.into(), limit };
        let found: v1::FindPeopleResponse = node.call("SocialService/FindPeople", Some(&alice.token), &request).await?;
        Ok(found.people.into_iter().map(|person| person.name).collect())
    };
    assert_eq!(find("Alic", 0).await.unwrap(), ["alice", "alicia"]);
    assert_eq!(find("alice", 0).await.unwrap(), ["alice"]);
    assert_eq!(find("al", 1).await.unwrap().len(), 1);
    assert_eq!(find("al_", 0).await.unwrap(), ["al_bert"], "'_' stands for itself");
    assert_eq!(find("%%", 0).await.unwrap(), [""; 0]);
    assert_eq!(field(find("a", 0).await), "query");
    assert_eq!(find(&"a".repeat(64), 0).await.unwrap(), [""; 0]);
    assert_eq!(field(find(&"a".repeat(65), 0).await), "query");
    assert_eq!(field(find("al", 51).await), "limit");

    let get = v1::GetPeopleRequest { user_ids: vec![alice.id.to_string(), new_id()] };
    let got: v1::GetPeopleResponse = node.call("SocialService/GetPeople", Some(&alice.token), &get).await.unwrap();
    assert_eq!(got.people.len(), 1);
    let many = v1::GetPeopleRequest { user_ids: vec![new_id(); 101] };
    let answer: Result<v1::GetPeopleResponse, _> =
        node.call("SocialService/GetPeople", Some(&alice.token), &many).await;
    assert_eq!(field(answer), "userIds");
}

#[tokio::test]
async fn contacts_come_in_pages_that_fit_a_frame() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let note = "語".repeat(200);
    for n in 0..90 {
        let user = node.register(&format!("user{n}")).await;
        ask(&node, &user, request(&alice, &note)).await.unwrap();
    }
    let mut names = Vec::new();
    let mut pages = 0;
    let mut page_token = String::new();
    loop {
        let request = v1::ListContactsRequest { limit: 500, page_token };
        let page: v1::ListContactsResponse =
            node.call("SocialService/ListContacts", Some(&alice.token), &request).await.unwrap();
        assert!(prost::Message::encoded_len(&page) < 50 * 1024);
        names.extend(page.contacts.into_iter().map(|c| c.person.unwrap().name));
        page_token = page.next_page_token;
        pages += 1;
        if page_token.is_empty() {
            break;
        }
    }
    names.sort();
    names.dedup();
    assert_eq!((names.len(), pages), (90, 2));
    let wrong = v1::ListContactsRequest { limit: 1, page_token: "x".into() };
    let answer: Result<v1::ListContactsResponse, _> =
        node.call("SocialService/ListContacts", Some(&alice.token), &wrong).await;
    assert_eq!(field(answer), "pageToken");
}
