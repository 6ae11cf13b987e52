//! Messages, history, marks and groups, and what they refuse.

use gogochat_proto::{
    limits::{MAX_BODY, MAX_TEXT},
    node::core_item,
    v1::{self, list_events_request::From},
};

use crate::support::{Edge, Node, code, events_after, field, message, new_id, next_call, text};

#[tokio::test]
async fn a_message_is_committed_and_told() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    edge.enter(&bob).await;
    let sent = edge.say(session, log, "hello").await.unwrap();
    assert_eq!((sent.seq, sent.duplicate), (2, false));
    let (fanout, event) = edge.event(log).await;
    assert_eq!(fanout.seq, 2);
    assert_eq!(text(&event).unwrap(), "hello");
    assert_eq!((event.sender_id, event.device_id), (alice.id.to_string(), alice.device.to_string()));
    assert_eq!((event.log_id, event.time_ms), (log.to_string(), sent.time_ms));
    assert_eq!(node.texts(&bob, log).await, [(2, "hello".to_owned())]);
}

#[tokio::test]
async fn a_repeat_answers_with_the_first_commit_and_another_body_is_refused() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let request = message(log, "once");
    let first: v1::SendMessageResponse = edge.call(session, "ChatService/SendMessage", log, &request).await.unwrap();
    let upper = v1::SendMessageRequest {
        conversation_id: request.conversation_id.to_uppercase(),
        client_msg_id: request.client_msg_id.to_uppercase(),
        ..request.clone()
    };
    for again in [&request, &upper] {
        let again: v1::SendMessageResponse =
            node.call("ChatService/SendMessage", Some(&alice.token), again).await.unwrap();
        assert_eq!((again.seq, again.time_ms, again.duplicate), (first.seq, first.time_ms, true));
    }
    let other = v1::SendMessageRequest { text: "twice".into(), ..request };
    let answer: Result<v1::SendMessageResponse, _> = edge.call(session, "ChatService/SendMessage", log, &other).await;
    assert_eq!(code(answer), "client_msg_id_reused");
    assert_eq!(node.texts(&alice, log).await.len(), 1);
}

#[tokio::test]
async fn hostile_sends_are_refused_by_their_code() {
    let node = Node::start().await;
    let (alice, bob, eve) = (node.register("alice").await, node.register("bob").await, node.register("eve").await);
    let log = node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let stranger = edge.enter(&eve).await;

    assert_eq!(code(edge.say(stranger, log, "x").await), "not_a_member");
    assert_eq!(code(edge.say(session, new_id().parse().unwrap(), "x").await), "not_a_member");
    assert_eq!(edge.say(session, log, &"x".repeat(MAX_TEXT)).await.unwrap().seq, 2);
    assert_eq!(code(edge.say(session, log, &"x".repeat(MAX_TEXT + 1)).await), "text_too_long");
    for blank in [" \n\t\u{3000}", "\u{2800}", "\u{200b}\u{200d}", "\u{3164}", "\u{ad}\u{2060}\u{fe0f}", "\0", "\u{7}"]
    {
        assert_eq!(field(edge.say(session, log, blank).await), "text", "{blank:?}");
    }
    assert_eq!(code(edge.say(u64::MAX, log, "x").await), "unauthenticated");

    let mut call = async |method: &str, key: String, request: v1::SendMessageRequest| {
        edge.call::<v1::SendMessageResponse>(session, method, key, &request).await
    };
    let send = "ChatService/SendMessage";
    assert_eq!(code(call(send, new_id(), message(log, "x")).await), "key_mismatch");
    assert_eq!(code(call(send, String::new(), message(log, "x")).await), "key_mismatch");
    assert_eq!(code(call("ChatService/Nothing", log.to_string(), message(log, "x")).await), "unknown_method");
    assert_eq!(code(call("ChatService/ListEvents", log.to_string(), message(log, "x")).await), "unknown_method");
    let bad_id = v1::SendMessageRequest { client_msg_id: "1".into(), ..message(log, "x") };
    assert_eq!(field(call(send, log.to_string(), bad_id).await), "clientMsgId");
    let bad_log = v1::SendMessageRequest { conversation_id: "1".into(), ..message(log, "x") };
    assert_eq!(field(call(send, "1".into(), bad_log).await), "conversationId");

    for (body, expected) in [(vec![0xff; 10], "malformed_body"), (vec![0; MAX_BODY + 1], "body_too_large")] {
        let call_id = next_call();
        let command = gogochat_proto::node::Command {
            awaited: false,
            session,
            call_id,
            method: format!("gogochat.v1.{send}"),
            key: log.to_string(),
            body: body.clone().into(),
        };
        edge.send(gogochat_proto::node::edge_item::Item::Command(command)).await;
        assert_eq!(code(edge.result(session, call_id).await), expected);
        let caller = gogochat_proto::node::invoke_request::Caller::AccessToken(alice.token.clone());
        assert_eq!(code(node.invoke(send, Some(caller), body.into(), "").await), expected);
    }
    assert_eq!(code(node.invoke("ChatService/Nothing", None, Default::default(), "").await), "unknown_method");
}

#[tokio::test]
async fn a_direct_conversation_ends_with_the_contact_and_stays_readable() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    node.send(&alice, log, "hello").await.unwrap();
    let remove = v1::RemoveContactRequest { user_id: alice.id.to_string() };
    let _: v1::RemoveContactResponse =
        node.call("SocialService/RemoveContact", Some(&bob.token), &remove).await.unwrap();
    assert_eq!(code(node.send(&alice, log, "again").await), "not_a_contact");
    assert_eq!(node.texts(&alice, log).await.len(), 1);
    let get = v1::GetConversationRequest { conversation_id: log.to_string() };
    let seen: v1::Conversation = node.call("ChatService/GetConversation", Some(&alice.token), &get).await.unwrap();
    assert!(!seen.writable);
    assert_eq!(node.befriend(&alice, &bob).await, log, "the same conversation comes back");
    node.send(&alice, log, "again").await.unwrap();
}

#[tokio::test]
async fn history_goes_both_ways_and_not_past_the_end() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    for n in 0..9 {
        node.send(&alice, log, &n.to_string()).await.unwrap();
    }
    let page = async |from: Option<From>, limit: i32| -> Result<v1::ListEventsResponse, v1::Error> {
        let request = v1::ListEventsRequest { conversation_id: log.to_string(), limit, from };
        node.call("ChatService/ListEvents", Some(&bob.token), &request).await
    };
    let seqs = |page: &v1::ListEventsResponse| page.events.iter().map(|e| e.seq).collect::<Vec<_>>();

    let newest = page(None, 3).await.unwrap();
    assert_eq!((seqs(&newest), newest.more, newest.last_seq), (vec![8, 9, 10], true, 10));
    let before = page(Some(From::BeforeSeq(3)), 10).await.unwrap();
    assert_eq!((seqs(&before), before.more), (vec![1, 2], false));
    let after = page(Some(From::AfterSeq(0)), 4).await.unwrap();
    assert_eq!((seqs(&after), after.more), (vec![1, 2, 3, 4], true));
    let end = page(Some(From::AfterSeq(10)), 4).await.unwrap();
    assert_eq!((seqs(&end), end.more), (vec![], false));
    assert_eq!(code(page(Some(From::AfterSeq(11)), 1).await), "seq_from_future");
    assert!(page(Some(From::BeforeSeq(11)), 1).await.is_ok());
    assert_eq!(code(page(Some(From::BeforeSeq(12)), 1).await), "seq_from_future");
    assert!(page(None, 500).await.is_ok());
    assert_eq!(field(page(None, 501).await), "limit");
    assert_eq!(field(page(None, -1).await), "limit");

    let own: v1::ListEventsResponse =
        node.call("ChatService/ListEvents", Some(&bob.token), &events_after(bob.own(), 0, 10)).await.unwrap();
    assert_eq!(seqs(&own), [1, 2, 3], "requested, accepted, joined");
    let other: Result<v1::ListEventsResponse, _> =
        node.call("ChatService/ListEvents", Some(&bob.token), &events_after(alice.own(), 0, 10)).await;
    assert_eq!(code(other), "not_a_member");
}

#[tokio::test]
async fn marks_move_up_alone_and_are_told() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let log = node.befriend(&alice, &bob).await;
    node.send(&alice, log, "1").await.unwrap();
    node.send(&alice, log, "2").await.unwrap();
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&bob).await;
    let mark = |delivered_seq, read_seq| v1::MarkRequest { conversation_id: log.to_string(), delivered_seq, read_seq };
    let mut moved = async |delivered, read| {
        edge.call::<v1::MarkResponse>(session, "ChatService/Mark", log, &mark(delivered, read)).await
    };
    assert_eq!(moved(3, 2).await.unwrap(), v1::MarkResponse { delivered_seq: 3, read_seq: 2 });
    assert_eq!(moved(1, 1).await.unwrap(), v1::MarkResponse { delivered_seq: 3, read_seq: 2 });
    assert_eq!(code(moved(4, 0).await), "seq_from_future");
    assert_eq!(field(moved(-1, 0).await), "deliveredSeq");
    let told = async |edge: &mut Edge| {
        let marks = edge.next("marks", |item| match item {
            core_item::Item::Marks(marks) => Some(marks.clone()),
            _ => None,
        });
        marks.await
    };
    let down = told(&mut edge).await;
    assert_eq!((down.log_id, down.moved.len()), (log.to_bytes(), 1));
    let mark = &down.moved[0];
    assert_eq!((&mark.user_id, mark.delivered_seq, mark.read_seq), (&bob.id.to_bytes(), 3, 2));
    // There is more to read: its client is told when to count.
    assert_eq!(mark.session, 0);

    let up = gogochat_proto::node::MarkUp { log_id: log.to_bytes(), delivered_seq: 3, read_seq: 3 };
    let marks = gogochat_proto::node::MarksUp { session, marks: vec![up] };
    edge.send(gogochat_proto::node::edge_item::Item::Marks(marks)).await;
    let down = told(&mut edge).await;
    assert_eq!((down.moved[0].read_seq, down.moved[0].session), (3, session));
    let lowest = down.now.unwrap();
    assert_eq!((lowest.delivered.unwrap().seq, lowest.read.unwrap().seq), (3, 3));

    let get = v1::GetConversationRequest { conversation_id: log.to_string() };
    let seen: v1::Conversation = node.call("ChatService/GetConversation", Some(&alice.token), &get).await.unwrap();
    let head = seen.head.unwrap();
    assert_eq!((head.others_delivered_seq, head.others_read_seq), (3, 3));
}

#[tokio::test]
async fn groups_are_made_grow_and_are_left() {
    let node = Node::start().await;
    let (alice, bob, carol) = (node.register("alice").await, node.register("bob").await, node.register("carol").await);
    node.befriend(&alice, &bob).await;
    let mut edge = Edge::attach(&node).await;
    let session = edge.enter(&alice).await;
    let bobs = edge.enter(&bob).await;
    let create = v1::CreateGroupRequest {
        client_msg_id: new_id(),
        title: "Friends".into(),
        member_ids: vec![bob.id.to_string(), alice.id.to_string(), bob.id.to_string()],
    };
    let made: v1::CreateGroupResponse = edge.call(session, "ChatService/CreateGroup", "", &create).await.unwrap();
    let again: v1::CreateGroupResponse =
        edge.call(session, "ChatService/CreateGroup", alice.id, &create).await.unwrap();
    assert_eq!(made, again);
    let log = made.conversation_id.parse().unwrap();
    let (fanout, _) = edge.event(bob.own()).await;
    let subscribe = fanout.subscribe.unwrap();
    assert_eq!(subscribe.log_id, gogochat_proto::ids::LogId::to_bytes(log));
    edge.interest(log, subscribe.from_seq).await;
    assert!(matches!(edge.event(log).await.1.body, Some(v1::event::Body::ConversationCreated(_))));

    let add = |user: &crate::support::User| v1::AddMembersRequest {
        conversation_id: log.to_string(),
        client_msg_id: new_id(),
        user_ids: vec![user.id.to_string()],
    };
    let mut added =
        async |user| edge.call::<v1::AddMembersResponse>(session, "ChatService/AddMembers", log, &add(user)).await;
    assert_eq!(code(added(&carol).await), "not_a_contact");
    node.befriend(&alice, &carol).await;
    assert_eq!(added(&carol).await.unwrap(), v1::AddMembersResponse { added: 1, member_count: 3 });
    assert_eq!(added(&carol).await.unwrap(), v1::AddMembersResponse { added: 0, member_count: 3 });

    let members: v1::ListMembersResponse = node
        .call(
            "ChatService/ListMembers",
            Some(&carol.token),
            &v1::ListMembersRequest { conversation_id: log.to_string(), limit: 2, ..Default::default() },
        )
        .await
        .unwrap();
    assert_eq!(members.members.len(), 2);
    let rest: v1::ListMembersResponse = node
        .call(
            "ChatService/ListMembers",
            Some(&carol.token),
            &v1::ListMembersRequest {
                conversation_id: log.to_string(),
                limit: 2,
                page_token: members.next_page_token,
                ..Default::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(rest.members.len(), 1);
    assert!(rest.next_page_token.is_empty());

    let leave = v1::LeaveGroupRequest { conversation_id: log.to_string(), client_msg_id: new_id() };
    let _: v1::LeaveGroupResponse = edge.call(bobs, "ChatService/LeaveGroup", log, &leave).await.unwrap();
    let (fanout, _) = edge
        .next("unsubscribe", |item| match item {
            gogochat_proto::node::core_item::Item::Fanout(f) if !f.unsubscribe.is_empty() => Some((f.clone(), ())),
            _ => None,
        })
        .await;
    assert_eq!(fanout.log_id, bob.own().to_bytes());
    assert_eq!(code(edge.say(bobs, log, "x").await), "not_a_member");
    let direct = node.befriend(&bob, &carol).await;
    let leave = v1::LeaveGroupRequest { conversation_id: direct.to_string(), client_msg_id: new_id() };
    let answer: Result<v1::LeaveGroupResponse, _> = edge.call(bobs, "ChatService/LeaveGroup", direct, &leave).await;
    assert_eq!(code(answer), "not_a_group");
    let hostile = v1::CreateGroupRequest { title: "a\u{202e}b".into(), client_msg_id: new_id(), member_ids: vec![] };
    let answer: Result<v1::CreateGroupResponse, _> = edge.call(session, "ChatService/CreateGroup", "", &hostile).await;
    assert_eq!(field(answer), "title");
    let many = v1::CreateGroupRequest { title: "x".into(), client_msg_id: new_id(), member_ids: vec![new_id(); 1_001] };
    let answer: Result<v1::CreateGroupResponse, _> = edge.call(session, "ChatService/CreateGroup", "", &many).await;
    assert_eq!(field(answer), "memberIds");
}
