//! Groups: roles, settings, removing, muting, dismissing, as calls.

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::{MAX_MEMBERS_PER_CALL, MAX_NOTICE, MAX_SLOW_MODE, MAX_TITLE},
    v1::{self, event::Body},
};

use crate::support::{Answer, Edge, Node, User, code, field, new_id};

struct Group {
    node: Node,
    ann: User,
    bob: User,
    eve: User,
    log: LogId,
}

impl Group {
    async fn new() -> Self {
        let node = Node::start().await;
        let (ann, bob, eve) = (node.register("ann").await, node.register("bob").await, node.register("eve").await);
        for other in [&bob, &eve] {
            node.befriend(&ann, other).await;
        }
        let member_ids = vec![bob.id.to_string(), eve.id.to_string()];
        let request = v1::CreateGroupRequest { client_msg_id: new_id(), title: "Tea".into(), member_ids };
        let made: v1::CreateGroupResponse =
            node.call("ChatService/CreateGroup", Some(&ann.token), &request).await.unwrap();
        Self { log: made.conversation_id.parse().unwrap(), node, ann, bob, eve }
    }

    fn id(&self) -> String {
        self.log.to_string()
    }

    async fn update(&self, by: &User, change: v1::UpdateConversationRequest) -> Answer<v1::UpdateConversationResponse> {
        let request = v1::UpdateConversationRequest { conversation_id: self.id(), ..change };
        self.node.call("ChatService/UpdateConversation", Some(&by.token), &request).await
    }

    async fn remove(&self, by: &User, users: &[UserId]) -> Answer<v1::RemoveMembersResponse> {
        let user_ids = users.iter().map(UserId::to_string).collect();
        let request = v1::RemoveMembersRequest { conversation_id: self.id(), user_ids, ..Default::default() };
        self.node.call("ChatService/RemoveMembers", Some(&by.token), &request).await
    }

    async fn transfer(&self, by: &User, to: &User) -> Answer<v1::TransferGroupResponse> {
        let user_id = to.id.to_string();
        let request = v1::TransferGroupRequest { conversation_id: self.id(), user_id, ..Default::default() };
        self.node.call("ChatService/TransferGroup", Some(&by.token), &request).await
    }

    async fn mute(&self, by: &User, user: &User, for_ms: i64) -> Answer<v1::MuteMemberResponse> {
        let (conversation_id, user_id) = (self.id(), user.id.to_string());
        let request = v1::MuteMemberRequest { conversation_id, user_id, for_ms, ..Default::default() };
        self.node.call("ChatService/MuteMember", Some(&by.token), &request).await
    }

    async fn seen(&self, by: &User) -> Answer<v1::Conversation> {
        let request = v1::GetConversationRequest { conversation_id: self.id() };
        self.node.call("ChatService/GetConversation", Some(&by.token), &request).await
    }
}

#[tokio::test]
async fn a_group_is_changed_and_seen_changed() {
    let group = Group::new().await;
    let change = v1::UpdateConversationRequest {
        title: Some("Tea at 5".into()),
        notice: Some("Bring cups".into()),
        posting: Some(v1::GroupPosting::Admins.into()),
        history: Some(v1::GroupHistory::All.into()),
        slow_mode_ms: Some(1_000),
        client_msg_id: new_id(),
        ..Default::default()
    };
    group.update(&group.ann, change.clone()).await.unwrap();
    let again = v1::UpdateConversationRequest { title: Some("Coffee".into()), ..change.clone() };
    assert_eq!(code(group.update(&group.ann, again).await), "client_msg_id_reused");
    group.update(&group.ann, change).await.unwrap();
    let seen = group.seen(&group.bob).await.unwrap();
    assert_eq!((seen.title.as_str(), seen.notice.as_str(), seen.slow_mode_ms), ("Tea at 5", "Bring cups", 1_000));
    assert_eq!((seen.role(), seen.posting()), (v1::MemberRole::Member, v1::GroupPosting::Admins));
    assert_eq!((seen.history(), seen.head.unwrap().last_seq), (v1::GroupHistory::All, 2));
    assert_eq!(code(group.node.send(&group.bob, group.log, "x").await), "muted");
    // Lists leave out what may be long.
    let list: v1::ListConversationsResponse = group
        .node
        .call("ChatService/ListConversations", Some(&group.bob.token), &v1::ListConversationsRequest::default())
        .await
        .unwrap();
    assert!(list.conversations.iter().all(|conversation| conversation.notice.is_empty()));

    let change = v1::UpdateConversationRequest {
        notice: Some(String::new()),
        posting: Some(v1::GroupPosting::Members.into()),
        ..Default::default()
    };
    group.update(&group.ann, change).await.unwrap();
    let seen = group.seen(&group.bob).await.unwrap();
    assert_eq!((seen.title.as_str(), seen.notice.as_str()), ("Tea at 5", ""));
    group.node.send(&group.bob, group.log, "x").await.unwrap();
    assert_eq!(code(group.node.send(&group.bob, group.log, "y").await), "slow_mode");
}

#[tokio::test]
async fn what_no_group_can_be_is_refused_at_its_limit() {
    let group = Group::new().await;
    let ann = &group.ann;
    let title = |length| v1::UpdateConversationRequest { title: Some("x".repeat(length)), ..Default::default() };
    let notice = |length| v1::UpdateConversationRequest { notice: Some("x".repeat(length)), ..Default::default() };
    let slow = |ms| v1::UpdateConversationRequest { slow_mode_ms: Some(ms), ..Default::default() };
    let longest = MAX_SLOW_MODE.as_millis() as i64;
    for good in [title(MAX_TITLE), notice(MAX_NOTICE), slow(longest), slow(0)] {
        group.update(ann, good).await.unwrap();
    }
    for (wrong, named) in [
        (title(0), "title"),
        (title(MAX_TITLE + 1), "title"),
        (notice(MAX_NOTICE + 1), "notice"),
        (slow(-1), "slowModeMs"),
        (slow(longest + 1), "slowModeMs"),
        (v1::UpdateConversationRequest { history: Some(9), ..Default::default() }, "history"),
        (v1::UpdateConversationRequest { posting: Some(-1), ..Default::default() }, "posting"),
        (v1::UpdateConversationRequest { client_msg_id: "x".into(), ..Default::default() }, "clientMsgId"),
    ] {
        assert_eq!(field(group.update(ann, wrong).await), named);
    }
    let ten_years = 10 * 365 * 24 * 3_600 * 1_000;
    group.mute(ann, &group.bob, ten_years).await.unwrap();
    assert_eq!(field(group.mute(ann, &group.bob, ten_years + 1).await), "forMs");
    assert_eq!(field(group.mute(ann, &group.bob, -1).await), "forMs");
    assert_eq!(code(group.mute(ann, ann, 1).await), "yourself");
    assert_eq!(code(group.transfer(ann, ann).await), "yourself");
    assert_eq!(code(group.remove(ann, &[ann.id]).await), "yourself");
    assert_eq!(field(group.remove(ann, &[]).await), "userIds");
    let many: Vec<_> = (0..=MAX_MEMBERS_PER_CALL).map(|_| UserId::new_v7()).collect();
    assert_eq!(field(group.remove(ann, &many).await), "userIds");
    let none = group.remove(ann, &many[1..]).await.unwrap();
    assert_eq!((none.removed, none.member_count), (0, 3));
}

#[tokio::test]
async fn who_is_removed_hears_that_and_nothing_later() {
    let group = Group::new().await;
    let mut edge = Edge::attach(&group.node).await;
    edge.enter(&group.bob).await;
    edge.interest(group.log, 1).await;
    let removed = group.remove(&group.ann, &[group.bob.id, group.eve.id]).await.unwrap();
    assert_eq!((removed.removed, removed.member_count), (2, 1));
    let (fanout, event) = edge.event(group.log).await;
    assert!(matches!(event.body, Some(Body::MembersRemoved(v1::MembersRemoved { count: 2, .. }))), "{event:?}");
    let gone: Vec<_> = [fanout.departed].into_iter().chain(fanout.also_departed).collect();
    assert_eq!(gone, [group.bob.id.to_bytes(), group.eve.id.to_bytes()]);
    let (own, event) = edge.event(group.bob.own()).await;
    assert_eq!((own.unsubscribe, event.sender_id), (group.log.to_bytes(), group.ann.id.to_string()));
    assert_eq!(code(group.seen(&group.bob).await), "not_a_member");
}

#[tokio::test]
async fn very_many_are_removed_in_slices_and_answered_once() {
    let group = Group::new().await;
    let mut friends = Vec::new();
    for n in 0..120 {
        let friend = group.node.register(&format!("friend{n}")).await;
        group.node.befriend(&group.ann, &friend).await;
        friends.push(friend.id);
    }
    let request = v1::AddMembersRequest {
        conversation_id: group.id(),
        client_msg_id: new_id(),
        user_ids: friends.iter().map(UserId::to_string).collect(),
    };
    let added: v1::AddMembersResponse =
        group.node.call("ChatService/AddMembers", Some(&group.ann.token), &request).await.unwrap();
    assert_eq!((added.added, added.member_count), (120, 123));
    let request =
        v1::RemoveMembersRequest { conversation_id: group.id(), client_msg_id: new_id(), user_ids: request.user_ids };
    for _ in 0..2 {
        let removed: v1::RemoveMembersResponse =
            group.node.call("ChatService/RemoveMembers", Some(&group.ann.token), &request).await.unwrap();
        assert_eq!((removed.removed, removed.member_count), (120, 3));
    }
    assert_eq!(group.seen(&group.ann).await.unwrap().head.unwrap().last_seq, 5);
}

#[tokio::test]
async fn ownership_goes_on_and_the_list_says_who_rules() {
    let group = Group::new().await;
    let rulers = async || {
        let request = v1::ListMembersRequest {
            conversation_id: group.id(),
            role: v1::MemberRole::Admin.into(),
            ..Default::default()
        };
        let page: v1::ListMembersResponse =
            group.node.call("ChatService/ListMembers", Some(&group.bob.token), &request).await.unwrap();
        let mut roles: Vec<_> =
            page.members.into_iter().map(|member| (member.person.clone().unwrap().name, member.role())).collect();
        roles.sort();
        roles
    };
    assert_eq!(rulers().await, [("ann".to_owned(), v1::MemberRole::Owner)]);
    group.transfer(&group.ann, &group.bob).await.unwrap();
    // The same end again: it is so.
    assert_eq!(code(group.transfer(&group.ann, &group.eve).await), "permission_denied");
    assert_eq!(rulers().await, [("ann".to_owned(), v1::MemberRole::Admin), ("bob".to_owned(), v1::MemberRole::Owner)]);
    let leave = v1::LeaveGroupRequest { conversation_id: group.id(), client_msg_id: new_id() };
    let _: v1::LeaveGroupResponse =
        group.node.call("ChatService/LeaveGroup", Some(&group.bob.token), &leave).await.unwrap();
    assert_eq!(group.seen(&group.ann).await.unwrap().role(), v1::MemberRole::Owner);

    let dismiss = v1::DismissGroupRequest { conversation_id: group.id(), ..Default::default() };
    for _ in 0..2 {
        let _: v1::DismissGroupResponse =
            group.node.call("ChatService/DismissGroup", Some(&group.ann.token), &dismiss).await.unwrap();
    }
    assert!(!group.seen(&group.eve).await.unwrap().writable);
    assert_eq!(code(group.node.send(&group.eve, group.log, "x").await), "group_dismissed");
    assert_eq!(code(group.mute(&group.ann, &group.eve, 1).await), "group_dismissed");
}
