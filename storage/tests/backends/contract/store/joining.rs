//! Joining groups by an invite, and open ones by oneself.

use std::sync::Arc;

use gogochat_proto::{
    ids::{LogId, UserId},
    limits::MAX_INVITES,
    v1::event::Body,
};
use gogochat_storage::store::{
    Command, Done, GroupAct, GroupChange, JoinBy, Joining, Millis, Origin, Outcome, Refusal, Role, Store,
    SubscriptionChange,
};
use uuid::Uuid;

use super::{NOW, World, body, governing::Group};

pub(super) async fn invite(group: &Group, uses: Option<u32>, until_ms: Millis) -> Uuid {
    let act = GroupAct::Invite { code: Uuid::new_v4(), until_ms, uses };
    match group.act(group.admin, act).await.unwrap().done {
        Done::Invited { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

pub(super) fn join(world: &World, user: UserId, by: JoinBy) -> Command {
    Command::Join { origin: world.origin(user), by }
}

async fn by_code(group: &Group, user: UserId, code: Uuid, now: Millis) -> Outcome {
    let origin = Origin { now, ..group.world.origin(user) };
    group.world.one(Command::Join { origin, by: JoinBy::Invite(code) }).await
}

pub(crate) async fn a_code_leads_in_so_often_and_so_long(store: Arc<dyn Store>) {
    let mut group = Group::new(store).await;
    let [one, two, three] = group.world.users().await;
    let code = invite(&group, Some(2), NOW + 10).await;
    let seen = group.world.store.invite(code, NOW).await.unwrap().unwrap();
    assert_eq!((seen.log, seen.title.as_str(), seen.member_count), (group.log, "Group", 4));
    let last = group.world.store.last_seq(group.log).await.unwrap().unwrap();
    let joined = by_code(&group, one, code, NOW).await.unwrap();
    assert_eq!(joined.done, Done::Joined { conversation: group.log });
    let [event, told] = &joined.events[..] else { panic!("{:?}", joined.events) };
    assert_eq!((event.log, event.seq, event.sender), (group.log, last + 1, one));
    assert!(matches!(body(event), Body::MemberJoined(joined) if joined.user_id == one.to_string()));
    assert_eq!(told.subscription, Some(SubscriptionChange::Subscribe { log: group.log, from_seq: last }));
    assert_eq!(group.role(one).await, Some(Role::Member));
    // Who is in stays in, and takes no use.
    assert_eq!(by_code(&group, one, code, NOW).await.unwrap().events, []);
    assert_eq!(by_code(&group, two, code, NOW + 10).await, Err(Refusal::NotFound));
    by_code(&group, two, code, NOW + 9).await.unwrap();
    assert_eq!(by_code(&group, three, code, NOW).await, Err(Refusal::NotFound));
    assert_eq!(group.world.store.invite(code, NOW).await.unwrap(), None);
    assert_eq!(by_code(&group, three, Uuid::new_v4(), NOW).await, Err(Refusal::NotFound));
    assert_eq!(group.role(three).await, None);
}

pub(crate) async fn codes_are_made_and_ended_by_admins(store: Arc<dyn Store>) {
    let mut group = Group::new(store).await;
    let (member, new) = (group.members[0], group.world.user().await);
    let act = |code| GroupAct::Invite { code, until_ms: NOW + 10, uses: None };
    assert_eq!(group.act(member, act(Uuid::new_v4())).await, Err(Refusal::NotPermitted));
    let code = invite(&group, None, NOW + 10).await;
    let listed = group.world.store.invites(group.log, NOW).await.unwrap();
    assert_eq!((listed.len(), listed[0].code, listed[0].creator, listed[0].uses_left), (1, code, group.admin, None));
    assert!(group.world.store.invites(group.log, NOW + 10).await.unwrap().is_empty());
    assert_eq!(group.act(member, GroupAct::Revoke { code }).await, Err(Refusal::NotPermitted));
    // Another group's admin ends none of this one's.
    let elsewhere = group.world.group(new, &[]).await;
    let revoke = Command::Group { log: elsewhere, origin: group.world.origin(new), act: GroupAct::Revoke { code } };
    group.world.one(revoke).await.unwrap();
    assert!(group.world.store.invite(code, NOW).await.unwrap().is_some());
    group.act(group.owner, GroupAct::Revoke { code }).await.unwrap();
    assert_eq!(by_code(&group, new, code, NOW).await, Err(Refusal::NotFound));

    for _ in 0..MAX_INVITES {
        invite(&group, None, NOW + 10).await;
    }
    assert_eq!(group.act(group.owner, act(Uuid::new_v4())).await, Err(Refusal::TooManyInvites));
    let later = Origin { now: NOW + 10, ..group.world.origin(group.owner) };
    let act = GroupAct::Invite { code: Uuid::new_v4(), until_ms: NOW + 20, uses: None };
    group.world.one(Command::Group { log: group.log, origin: later, act }).await.unwrap();
    assert_eq!(group.world.store.invites(group.log, NOW + 10).await.unwrap().len(), 1);
    group.act(group.owner, GroupAct::Dismiss).await.unwrap();
    let code = group.world.store.invites(group.log, NOW + 10).await.unwrap()[0].code;
    assert_eq!(by_code(&group, new, code, NOW + 10).await, Err(Refusal::Dismissed));
}

pub(crate) async fn an_open_group_is_listed_and_joined(store: Arc<dyn Store>) {
    let mut group = Group::new(store).await;
    let new = group.world.user().await;
    let oneself = |world: &World| join(world, new, JoinBy::Oneself(group.log));
    assert_eq!(group.world.one(oneself(&group.world)).await, Err(Refusal::NotFound));
    assert_eq!(group.world.store.open_groups(None, 10).await.unwrap(), []);
    let open = |joining| GroupAct::Change(GroupChange { joining: Some(joining), ..Default::default() });
    group.act(group.admin, open(Joining::Open)).await.unwrap();
    let listed = group.world.store.open_groups(None, 10).await.unwrap();
    assert_eq!((listed.len(), listed[0].log, listed[0].title.as_str()), (1, group.log, "Group"));
    assert_eq!(group.world.store.open_groups(Some(group.log), 10).await.unwrap(), []);
    let command = oneself(&group.world);
    for expected in [2, 0] {
        let joined = group.world.one(command.clone()).await.unwrap();
        assert_eq!((joined.done, joined.events.len()), (Done::Joined { conversation: group.log }, expected));
    }
    let direct = LogId::from(new);
    assert_eq!(group.world.one(join(&group.world, new, JoinBy::Oneself(direct))).await, Err(Refusal::NotFound));
    group.act(group.admin, open(Joining::Invite)).await.unwrap();
    assert_eq!(group.world.store.open_groups(None, 10).await.unwrap(), []);
}

pub(crate) async fn what_an_invite_made_is_told_again(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let origin = group.world.origin(group.owner);
    let act = || GroupAct::Invite { code: Uuid::new_v4(), until_ms: NOW + 10, uses: Some(1) };
    let make = || Command::Group { log: group.log, origin, act: act() };
    let first = group.world.one(make()).await.unwrap().done;
    assert_eq!(group.world.one(make()).await.unwrap().done, first);
    assert_eq!(group.world.store.invites(group.log, NOW).await.unwrap().len(), 1);
}
