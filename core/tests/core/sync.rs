//! Catching up.

use std::collections::BTreeMap;

use gogochat_proto::v1;

use crate::support::{Node, User, code, field, new_id};

async fn sync(node: &Node, user: &User, request: v1::SyncRequest) -> Result<v1::SyncResponse, v1::Error> {
    node.call("SyncService/Sync", Some(&user.token), &request).await
}

/// All pages of a sync, and the heads that come with them.
async fn all(node: &Node, user: &User, own_seq: i64, known: &[v1::Head]) -> (Vec<v1::SyncResponse>, Vec<v1::Head>) {
    let mut pages = Vec::new();
    let mut heads = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::SyncRequest { own_seq, known: known.to_vec(), page_token, position: 0 };
        let page = sync(node, user, request).await.unwrap();
        assert!(prost::Message::encoded_len(&page) < 50 * 1024, "a page does not fit");
        heads.extend(page.conversations.iter().map(|c| c.head.clone().unwrap()));
        page_token = page.next_page_token.clone();
        pages.push(page);
        if page_token.is_empty() {
            return (pages, heads);
        }
    }
}

#[tokio::test]
async fn a_new_device_is_told_everything_and_a_known_one_what_moved() {
    let node = Node::start().await;
    let (alice, bob, carol) = (node.register("alice").await, node.register("bob").await, node.register("carol").await);
    let log = node.befriend(&alice, &bob).await;
    let other = node.befriend(&alice, &carol).await;
    node.send(&bob, log, "1").await.unwrap();
    let (pages, heads) = all(&node, &alice, 0, &[]).await;
    assert_eq!(pages.len(), 1);
    let first = &pages[0];
    assert_eq!(first.own_events.len(), 6);
    assert_eq!((first.own_more, first.own_last_seq), (false, 6));
    assert_eq!(
        heads.iter().map(|h| h.conversation_id.clone()).collect::<Vec<_>>(),
        [log.to_string(), other.to_string()]
    );
    assert_eq!(heads[0].unread, 1);
    assert_eq!(first.conversations[0].peer.as_ref().unwrap().name, "bob");

    let (pages, moved) = all(&node, &alice, 6, &heads).await;
    assert_eq!((moved.len(), pages[0].own_events.len()), (0, 0));
    node.send(&carol, other, "2").await.unwrap();
    let (_, moved) = all(&node, &alice, 6, &heads).await;
    assert_eq!(moved.iter().map(|h| h.conversation_id.clone()).collect::<Vec<_>>(), [other.to_string()]);
}

#[tokio::test]
async fn a_cursor_from_the_future_and_other_nonsense() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let request = |own_seq| v1::SyncRequest { own_seq, ..Default::default() };
    assert!(sync(&node, &alice, request(0)).await.is_ok());
    assert_eq!(code(sync(&node, &alice, request(1)).await), "cursor_from_future");
    assert_eq!(field(sync(&node, &alice, request(-1)).await), "ownSeq");
    let known = v1::SyncRequest { known: vec![v1::Head::default()], ..Default::default() };
    assert_eq!(field(sync(&node, &alice, known).await), "known.conversationId");
    let head = || v1::Head { conversation_id: new_id(), ..Default::default() };
    let known = |count: usize| v1::SyncRequest { known: (0..count).map(|_| head()).collect(), ..Default::default() };
    assert_eq!(sync(&node, &alice, known(1_000)).await.unwrap().gone.len(), 1_000);
    assert_eq!(field(sync(&node, &alice, known(1_001)).await), "known");
    let token = v1::SyncRequest { page_token: "AAAA".into(), ..Default::default() };
    assert_eq!(field(sync(&node, &alice, token).await), "pageToken");
}

#[tokio::test]
async fn who_left_is_told_that_it_is_gone() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    node.befriend(&alice, &bob).await;
    let create = v1::CreateGroupRequest {
        client_msg_id: new_id(),
        title: "Friends".into(),
        member_ids: vec![bob.id.to_string()],
    };
    let made: v1::CreateGroupResponse =
        node.call("ChatService/CreateGroup", Some(&alice.token), &create).await.unwrap();
    let (_, heads) = all(&node, &bob, 0, &[]).await;
    assert_eq!(heads.len(), 2);
    let leave = v1::LeaveGroupRequest { conversation_id: made.conversation_id.clone(), client_msg_id: new_id() };
    let _: v1::LeaveGroupResponse = node.call("ChatService/LeaveGroup", Some(&bob.token), &leave).await.unwrap();
    let (pages, moved) = all(&node, &bob, 0, &heads).await;
    assert_eq!(pages[0].gone, [made.conversation_id]);
    assert_eq!(moved.len(), 0);
}

#[tokio::test]
async fn large_conversations_and_long_own_logs_come_in_pages() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let text = "x".repeat(16 * 1024);
    let mut expected = BTreeMap::new();
    for n in 0..120 {
        let friend = node.register(&format!("friend{n}")).await;
        let log = node.befriend(&friend, &alice).await;
        let seq = if n % 3 == 0 { node.send(&friend, log, &text).await.unwrap().seq } else { 1 };
        expected.insert(log.to_string(), seq);
    }
    let (pages, heads) = all(&node, &alice, 0, &[]).await;
    assert!(pages.len() > 10);
    let got: BTreeMap<String, i64> = heads.iter().map(|h| (h.conversation_id.clone(), h.last_seq)).collect();
    assert_eq!((got.len(), heads.len()), (120, 120), "each once");
    assert_eq!(got, expected);

    let mut own = Vec::new();
    loop {
        let after = own.last().copied().unwrap_or(0);
        let request = v1::SyncRequest { own_seq: after, known: heads.clone(), ..Default::default() };
        let page = sync(&node, &alice, request).await.unwrap();
        own.extend(page.own_events.iter().map(|event| event.seq));
        assert_eq!(page.own_last_seq, 360);
        if !page.own_more {
            break;
        }
    }
    assert_eq!(own, (1..=360).collect::<Vec<_>>());
    assert_eq!(page_through_list(&node, &alice).await, 120);
}

async fn page_through_list(node: &Node, user: &User) -> usize {
    let mut seen = std::collections::HashSet::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListConversationsRequest { limit: 50, page_token };
        let page: v1::ListConversationsResponse =
            node.call("ChatService/ListConversations", Some(&user.token), &request).await.unwrap();
        assert!(prost::Message::encoded_len(&page) < 50 * 1024);
        for conversation in page.conversations {
            assert!(seen.insert(conversation.id), "twice");
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return seen.len();
        }
    }
}
