//! What administrators do, and the log of it.

use std::sync::Arc;

use gogochat_proto::ids::UserId;
use gogochat_storage::store::{
    Act, AuditEntry, AuditFilter, By, Invitation, Invited, NewDevice, Store, StoreError, User,
};

use super::{NOW, by, new_device, new_user};

async fn user(store: &Arc<dyn Store>, name: &str) -> (User, NewDevice) {
    let (user, device) = new_user(name);
    assert!(store.create_user(user.clone(), device.clone()).await.unwrap());
    (user, device)
}

/// An administrator.
async fn boss(store: &Arc<dyn Store>) -> User {
    let (boss, _) = user(store, "boss").await;
    assert!(store.set_administrator(boss.id, true, &COMMAND_LINE).await.unwrap());
    boss
}

async fn audit(store: &Arc<dyn Store>, user: UserId) -> Vec<AuditEntry> {
    let which = AuditFilter { user: Some(user), act: None };
    store.audit(which, None, 200).await.unwrap().entries
}

/// What was done, the first first.
async fn acts(store: &Arc<dyn Store>, user: UserId) -> Vec<Act> {
    audit(store, user).await.iter().rev().map(|entry| entry.act).collect()
}

pub(crate) async fn who_is_disabled_is_signed_out_and_admitted_no_more(store: Arc<dyn Store>) {
    let (ann, device) = user(&store, "ann").await;
    let boss = boss(&store).await;
    let second = new_device(ann.id);
    assert!(store.create_device(second.clone(), &ann.password_hash).await.unwrap());

    let mut gone = store.set_disabled(ann.id, true, "spam", &by(boss.id)).await.unwrap().unwrap();
    gone.sort_unstable();
    assert_eq!(gone, [device.id, second.id]);
    assert_eq!(store.device_by_access(&device.tokens.access).await.unwrap(), None);
    assert_eq!(store.last_sign_out().await.unwrap(), 2);
    assert!(!store.create_device(new_device(ann.id), &ann.password_hash).await.unwrap());
    assert_eq!(store.user_by_name("ann").await.unwrap().unwrap().disabled_ms, Some(NOW));
    // The name stays theirs.
    let (again, its) = new_user("ann");
    assert!(!store.create_user(again, its).await.unwrap());
    // Twice is once.
    assert_eq!(store.set_disabled(ann.id, true, "", &by(boss.id)).await.unwrap(), Some(vec![]));

    assert_eq!(store.set_disabled(ann.id, false, "", &by(boss.id)).await.unwrap(), Some(vec![]));
    assert!(store.create_device(new_device(ann.id), &ann.password_hash).await.unwrap());
    assert_eq!(store.set_disabled(UserId::new_v7(), true, "", &by(boss.id)).await.unwrap(), None);
    assert_eq!(
        acts(&store, ann.id).await,
        [Act::Registered, Act::LoggedIn, Act::Disabled, Act::Enabled, Act::LoggedIn]
    );
    let entries = audit(&store, ann.id).await;
    let disabled = &entries[2];
    assert_eq!((disabled.by.clone(), disabled.subject, disabled.detail.as_str()), (by(boss.id), Some(ann.id), "spam"));
}

/// Whichever comes first, nobody is signed in to an account that is disabled.
pub(crate) async fn a_log_in_meets_a_disabling(store: Arc<dyn Store>) {
    let boss = boss(&store).await;
    for n in 0..RACES {
        let (ann, _) = user(&store, &format!("ann{n}")).await;
        let logging_in = {
            let (store, ann) = (store.clone(), ann.clone());
            tokio::spawn(async move { store.create_device(new_device(ann.id), &ann.password_hash).await })
        };
        let disabling = {
            let (store, by) = (store.clone(), by(boss.id));
            tokio::spawn(async move { store.set_disabled(ann.id, true, "", &by).await })
        };
        let (admitted, gone) = (logging_in.await.unwrap().unwrap(), disabling.await.unwrap().unwrap().unwrap());
        assert_eq!(gone.len(), 1 + usize::from(admitted), "{n}");
        assert!(store.devices(ann.id).await.unwrap().is_empty(), "{n}");
    }
}

pub(crate) async fn a_one_time_password_logs_in_once(store: Arc<dyn Store>) {
    let (ann, device) = user(&store, "ann").await;
    let boss = boss(&store).await;
    let gone = store.reset_access(ann.id, "one time", NOW + 10, &by(boss.id)).await.unwrap();
    assert_eq!(gone, Some(vec![device.id]));
    let now = store.user_by_name("ann").await.unwrap().unwrap();
    assert_eq!((now.password_hash.as_str(), now.one_time_until_ms), ("one time", Some(NOW + 10)));
    // By itself it admits nobody, and neither does what was the password.
    assert!(!store.create_device(new_device(ann.id), "one time").await.unwrap());
    assert!(!store.create_device(new_device(ann.id), &ann.password_hash).await.unwrap());

    let late = NewDevice { created_ms: NOW + 10, ..new_device(ann.id) };
    assert!(!store.redeem_one_time_password(late, "one time", "own").await.unwrap());
    assert!(!store.redeem_one_time_password(new_device(ann.id), "another", "own").await.unwrap());
    assert!(store.redeem_one_time_password(new_device(ann.id), "one time", "own").await.unwrap());
    assert!(!store.redeem_one_time_password(new_device(ann.id), "one time", "own").await.unwrap());
    assert!(!store.redeem_one_time_password(new_device(ann.id), "own", "other").await.unwrap());
    assert!(store.create_device(new_device(ann.id), "own").await.unwrap());
    assert_eq!(store.devices(ann.id).await.unwrap().len(), 2);

    // Who is disabled takes none.
    store.reset_access(ann.id, "one time", NOW + 10, &by(boss.id)).await.unwrap();
    store.set_disabled(ann.id, true, "", &by(boss.id)).await.unwrap();
    assert!(!store.redeem_one_time_password(new_device(ann.id), "one time", "own").await.unwrap());
    assert_eq!(store.reset_access(UserId::new_v7(), "x", NOW, &by(boss.id)).await.unwrap(), None);
    assert_eq!(
        acts(&store, ann.id).await,
        [
            Act::Registered,
            Act::AccessReset,
            Act::PasswordChanged,
            Act::LoggedIn,
            Act::LoggedIn,
            Act::AccessReset,
            Act::Disabled
        ]
    );
}

pub(crate) async fn administrators_are_made_and_ended(store: Arc<dyn Store>) {
    let (mut boss, _) = new_user("boss");
    boss.administrator_ms = Some(NOW);
    boss.one_time_until_ms = Some(NOW + 5);
    assert!(store.create_user_alone(boss.clone(), &COMMAND_LINE).await.unwrap());
    assert!(!store.create_user_alone(User { id: UserId::new_v7(), ..boss.clone() }, &COMMAND_LINE).await.unwrap());
    assert_eq!(store.user_by_name("boss").await.unwrap(), Some(boss.clone()));
    assert_eq!(store.last_seq(boss.id.into()).await.unwrap(), Some(0));
    assert_eq!(store.find_users_by_display_name("the boss", 5).await.unwrap().len(), 1);

    let (ann, _) = user(&store, "ann").await;
    for (on, since) in [(true, Some(NOW)), (true, Some(NOW)), (false, None), (false, None)] {
        assert!(store.set_administrator(ann.id, on, &by(boss.id)).await.unwrap());
        assert_eq!(store.users(&[ann.id]).await.unwrap()[0].administrator_ms, since);
    }
    assert!(!store.set_administrator(UserId::new_v7(), true, &by(boss.id)).await.unwrap());
    assert_eq!(acts(&store, ann.id).await, [Act::Registered, Act::AdministratorMade, Act::AdministratorEnded]);
    assert_eq!(
        acts(&store, boss.id).await,
        [Act::Registered, Act::AdministratorMade, Act::AdministratorMade, Act::AdministratorEnded]
    );
    assert_eq!(audit(&store, boss.id).await[2].by, COMMAND_LINE);
}

pub(crate) async fn invitations_have_so_many_uses(store: Arc<dyn Store>) {
    let boss = boss(&store).await;
    let code = [7; 32];
    store.create_invitation(Invitation { code, until_ms: NOW + 1, uses: 2 }, &by(boss.id)).await.unwrap();
    let invite = async |name: &str, code| {
        let (user, device) = new_user(name);
        store.create_invited_user(user, device, code).await.unwrap()
    };
    assert_eq!(invite("ann", &[8; 32]).await, Invited::Invalid);
    assert_eq!(invite("ann", &code).await, Invited::Created);
    assert_eq!(invite("ann", &code).await, Invited::NameTaken);
    assert_eq!(invite("bob", &code).await, Invited::Created);
    assert_eq!(invite("cid", &code).await, Invited::Invalid);
    assert_eq!(store.user_by_name("cid").await.unwrap(), None);

    // One that has lapsed, and two who come at once for the last use.
    store.create_invitation(Invitation { code: [9; 32], until_ms: NOW, uses: 1 }, &by(boss.id)).await.unwrap();
    assert_eq!(invite("cid", &[9; 32]).await, Invited::Invalid);
    store.create_invitation(Invitation { code: [10; 32], until_ms: NOW + 1, uses: 1 }, &by(boss.id)).await.unwrap();
    let (one, other) = tokio::join!(invite("cid", &[10; 32]), invite("dan", &[10; 32]));
    assert_ne!(one, other);
    assert!([one, other].contains(&Invited::Created) && [one, other].contains(&Invited::Invalid));
}

pub(crate) async fn users_are_listed_by_name(store: Arc<dyn Store>) {
    for name in ["ann", "anna", "annex", "bob"] {
        user(&store, name).await;
    }
    let list = async |prefix: &str, after: &str, limit| {
        let users = store.list_users(prefix, after, limit).await.unwrap();
        users.into_iter().map(|user| user.name).collect::<Vec<_>>()
    };
    assert_eq!(list("", "", 10).await, ["ann", "anna", "annex", "bob"]);
    assert_eq!(list("ann", "", 2).await, ["ann", "anna"]);
    assert_eq!(list("ann", "anna", 2).await, ["annex"]);
    assert!(list("ann", "annex", 2).await.is_empty());
}

pub(crate) async fn the_audit_log_is_read_page_by_page(store: Arc<dyn Store>) {
    let boss = boss(&store).await;
    let (ann, _) = user(&store, "ann").await;
    for n in 0..5 {
        store.set_disabled(ann.id, n % 2 == 0, &n.to_string(), &by(boss.id)).await.unwrap();
    }
    let all = store.audit(AuditFilter::default(), None, 200).await.unwrap();
    assert_eq!((all.entries.len(), all.next), (8, None));
    assert!(all.entries.windows(2).all(|two| two[0].id > two[1].id));
    for (which, of) in [
        (AuditFilter::default(), all.entries.clone()),
        (AuditFilter { user: Some(boss.id), act: None }, audit(&store, boss.id).await),
        (AuditFilter { user: Some(ann.id), act: None }, audit(&store, ann.id).await),
        (
            AuditFilter { user: None, act: Some(Act::Enabled) },
            all.entries.iter().filter(|e| e.act == Act::Enabled).cloned().collect(),
        ),
        (
            AuditFilter { user: Some(ann.id), act: Some(Act::Disabled) },
            all.entries.iter().filter(|e| e.act == Act::Disabled).cloned().collect(),
        ),
    ] {
        assert!(!of.is_empty());
        let (mut read, mut before) = (Vec::new(), None);
        loop {
            let page = store.audit(which, before, 2).await.unwrap();
            assert!(page.entries.len() <= 2);
            read.extend(page.entries);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(read, of, "{which:?}");
    }
    assert_eq!(audit(&store, boss.id).await.len(), 7);
    assert_eq!(audit(&store, ann.id).await.len(), 6);
}

/// What an administrator asked for before they were ended or disabled is not carried out after that.
pub(crate) async fn who_is_no_administrator_any_more_does_nothing(store: Arc<dyn Store>) {
    let (ann, device) = user(&store, "ann").await;
    let boss = boss(&store).await;
    let (other, _) = user(&store, "other").await;
    assert!(store.set_administrator(other.id, true, &by(boss.id)).await.unwrap());
    let refused = async |who: UserId| {
        let by = by(who);
        let invitation = Invitation { code: [7; 32], until_ms: NOW + 1, uses: 1 };
        let results = [
            store.set_disabled(ann.id, true, "", &by).await.map(drop),
            store.set_disabled(ann.id, false, "", &by).await.map(drop),
            store.set_administrator(ann.id, true, &by).await.map(drop),
            store.reset_access(ann.id, "one time", NOW + 10, &by).await.map(drop),
            store.sign_out_user(ann.id, None, &by).await.map(drop),
            store.create_invitation(invitation, &by).await,
        ];
        assert!(results.iter().all(|result| matches!(result, Err(StoreError::NotPermitted))), "{results:?}");
    };
    refused(ann.id).await;
    assert!(store.set_administrator(boss.id, false, &by(other.id)).await.unwrap());
    refused(boss.id).await;
    store.set_disabled(other.id, true, "", &COMMAND_LINE).await.unwrap();
    refused(other.id).await;
    refused(UserId::new_v7()).await;
    assert_eq!(store.devices(ann.id).await.unwrap()[0].id, device.id);
    assert_eq!(store.users(&[ann.id]).await.unwrap(), std::slice::from_ref(&ann));
    assert_eq!(acts(&store, ann.id).await, [Act::Registered]);
}

/// Two who disable each other at once: one of them stays.
pub(crate) async fn two_administrators_disable_each_other(store: Arc<dyn Store>) {
    for n in 0..RACES / 5 {
        let mut both = Vec::new();
        for side in ["ann", "bob"] {
            let (one, _) = user(&store, &format!("{side}{n}")).await;
            assert!(store.set_administrator(one.id, true, &COMMAND_LINE).await.unwrap());
            both.push(one.id);
        }
        let disabling = |whom: UserId, who: UserId| {
            let store = store.clone();
            tokio::spawn(async move { store.set_disabled(whom, true, "", &by(who)).await })
        };
        let (one, other) = (disabling(both[0], both[1]), disabling(both[1], both[0]));
        let results = [one.await.unwrap(), other.await.unwrap()];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    }
}

/// A one-time password that a core of the release before took for an ordinary one is none any more once it
/// was changed.
pub(crate) async fn a_changed_password_is_no_one_time_password(store: Arc<dyn Store>) {
    let (ann, device) = user(&store, "ann").await;
    store.reset_access(ann.id, "one time", NOW + 10, &COMMAND_LINE).await.unwrap();
    assert!(store.change_password(ann.id, "one time", "own", device.id, &by(ann.id)).await.unwrap().is_some());
    assert_eq!(store.users(&[ann.id]).await.unwrap()[0].one_time_until_ms, None);
    assert!(store.create_device(new_device(ann.id), "own").await.unwrap());
}

const COMMAND_LINE: By = By { actor: None, address: String::new(), now: NOW };
const RACES: usize = 50;
