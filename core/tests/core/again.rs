//! What a bus gives more than once, late, or from a newer core: what was carried out is not carried out again.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use gogochat_proto::{
    ids::CommandId,
    node::core_item::Item,
    v1::{self, ContactState},
};
use gogochat_storage::{
    bus::{Bus as _, BusCommand, ReplyTo},
    open::Storage,
};
use prost::Message;

use crate::{
    support::{Answer, Edge, Node, User, code, config, message, new_id, next_call, text},
    watched::Watched,
};

/// Two users, each with a session.
struct Stage {
    node: Node,
    bus: Arc<Watched>,
    edge: Edge,
    alice: (User, u64),
    bob: (User, u64),
}

type Told<R> = (Answer<R>, BusCommand);

impl Stage {
    async fn set() -> Self {
        let bus = Watched::new();
        let node = Node::with(config(), |storage| Storage { bus: bus.clone(), ..storage }).await;
        let (alice, bob) = (node.register("alice").await, node.register("bob").await);
        let mut edge = Edge::attach(&node).await;
        let (alices, bobs) = (edge.enter(&alice).await, edge.enter(&bob).await);
        Self { node, bus, edge, alice: (alice, alices), bob: (bob, bobs) }
    }

    /// The answer, and what went by the bus.
    async fn call<R: Message + Default>(&mut self, session: u64, method: &str, request: &impl Message) -> Told<R> {
        let answer = self.edge.call(session, &format!("SocialService/{method}"), "", request).await;
        (answer, self.bus.published.lock().last().unwrap().clone())
    }

    async fn ask(&mut self, (from, to): (u64, &User)) -> Told<v1::RequestContactResponse> {
        let request = v1::RequestContactRequest { user_id: to.id.to_string(), note: "hi".into() };
        self.call(from, "RequestContact", &request).await
    }

    async fn accept(&mut self, (by, from): (u64, &User)) -> Told<v1::AcceptContactResponse> {
        self.call(by, "AcceptContact", &v1::AcceptContactRequest { user_id: from.id.to_string() }).await
    }

    async fn remove(&mut self, (by, peer): (u64, &User)) -> Told<v1::RemoveContactResponse> {
        self.call(by, "RemoveContact", &v1::RemoveContactRequest { user_id: peer.id.to_string() }).await
    }

    /// The bus gives it again: its answer, and that nothing is told.
    async fn again<R: Message + Default>(&mut self, command: &BusCommand) -> Answer<R> {
        self.edge.settle().await;
        self.bus.bus.publish(command.clone()).await.unwrap();
        let answer = self.edge.result(command.reply_to.session, command.reply_to.call_id).await;
        for item in self.edge.settle().await {
            assert!(!matches!(item, Item::Fanout(_)), "{item:?}");
        }
        answer.map(|body| R::decode(body).unwrap())
    }

    /// How bob stands, as alice sees it.
    async fn bobs_state(&self) -> Option<ContactState> {
        let request = v1::ListContactsRequest::default();
        let list: v1::ListContactsResponse =
            self.node.call("SocialService/ListContacts", Some(&self.alice.0.token), &request).await.unwrap();
        list.contacts.first().map(v1::Contact::state)
    }
}

#[tokio::test]
async fn a_contact_command_that_is_given_again_changes_nothing() {
    let mut stage = Stage::set().await;
    let ((alice, alices), (bob, bobs)) = (stage.alice.clone(), stage.bob.clone());
    let (asked, request) = stage.ask((alices, &bob)).await;
    let (accepted, acceptance) = stage.accept((bobs, &alice)).await;
    let (removed, removal) = stage.remove((alices, &bob)).await;

    // He asks anew, and that request is neither removed by what came before it nor answered by it.
    stage.ask((bobs, &alice)).await.0.unwrap();
    assert_eq!(stage.again(&removal).await, removed);
    assert_eq!(stage.bobs_state().await, Some(ContactState::Incoming));
    assert_eq!(stage.again(&request).await, asked);
    assert_eq!(stage.bobs_state().await, Some(ContactState::Incoming));

    // She declines, and nothing asks in his name again; then she asks, and nothing accepts in his name.
    stage.remove((alices, &bob)).await.0.unwrap();
    assert_eq!(stage.again(&request).await, asked);
    assert_eq!(stage.bobs_state().await, None);
    stage.ask((alices, &bob)).await.0.unwrap();
    assert_eq!(stage.again(&acceptance).await, accepted);
    assert_eq!(stage.bobs_state().await, Some(ContactState::Requested));
}

#[tokio::test]
async fn what_was_refused_is_refused_when_it_is_given_again() {
    let mut stage = Stage::set().await;
    let ((alice, alices), (bob, bobs)) = (stage.alice.clone(), stage.bob.clone());
    // A reader keeps what is plainly refused from the bus; this comes from a core that has none.
    let create = v1::CreateGroupRequest { client_msg_id: new_id(), title: "Tea".into(), member_ids: Vec::new() };
    let _: v1::CreateGroupResponse = stage.edge.call(bobs, "ChatService/CreateGroup", "", &create).await.unwrap();
    let other = stage.bus.published.lock().last().unwrap().clone();
    let acceptance = BusCommand {
        id: CommandId::new_v7(),
        method: "gogochat.v1.SocialService/AcceptContact".into(),
        body: v1::AcceptContactRequest { user_id: alice.id.to_string() }.encode_to_vec().into(),
        reply_to: ReplyTo { call_id: next_call(), ..other.reply_to.clone() },
        ..other
    };
    let early = stage.again::<v1::AcceptContactResponse>(&acceptance).await;
    assert_eq!(early.as_ref().unwrap_err().code, "not_found");
    stage.ask((alices, &bob)).await.0.unwrap();
    assert_eq!(stage.again(&acceptance).await, early);
    assert_eq!(stage.bobs_state().await, Some(ContactState::Requested));
    // To call again is another call.
    stage.accept((bobs, &alice)).await.0.unwrap();
    assert_eq!(stage.bobs_state().await, Some(ContactState::Accepted));
}

#[tokio::test]
async fn what_was_too_long_on_its_way_is_refused_but_for_messages() {
    let mut stage = Stage::set().await;
    let ((alice, alices), (bob, bobs)) = (stage.alice.clone(), stage.bob.clone());
    let (_, request) = stage.ask((alices, &bob)).await;
    let log = stage.accept((bobs, &alice)).await.0.unwrap().conversation_id.parse().unwrap();
    let (_, removal) = stage.remove((alices, &bob)).await;

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let left = |command: &BusCommand, minutes: i64| BusCommand {
        id: CommandId::new_v7(),
        published_ms: now - minutes * 60_000,
        ..command.clone()
    };
    let refused = stage.again::<v1::RequestContactResponse>(&left(&request, 6)).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable()), ("deadline_exceeded", true));
    assert_eq!(stage.bobs_state().await, None);

    stage.bus.bus.publish(left(&request, 4)).await.unwrap();
    stage.edge.result(alices, request.reply_to.call_id).await.unwrap();
    assert_eq!(stage.bobs_state().await, Some(ContactState::Requested));
    stage.accept((bobs, &alice)).await.0.unwrap();
    assert_eq!(code(stage.again::<v1::RemoveContactResponse>(&left(&removal, 24 * 60)).await), "deadline_exceeded");
    assert_eq!(stage.bobs_state().await, Some(ContactState::Accepted));

    // A message is what its sender would send again by its name.
    stage.edge.interest(log, 1).await;
    stage.edge.say(alices, log, "now").await.unwrap();
    assert_eq!(text(&stage.edge.event(log).await.1).unwrap(), "now");
    let sent = stage.bus.published.lock().last().unwrap().clone();
    let body = message(log, "late").encode_to_vec().into();
    stage.bus.bus.publish(BusCommand { body, ..left(&sent, 24 * 60) }).await.unwrap();
    assert_eq!(text(&stage.edge.event(log).await.1).unwrap(), "late");
    stage.edge.result(alices, sent.reply_to.call_id).await.unwrap();
}

/// As while a cluster is brought to a new version.
#[tokio::test]
async fn a_method_of_a_newer_core_is_refused_for_now_and_others_go_on() {
    let mut stage = Stage::set().await;
    let ((alice, alices), (bob, bobs)) = (stage.alice.clone(), stage.bob.clone());
    let (_, request) = stage.ask((alices, &bob)).await;
    let method = "gogochat.v1.SocialService/OfTheNextVersion".to_owned();
    let newer = BusCommand { id: CommandId::new_v7(), method, ..request };
    let refused = stage.again::<v1::RequestContactResponse>(&newer).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable()), ("unavailable", true));
    // What the same session sends behind it there waits for it.
    let create = v1::CreateGroupRequest { client_msg_id: new_id(), title: "Tea".into(), member_ids: Vec::new() };
    let behind: Answer<v1::CreateGroupResponse> = stage.edge.call(alices, "ChatService/CreateGroup", "", &create).await;
    assert_eq!(code(behind), "out_of_order");
    stage.accept((bobs, &alice)).await.0.unwrap();
}
