//! Two who act at once on the same thing, many times: whichever comes first, the end is a legal one, and
//! nothing passes behind what ended it.

use std::sync::Arc;

use gogochat_proto::{
    ids::{LogId, UserId},
    v1::event::Body,
};
use gogochat_storage::store::{Command, Done, GroupAct, GroupChange, JoinBy, Joining, Outcome, Refusal, Role, Store};
use tokio::sync::Barrier;

use super::{
    NOW, World,
    blocks::{block, unblock},
    body,
    governing::{Group, set_role},
    joining::{invite, join},
    unnamed,
};

/// Commits two commands at once, each by itself.
async fn at_once(store: &Arc<dyn Store>, one: Command, other: Command) -> [Outcome; 2] {
    let start = Arc::new(Barrier::new(2));
    let commit = |command: Command| {
        let (store, start) = (store.clone(), start.clone());
        tokio::spawn(async move {
            start.wait().await;
            // Where they stand in each other's way for too long, one is asked to come again.
            loop {
                if let Ok(mut outcomes) = store.commit(vec![command.clone()]).await {
                    return outcomes.remove(0);
                }
            }
        })
    };
    let (one, other) = (commit(one), commit(other));
    [one.await.unwrap(), other.await.unwrap()]
}

/// The kinds of events of a log, in order, behind a seq.
async fn after(world: &World, log: LogId, seq: i64) -> Vec<Body> {
    world.log(log).await.iter().filter(|event| event.seq > seq).map(body).collect()
}

async fn one_owner(group: &Group) -> UserId {
    let admins = group.world.store.admins(group.log, None, 100).await.unwrap();
    let owners: Vec<_> = admins.iter().filter(|member| member.role == Role::Owner).collect();
    assert_eq!(owners.len(), 1, "{admins:?}");
    owners[0].user.id
}

pub(crate) async fn removing_meets_sending(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let (owner, [one, _]) = (group.owner, group.members);
    for _ in 0..ROUNDS {
        let before = group.world.store.last_seq(group.log).await.unwrap().unwrap();
        let say = group.world.append(one, group.log, "x");
        let [removed, said] = at_once(&group.world.store, group.removal(owner, &[one]), say).await;
        removed.unwrap();
        let kinds = after(&group.world, group.log, before).await;
        match said {
            Ok(_) => assert!(matches!(&kinds[..], [Body::Message(_), Body::MembersRemoved(_)]), "{kinds:?}"),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::NotAMember);
                assert!(matches!(&kinds[..], [Body::MembersRemoved(_)]), "{kinds:?}");
            }
        }
        assert_eq!(group.role(one).await, None);
        let add = Command::AddMembers { log: group.log, origin: group.world.origin(owner), users: vec![one] };
        group.world.one(add).await.unwrap();
    }
}

pub(crate) async fn adding_meets_dismissing(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [owner, one, new] = world.users().await;
    world.befriend(owner, one).await;
    world.befriend(one, new).await;
    for _ in 0..ROUNDS {
        let log = world.group(owner, &[one]).await;
        let add = Command::AddMembers { log, origin: world.origin(one), users: vec![new] };
        let dismiss = Command::Group { log, origin: world.origin(owner), act: GroupAct::Dismiss };
        let [added, dismissed] = at_once(&world.store, add, dismiss).await;
        dismissed.unwrap();
        let is_member = world.store.member(log, new).await.unwrap().is_some();
        let kinds = after(&world, log, 1).await;
        match added {
            Ok(_) => assert!(is_member && matches!(&kinds[..], [Body::MembersAdded(_), Body::GroupDismissed(_)])),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Dismissed);
                assert!(!is_member && matches!(&kinds[..], [Body::GroupDismissed(_)]), "{kinds:?}");
            }
        }
    }
}

pub(crate) async fn demoting_meets_acting(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let (owner, admin) = (group.owner, group.admin);
    for round in 0..ROUNDS {
        let title = format!("by the admin {round}");
        let before = group.world.store.last_seq(group.log).await.unwrap().unwrap();
        let change = GroupChange { title: Some(title.clone()), ..Default::default() };
        let act = group.command(admin, GroupAct::Change(change));
        let [demoted, acted] =
            at_once(&group.world.store, group.command(owner, set_role(admin, Role::Member)), act).await;
        demoted.unwrap();
        let kinds = after(&group.world, group.log, before).await;
        let seen = group.world.store.conversations(owner, &[group.log]).await.unwrap().remove(0);
        match acted {
            Ok(_) => assert!(matches!(&kinds[..], [Body::GroupChanged(_), Body::RoleChanged(_)]), "{kinds:?}"),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::NotPermitted);
                assert!(matches!(&kinds[..], [Body::RoleChanged(_)]) && seen.title != Some(title), "{kinds:?}");
            }
        }
        group.act(owner, set_role(admin, Role::Admin)).await.unwrap();
    }
}

pub(crate) async fn two_transfers_make_one_owner(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let [one, two] = group.members;
    for _ in 0..ROUNDS {
        let owner = one_owner(&group).await;
        let others: Vec<_> = [group.owner, group.admin, one, two].into_iter().filter(|user| *user != owner).collect();
        let give = |to| group.command(owner, set_role(to, Role::Owner));
        let outcomes = at_once(&group.world.store, give(others[0]), give(others[1])).await;
        let done: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
        let now = one_owner(&group).await;
        match done[..] {
            [true, false] => assert_eq!(now, others[0]),
            [false, true] => assert_eq!(now, others[1]),
            _ => panic!("{outcomes:?}"),
        }
        assert_eq!(group.role(owner).await, Some(Role::Admin));
    }
}

pub(crate) async fn owner_and_heir_leave_at_once(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [owner, one, two] = world.users().await;
    world.befriend(owner, one).await;
    world.befriend(owner, two).await;
    for _ in 0..ROUNDS {
        let log = world.group(owner, &[one, two]).await;
        let leave = |user| Command::LeaveGroup { log, origin: world.origin(user) };
        for outcome in at_once(&world.store, leave(owner), leave(one)).await {
            outcome.unwrap();
        }
        let left = world.store.members(log, None, 10).await.unwrap();
        let left: Vec<_> = left.iter().map(|member| (member.user.id, member.role)).collect();
        assert_eq!(left, [(two, Role::Owner)]);
    }
}

pub(crate) async fn accepting_meets_withdrawing(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    for _ in 0..ROUNDS {
        let conversation = LogId::new_v7();
        let ask = Command::RequestContact { origin: unnamed(one, NOW), to: two, note: String::new(), conversation };
        world.one(ask).await.unwrap();
        let accept = Command::AcceptContact { origin: unnamed(two, NOW), from: one, conversation };
        let withdraw = Command::RemoveContact { origin: unnamed(one, NOW), peer: two };
        let [accepted, withdrawn] = at_once(&world.store, accept, withdraw).await;
        withdrawn.unwrap();
        assert!(matches!(accepted, Ok(_) | Err(Refusal::NotFound)), "{accepted:?}");
        for user in [one, two] {
            assert_eq!(world.store.contacts(user, None, 10).await.unwrap(), []);
        }
        for seen in super::list(&*world.store, one).await {
            assert!(!seen.writable);
        }
    }
}

pub(crate) async fn blocking_meets_sending(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, two] = world.users().await;
    for _ in 0..ROUNDS {
        let direct = world.befriend(one, two).await;
        let before = world.store.last_seq(direct).await.unwrap().unwrap();
        let say = world.append(two, direct, "x");
        let [blocked, said] = at_once(&world.store, block(one, two), say).await;
        blocked.unwrap();
        let kinds = after(&world, direct, before).await;
        match said {
            Ok(_) => assert!(matches!(&kinds[..], [Body::Message(_)]), "{kinds:?}"),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::NotAContact(one));
                assert_eq!(kinds, []);
            }
        }
        assert_eq!(world.one(world.append(two, direct, "later")).await, Err(Refusal::NotAContact(one)));
        world.one(unblock(one, two)).await.unwrap();
    }
}

pub(crate) async fn joining_meets_dismissing(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [owner, new] = world.users().await;
    for _ in 0..ROUNDS {
        let log = world.group(owner, &[]).await;
        let rule = |act| Command::Group { log, origin: world.origin(owner), act };
        let open = GroupChange { joining: Some(Joining::Open), ..Default::default() };
        world.one(rule(GroupAct::Change(open))).await.unwrap();
        let dismiss = rule(GroupAct::Dismiss);
        let [joined, dismissed] = at_once(&world.store, join(&world, new, JoinBy::Oneself(log)), dismiss).await;
        dismissed.unwrap();
        let kinds = after(&world, log, 2).await;
        let is_member = world.store.member(log, new).await.unwrap().is_some();
        match joined {
            Ok(_) => assert!(is_member && matches!(&kinds[..], [Body::MemberJoined(_), Body::GroupDismissed(_)])),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Dismissed);
                assert!(!is_member && matches!(&kinds[..], [Body::GroupDismissed(_)]), "{kinds:?}");
            }
        }
    }
}

pub(crate) async fn the_last_use_is_used_once(store: Arc<dyn Store>) {
    let mut group = Group::new(store).await;
    let [one, two] = group.world.users().await;
    for _ in 0..ROUNDS {
        let code = invite(&group, Some(1), NOW + 10).await;
        let by = JoinBy::Invite(code);
        let outcomes = at_once(&group.world.store, join(&group.world, one, by), join(&group.world, two, by)).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        let there: Vec<_> = [one, two].into_iter().collect();
        let removed = group.world.one(group.removal(group.owner, &there)).await.unwrap();
        assert!(matches!(removed.done, Done::Removed { removed: 1, .. }), "{removed:?}");
    }
}

/// How often the two meet.
const ROUNDS: usize = 50;
