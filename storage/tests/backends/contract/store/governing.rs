//! Who owns a group, what its admins may do, and what becomes of those who are removed or muted.

use std::sync::Arc;

use gogochat_proto::{
    ids::{LogId, UserId},
    v1::{self, event::Body},
};
use gogochat_storage::store::{
    Command, Committed, Done, GroupAct, GroupChange, History, Millis, Origin, Outcome, Posting, Refusal, Role, Slice,
    Store, SubscriptionChange,
};

use super::{NOW, World, body};

/// A group of an owner, an admin and two members, who are all contacts of the owner's.
pub(super) struct Group {
    pub(super) world: World,
    pub(super) log: LogId,
    pub(super) owner: UserId,
    pub(super) admin: UserId,
    pub(super) members: [UserId; 2],
}

impl Group {
    pub(super) async fn new(store: Arc<dyn Store>) -> Self {
        let mut world = World::new(store);
        let [owner, admin, one, two] = world.users().await;
        for other in [admin, one, two] {
            world.befriend(owner, other).await;
        }
        let log = world.group(owner, &[admin, one, two]).await;
        let group = Self { world, log, owner, admin, members: [one, two] };
        group.act(owner, set_role(admin, Role::Admin)).await.unwrap();
        group
    }

    pub(super) fn command(&self, by: UserId, act: GroupAct) -> Command {
        Command::Group { log: self.log, origin: self.world.origin(by), act }
    }

    pub(super) async fn act(&self, by: UserId, act: GroupAct) -> Outcome {
        self.world.one(self.command(by, act)).await
    }

    pub(super) fn removal(&self, by: UserId, users: &[UserId]) -> Command {
        Command::RemoveMembers { log: self.log, origin: self.world.origin(by), users: users.to_vec() }
    }

    pub(super) fn leave(&self, user: UserId) -> Command {
        Command::LeaveGroup { log: self.log, origin: self.world.origin(user) }
    }

    pub(super) async fn role(&self, user: UserId) -> Option<Role> {
        self.world.store.member(self.log, user).await.unwrap().map(|member| member.role)
    }

    async fn roles(&self) -> [Option<Role>; 4] {
        let [one, two] = self.members;
        [self.role(self.owner).await, self.role(self.admin).await, self.role(one).await, self.role(two).await]
    }

    /// Writes at a moment.
    async fn say_at(&self, user: UserId, now: Millis) -> Result<(), Refusal> {
        let origin = Origin { now, ..self.world.origin(user) };
        let payload = super::message("x");
        self.world.one(Command::Append { log: self.log, origin, payload }).await.map(drop)
    }
}

pub(super) fn set_role(user: UserId, role: Role) -> GroupAct {
    GroupAct::SetRole { user, role }
}

fn mute(user: UserId, until_ms: Millis) -> GroupAct {
    GroupAct::Mute { user, until_ms }
}

fn only(committed: &Committed) -> Body {
    let [event] = &committed.events[..] else { panic!("{:?}", committed.events) };
    body(event)
}

pub(crate) async fn each_role_may_what_it_may(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let (owner, admin, [one, two]) = (group.owner, group.admin, group.members);
    assert_eq!(group.roles().await, [Some(Role::Owner), Some(Role::Admin), Some(Role::Member), Some(Role::Member)]);
    let retitle = || GroupAct::Change(GroupChange { title: Some("New".into()), ..Default::default() });
    let not_permitted = Err(Refusal::NotPermitted);
    for (by, act, expected) in [
        (one, retitle(), not_permitted.clone()),
        (one, set_role(two, Role::Admin), not_permitted.clone()),
        (one, set_role(one, Role::Owner), not_permitted.clone()),
        (one, mute(two, NOW + 1), not_permitted.clone()),
        (one, GroupAct::Dismiss, not_permitted.clone()),
        (admin, set_role(one, Role::Admin), not_permitted.clone()),
        (admin, set_role(admin, Role::Owner), not_permitted.clone()),
        (admin, mute(owner, NOW + 1), not_permitted.clone()),
        (admin, mute(admin, NOW + 1), not_permitted.clone()),
        (admin, GroupAct::Dismiss, not_permitted.clone()),
        (owner, set_role(owner, Role::Member), not_permitted.clone()),
        (owner, set_role(UserId::new_v7(), Role::Admin), Err(Refusal::NotFound)),
        (owner, mute(UserId::new_v7(), 1), Err(Refusal::NotFound)),
    ] {
        let before = group.world.log(group.log).await.len();
        assert_eq!(group.act(by, act.clone()).await, expected, "{act:?}");
        assert_eq!(group.world.log(group.log).await.len(), before);
    }
    for (by, users) in [(one, vec![two]), (admin, vec![one, owner]), (admin, vec![admin]), (owner, vec![owner])] {
        assert_eq!(group.world.one(group.removal(by, &users)).await, not_permitted, "{users:?}");
    }
    for act in [retitle(), mute(one, NOW + 1), mute(one, 0)] {
        assert_eq!(group.act(admin, act).await.unwrap().events.len(), 1);
    }
    // What is so already is said to nobody.
    for act in [set_role(admin, Role::Admin), mute(two, 0), GroupAct::Change(GroupChange::default())] {
        assert_eq!(group.act(owner, act).await.unwrap().events, []);
    }
    let given = group.act(owner, set_role(two, Role::Owner)).await.unwrap();
    let expected = v1::RoleChanged { user_id: two.to_string(), role: v1::MemberRole::Owner.into() };
    assert_eq!(only(&given), Body::RoleChanged(expected));
    assert_eq!(group.roles().await, [Some(Role::Admin), Some(Role::Admin), Some(Role::Member), Some(Role::Owner)]);
    assert_eq!(group.act(owner, set_role(one, Role::Admin)).await, not_permitted);

    let mut world = group.world;
    let stranger = world.user().await;
    let direct = world.befriend(owner, stranger).await;
    let act = |by, log| Command::Group { log, origin: world.origin(by), act: retitle() };
    assert_eq!(world.one(act(stranger, group.log)).await, Err(Refusal::NotAMember));
    assert_eq!(world.one(act(owner, direct)).await, Err(Refusal::NotAGroup));
    let remove = Command::RemoveMembers { log: direct, origin: world.origin(owner), users: vec![stranger] };
    assert_eq!(world.one(remove).await, Err(Refusal::NotAGroup));
}

pub(crate) async fn an_owner_who_leaves_is_followed(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let (owner, admin, [one, two]) = (group.owner, group.admin, group.members);
    let left = group.world.one(group.leave(owner)).await.unwrap();
    let kinds: Vec<_> = left.events.iter().map(|event| (event.log, body(event))).collect();
    let [(first, Body::MemberLeft(_)), (own, Body::ConversationLeft(_)), (last, Body::RoleChanged(changed))] =
        &kinds[..]
    else {
        panic!("{kinds:?}")
    };
    assert_eq!((*first, *own, *last), (group.log, owner.into(), group.log));
    assert_eq!((changed.user_id.as_str(), changed.role()), (admin.to_string().as_str(), v1::MemberRole::Owner));
    assert_eq!(group.roles().await, [None, Some(Role::Owner), Some(Role::Member), Some(Role::Member)]);
    // Without an admin the member who joined first: of those who joined together, one.
    group.world.one(group.leave(admin)).await.unwrap();
    assert_eq!(group.roles().await, [None, None, Some(Role::Owner), Some(Role::Member)]);
    // A member who leaves changes nothing of it, and nobody follows the last.
    group.world.one(group.leave(two)).await.unwrap();
    assert_eq!(group.world.one(group.leave(one)).await.unwrap().events.len(), 2);
}

pub(crate) async fn an_heir_may_change_in_the_same_batch(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let (owner, admin, [one, two]) = (group.owner, group.admin, group.members);
    let batch = vec![
        group.leave(admin),
        group.command(owner, set_role(two, Role::Admin)),
        group.leave(owner),
        group.command(two, set_role(one, Role::Owner)),
        group.leave(one),
    ];
    let outcomes = group.world.store.commit(batch).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(group.roles().await, [None, None, None, Some(Role::Owner)]);
}

pub(crate) async fn removal_ends_it(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let (owner, [one, two]) = (group.owner, group.members);
    let command = group.removal(owner, &[one, two, one, UserId::new_v7()]);
    let removed = group.world.one(command.clone()).await.unwrap();
    assert_eq!(removed.done, Done::Removed { removed: 2, member_count: 2 });
    let [event, own_one, own_two] = &removed.events[..] else { panic!("{:?}", removed.events) };
    let Body::MembersRemoved(named) = body(event) else { panic!("{event:?}") };
    assert_eq!((named.member_ids, named.count), (vec![one.to_string(), two.to_string()], 2));
    for (event, user) in [(own_one, one), (own_two, two)] {
        assert_eq!((event.log, event.sender), (user.into(), owner));
        assert_eq!(event.subscription, Some(SubscriptionChange::Unsubscribe { log: group.log }));
        assert!(matches!(body(event), Body::ConversationLeft(_)));
        assert_eq!(group.role(user).await, None);
        assert!(group.world.store.conversations(user, &[group.log]).await.unwrap().is_empty());
        assert_eq!(group.say_at(user, NOW).await, Err(Refusal::NotAMember));
    }
    let again = group.world.one(command).await.unwrap();
    assert_eq!((again.done, again.events), (Done::Removed { removed: 2, member_count: 2 }, vec![]));
    let nobody = group.world.one(group.removal(owner, &[one])).await.unwrap();
    assert_eq!((nobody.done, nobody.events), (Done::Removed { removed: 0, member_count: 2 }, vec![]));
    // Who comes back is a member as any other.
    let origin = group.world.origin(owner);
    group.world.one(group.command(owner, set_role(group.admin, Role::Admin))).await.unwrap();
    group.world.one(group.removal(owner, &[group.admin])).await.unwrap();
    let add = Command::AddMembers { log: group.log, origin, users: vec![group.admin] };
    group.world.one(add).await.unwrap();
    assert_eq!(group.role(group.admin).await, Some(Role::Member));
}

pub(crate) async fn many_are_removed_in_slices_once(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let (owner, admin, [one, two]) = (group.owner, group.admin, group.members);
    let whole = group.world.origin(owner);
    let part = Command::RemoveSlice {
        log: group.log,
        origin: Origin { client_msg_id: group.world.origin(owner).client_msg_id, ..whole },
        users: vec![one, two],
        slice: Slice::Part { of: whole.client_msg_id },
    };
    let last =
        Command::RemoveSlice { log: group.log, origin: whole, users: vec![admin], slice: Slice::Last { done: 2 } };
    for round in 0..2 {
        let done = group.world.one(part.clone()).await.unwrap().done;
        assert_eq!(done, Done::Removed { removed: 2, member_count: 2 }, "{round}");
    }
    for round in 0..2 {
        let committed = group.world.one(last.clone()).await.unwrap();
        assert_eq!(committed.done, Done::Removed { removed: 3, member_count: 1 }, "{round}");
    }
    // A further slice of what was carried out as a whole is answered as that was.
    let more = Command::RemoveSlice {
        log: group.log,
        origin: group.world.origin(owner),
        users: vec![one],
        slice: Slice::Part { of: whole.client_msg_id },
    };
    assert_eq!(group.world.one(more).await.unwrap().done, Done::Removed { removed: 3, member_count: 1 });
}

pub(crate) async fn a_change_is_seen_and_said(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let store = &group.world.store;
    let seen = async |user| store.conversations(user, &[group.log]).await.unwrap().remove(0);
    let first = seen(group.admin).await;
    assert_eq!(
        (first.role, first.settings.history, first.settings.posting),
        (Role::Admin, History::FromJoin, Posting::Members)
    );
    let change = GroupChange {
        title: Some("Tea at 5".into()),
        notice: Some("Bring cups.\nAll of you.".into()),
        history: Some(History::All),
        slow_ms: Some(5_000),
        ..Default::default()
    };
    let command = group.command(group.admin, GroupAct::Change(change));
    let committed = group.world.one(command.clone()).await.unwrap();
    let expected = v1::GroupChanged {
        title: Some("Tea at 5".into()),
        notice: Some("Bring cups.\nAll of you.".into()),
        history: Some(v1::GroupHistory::All.into()),
        posting: None,
        slow_mode_ms: Some(5_000),
        joining: None,
    };
    assert_eq!(only(&committed), Body::GroupChanged(expected));
    let now = seen(group.members[0]).await;
    assert_eq!(
        (now.title.as_deref(), now.settings.history, now.settings.slow_ms),
        (Some("Tea at 5"), History::All, 5_000)
    );
    assert_eq!((now.settings.posting, now.role, now.unread), (Posting::Members, Role::Member, 0));
    assert_eq!(store.notice(group.log).await.unwrap().as_deref(), Some("Bring cups.\nAll of you."));
    assert_eq!(group.world.one(command).await.unwrap().events, []);

    // What is empty is cleared, and what is not named stays.
    let change = GroupChange { notice: Some(String::new()), slow_ms: Some(0), ..Default::default() };
    group.act(group.owner, GroupAct::Change(change)).await.unwrap();
    assert_eq!(store.notice(group.log).await.unwrap(), None);
    let last = seen(group.owner).await;
    assert_eq!(
        (last.title.as_deref(), last.settings.history, last.settings.slow_ms),
        (Some("Tea at 5"), History::All, 0)
    );
}

pub(crate) async fn the_muted_do_not_write(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let (owner, admin, [one, two]) = (group.owner, group.admin, group.members);
    let muted = group.act(admin, mute(one, NOW + 100)).await.unwrap();
    assert_eq!(only(&muted), Body::MemberMuted(v1::MemberMuted { user_id: one.to_string(), until_ms: NOW + 100 }));
    assert_eq!(group.say_at(one, NOW + 99).await, Err(Refusal::Muted { until_ms: NOW + 100 }));
    assert_eq!(group.say_at(one, NOW + 100).await, Ok(()));
    group.act(owner, mute(admin, NOW + 100)).await.unwrap();
    assert_eq!(group.say_at(admin, NOW).await, Err(Refusal::Muted { until_ms: NOW + 100 }));
    let seen = group.world.store.conversations(admin, &[group.log]).await.unwrap().remove(0);
    assert_eq!(seen.muted_ms, NOW + 100);
    group.act(owner, mute(admin, 0)).await.unwrap();
    assert_eq!(group.say_at(admin, NOW).await, Ok(()));

    let change = |posting, slow_ms| GroupAct::Change(GroupChange { posting, slow_ms, ..Default::default() });
    group.act(admin, change(Some(Posting::Admins), None)).await.unwrap();
    for (user, expected) in [(one, Err(Refusal::Muted { until_ms: 0 })), (admin, Ok(())), (owner, Ok(()))] {
        assert_eq!(group.say_at(user, NOW + 200).await, expected);
    }
    group.act(admin, change(Some(Posting::Members), Some(1_000))).await.unwrap();
    for (user, at, expected) in [
        (two, 300, Ok(())),
        (two, 1_299, Err(Refusal::SlowMode { wait_ms: 1 })),
        (one, 1_299, Ok(())),
        (two, 1_300, Ok(())),
        // A core whose clock runs behind lets nobody wait longer than for one message.
        (two, 0, Err(Refusal::SlowMode { wait_ms: 1_000 })),
        (admin, 300, Ok(())),
        (admin, 301, Ok(())),
    ] {
        assert_eq!(group.say_at(user, NOW + at).await, expected, "{at}");
    }
}

pub(crate) async fn newcomers_may_read_all_where_that_is_so(store: Arc<dyn Store>) {
    let mut group = Group::new(store).await;
    let (owner, new) = (group.owner, group.world.user().await);
    group.world.befriend(owner, new).await;
    let change = GroupChange { history: Some(History::All), ..Default::default() };
    group.act(owner, GroupAct::Change(change)).await.unwrap();
    let last = group.world.say(owner, group.log, "before").await;
    let add = Command::AddMembers { log: group.log, origin: group.world.origin(owner), users: vec![new] };
    let committed = group.world.one(add).await.unwrap();
    let told = &committed.events[1];
    // They may read all, and hear what comes from now on.
    assert_eq!(told.subscription, Some(SubscriptionChange::Subscribe { log: group.log, from_seq: last }));
    assert!(matches!(body(told), Body::ConversationJoined(joined) if joined.from_seq == 1));
    let seen = group.world.store.conversations(new, &[group.log]).await.unwrap().remove(0);
    assert_eq!((seen.from_seq, seen.read, seen.delivered, seen.unread), (1, last, last, 0));
}

pub(crate) async fn a_dismissed_group_takes_nothing(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let (owner, admin, [one, two]) = (group.owner, group.admin, group.members);
    let dismissed = group.act(owner, GroupAct::Dismiss).await.unwrap();
    assert_eq!(only(&dismissed), Body::GroupDismissed(v1::GroupDismissed {}));
    assert_eq!(group.act(owner, GroupAct::Dismiss).await.unwrap().events, []);
    for user in [owner, admin, one] {
        assert_eq!(group.say_at(user, NOW).await, Err(Refusal::Dismissed));
        let seen = group.world.store.conversations(user, &[group.log]).await.unwrap().remove(0);
        assert!(!seen.writable);
    }
    assert_eq!(group.act(owner, set_role(one, Role::Admin)).await, Err(Refusal::Dismissed));
    assert_eq!(group.world.one(group.removal(owner, &[one])).await, Err(Refusal::Dismissed));
    let add = Command::AddMembers { log: group.log, origin: group.world.origin(owner), users: vec![one] };
    assert_eq!(group.world.one(add).await, Err(Refusal::Dismissed));
    // What they know of it is theirs to mark, and to leave.
    group.world.one(Command::Mark { log: group.log, user: one, delivered: 1, read: 1 }).await.unwrap();
    for user in [one, owner, two, admin] {
        group.world.one(group.leave(user)).await.unwrap();
    }
}

pub(crate) async fn admins_are_listed_apart(store: Arc<dyn Store>) {
    let group = Group::new(store).await;
    let admins = group.world.store.admins(group.log, None, 10).await.unwrap();
    let roles: Vec<_> = admins.iter().map(|member| (member.user.id, member.role)).collect();
    assert_eq!(roles, [(group.owner, Role::Owner), (group.admin, Role::Admin)]);
    let after = Some((admins[0].joined_ms, group.owner));
    let rest = group.world.store.admins(group.log, after, 10).await.unwrap();
    assert_eq!(rest.iter().map(|member| member.user.id).collect::<Vec<_>>(), [group.admin]);
    let all = group.world.store.members(group.log, None, 10).await.unwrap();
    assert!(all.iter().all(|member| member.is_of_group) && all.len() == 4);
}
