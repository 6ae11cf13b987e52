//! Users, devices, tokens.

use std::sync::Arc;

use gogochat_proto::ids::{DeviceId, LogId, UserId};
use gogochat_storage::store::{DeviceKey, Rotation, Store, Tokens};

use super::{NOW, World, by, new_device, new_user, tokens};

pub(crate) async fn a_name_is_taken_once(store: Arc<dyn Store>) {
    let (user, device) = new_user("ann");
    assert!(store.create_user(user.clone(), device.clone()).await.unwrap());
    let (again, its_device) = new_user("ann");
    assert!(!store.create_user(again.clone(), its_device.clone()).await.unwrap());

    assert_eq!(store.user_by_name("ann").await.unwrap(), Some(user.clone()));
    assert_eq!(store.user_by_name("bob").await.unwrap(), None);
    assert_eq!(store.users(&[user.id, again.id]).await.unwrap(), std::slice::from_ref(&user));
    assert_eq!(store.last_seq(user.id.into()).await.unwrap(), Some(0));
    assert_eq!(store.last_seq(again.id.into()).await.unwrap(), None);
    assert_eq!(store.device(device.id).await.unwrap().unwrap().user, user.id);
    assert_eq!(store.device(its_device.id).await.unwrap(), None);
}

pub(crate) async fn people_are_found_by_prefix(store: Arc<dyn Store>) {
    for name in ["ann", "anna", "annex", "an-other", "bob", "an_", "ao"] {
        let (user, device) = new_user(name);
        assert!(store.create_user(user, device).await.unwrap());
    }
    let found = async |prefix: &str, limit| {
        let users = store.find_users(prefix, limit).await.unwrap();
        users.into_iter().map(|user| user.name).collect::<Vec<_>>()
    };
    assert_eq!(found("ann", 10).await, ["ann", "anna", "annex"]);
    assert_eq!(found("ann", 2).await, ["ann", "anna"]);
    // Neither letter case nor the wildcards of LIKE mean anything.
    assert_eq!(found("an_", 10).await, ["an_"]);
    assert!(found("%", 10).await.is_empty());
    assert!(found("ANN", 10).await.is_empty());
    assert!(found("zzz", 10).await.is_empty());
    assert_eq!(found("", 10).await.len(), 7);
}

pub(crate) async fn many_users_at_once(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(world.user().await);
    }
    // More than fit a statement, most of them unknown.
    ids.extend((0..600).map(|_| UserId::new_v7()));
    let mut found: Vec<_> = world.store.users(&ids).await.unwrap().into_iter().map(|user| user.id).collect();
    found.sort_unstable();
    assert_eq!(found, ids[..30]);
    assert!(world.store.users(&[]).await.unwrap().is_empty());
}

pub(crate) async fn devices_come_and_go(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [user, other] = world.users().await;
    let first = world.device(user);
    let second = new_device(user);
    assert!(world.store.create_device(second.clone(), &hash(&world, user).await).await.unwrap());

    let found = world.store.device_by_access(&second.tokens.access).await.unwrap().unwrap();
    assert_eq!((found.id, found.user, found.name.as_str()), (second.id, user, "Test"));
    assert_eq!((found.created_ms, found.last_seen_ms, found.access_expires_ms), (NOW, NOW, NOW + 1_000));
    assert_eq!(world.store.device(second.id).await.unwrap(), Some(found));
    assert_eq!(world.store.device_by_access(&second.tokens.refresh).await.unwrap(), None);

    for (seen, at) in
        [(vec![first, DeviceId::new_v7()], NOW + 7), (vec![second.id], NOW + 5), (vec![first, second.id], NOW - 5)]
    {
        world.store.touch_devices(&seen, at).await.unwrap();
    }
    let order: Vec<_> = world.store.devices(user).await.unwrap().iter().map(|one| (one.id, one.last_seen_ms)).collect();
    assert_eq!(order, [(first, NOW + 7), (second.id, NOW + 5)]);

    assert!(!world.store.revoke_device(other, second.id, NOW).await.unwrap());
    assert!(world.store.device(second.id).await.unwrap().is_some());
    assert!(world.store.revoke_device(user, second.id, NOW).await.unwrap());
    assert!(!world.store.revoke_device(user, second.id, NOW).await.unwrap());
    assert_eq!(world.store.device(second.id).await.unwrap(), None);
    assert_eq!(world.store.device_by_access(&second.tokens.access).await.unwrap(), None);
    let rotated = world.store.rotate_tokens(&second.tokens.refresh, tokens(), NOW, 0).await.unwrap();
    assert_eq!(rotated, Rotation::Unknown);
    assert_eq!(world.store.devices(user).await.unwrap().len(), 1);
}

async fn hash(world: &World, user: UserId) -> String {
    world.store.users(&[user]).await.unwrap().remove(0).password_hash
}

pub(crate) async fn a_new_password_signs_others_out(store: Arc<dyn Store>) {
    let (user, device) = new_user("ann");
    store.create_user(user.clone(), device.clone()).await.unwrap();
    let [second, third] = [new_device(user.id), new_device(user.id)];
    assert!(store.create_device(second.clone(), &user.password_hash).await.unwrap());
    assert!(store.create_device(third.clone(), &user.password_hash).await.unwrap());

    let wrong = store.change_password(user.id, "something else", "new", device.id, &by(user.id)).await.unwrap();
    assert_eq!(wrong, None);
    assert_eq!(store.devices(user.id).await.unwrap().len(), 3);
    let mut revoked =
        store.change_password(user.id, &user.password_hash, "new", second.id, &by(user.id)).await.unwrap().unwrap();
    revoked.sort_unstable();
    assert_eq!(revoked, [device.id, third.id]);
    assert_eq!(store.user_by_name("ann").await.unwrap().unwrap().password_hash, "new");
    assert_eq!(store.device_by_access(&device.tokens.access).await.unwrap(), None);
    assert!(store.device_by_access(&second.tokens.access).await.unwrap().is_some());
    // A log-in that was checked against the old one.
    assert!(!store.create_device(new_device(user.id), &user.password_hash).await.unwrap());
    assert_eq!(store.devices(user.id).await.unwrap().len(), 1);
    // Twice at once: only one of the two had the right hash.
    let late = store.change_password(user.id, &user.password_hash, "newer", second.id, &by(user.id)).await.unwrap();
    assert_eq!(late, None);
}

async fn rotate(store: &Arc<dyn Store>, refresh: &Tokens, at: i64) -> (Rotation, Tokens) {
    let new = tokens();
    let rotation = store.rotate_tokens(&refresh.refresh, new, NOW + at, 10).await.unwrap();
    (rotation, new)
}

pub(crate) async fn a_refresh_token_is_exchanged_once(store: Arc<dyn Store>) {
    let (user, device) = new_user("ann");
    store.create_user(user.clone(), device.clone()).await.unwrap();
    let first = device.tokens;

    let (rotation, second) = rotate(&store, &first, 0).await;
    let Rotation::Rotated(rotated) = rotation else { panic!("{rotation:?}") };
    assert_eq!((rotated.id, rotated.access_expires_ms), (device.id, second.access_expires_ms));
    assert_eq!(store.device_by_access(&first.access).await.unwrap(), None);
    assert_eq!(store.device_by_access(&second.access).await.unwrap(), Some(rotated));

    // Long after: a copy. The device is signed out, and nothing of it works any more.
    let (rotation, _) = rotate(&store, &first, 11).await;
    assert_eq!(rotation, Rotation::Reused { user: user.id, device: device.id });
    assert_eq!(store.device_by_access(&second.access).await.unwrap(), None);
    for token in [first, second] {
        assert_eq!(rotate(&store, &token, 12).await.0, Rotation::Unknown);
    }
}

pub(crate) async fn a_lost_answer_may_be_asked_for_again(store: Arc<dyn Store>) {
    let (user, device) = new_user("ann");
    store.create_user(user, device.clone()).await.unwrap();
    let (_, lost) = rotate(&store, &device.tokens, 0).await;
    let (rotation, second) = rotate(&store, &device.tokens, 10).await;
    assert!(matches!(rotation, Rotation::Rotated(_)), "{rotation:?}");
    assert!(store.device_by_access(&second.access).await.unwrap().is_some());
    // Two answers are about; whichever the device keeps may be used.
    let (rotation, third) = rotate(&store, &lost, 12).await;
    assert!(matches!(rotation, Rotation::Rotated(_)), "{rotation:?}");
    let (rotation, _) = rotate(&store, &third, 13).await;
    assert!(matches!(rotation, Rotation::Rotated(_)), "{rotation:?}");
    // Its successor was used, so the answer did arrive.
    let (rotation, _) = rotate(&store, &device.tokens, 10).await;
    assert!(matches!(rotation, Rotation::Reused { .. }), "{rotation:?}");
}

pub(crate) async fn refresh_tokens_lapse(store: Arc<dyn Store>) {
    let (user, device) = new_user("ann");
    store.create_user(user, device.clone()).await.unwrap();
    let expires = device.tokens.refresh_expires_ms - NOW;
    assert_eq!(rotate(&store, &device.tokens, expires).await.0, Rotation::Expired);
    let (rotation, second) = rotate(&store, &device.tokens, expires - 1).await;
    assert!(matches!(rotation, Rotation::Rotated(_)), "{rotation:?}");
    let late = NOW + expires - 1 + 50_000;
    let renewed = Tokens { refresh_expires_ms: late + 100_000, ..tokens() };
    assert_eq!(second.refresh_expires_ms, NOW + expires);
    let rotation = store.rotate_tokens(&second.refresh, renewed, NOW + expires - 1, 10).await.unwrap();
    assert!(matches!(rotation, Rotation::Rotated(_)), "{rotation:?}");
    // A spent token is remembered until it would have lapsed, then it is merely unknown.
    let rotation = store.rotate_tokens(&renewed.refresh, tokens(), late, 10).await.unwrap();
    assert!(matches!(rotation, Rotation::Rotated(_)), "{rotation:?}");
    let rotation = store.rotate_tokens(&device.tokens.refresh, tokens(), late, 10).await.unwrap();
    assert_eq!(rotation, Rotation::Unknown);
    assert_eq!(store.rotate_tokens(&[1; 32], tokens(), NOW, 10).await.unwrap(), Rotation::Unknown);
}

/// What a session begins with is what the single questions give.
pub(crate) async fn an_arrival_is_seen_at_once(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other, alone] = world.users().await;
    let direct = world.befriend(one, other).await;
    let group = world.group(one, &[other]).await;
    world.say(one, group, "x").await;
    for user in [one, other, alone] {
        let device = new_device(user);
        assert!(world.store.create_device(device.clone(), &hash(&world, user).await).await.unwrap());
        let (id, access) = (device.id, device.tokens.access);
        for key in [DeviceKey::Access(access), DeviceKey::Id(id), DeviceKey::Both(id, access)] {
            let mut arrival = world.store.arrival(key).await.unwrap().unwrap();
            assert_eq!(Some(arrival.device), world.store.device(device.id).await.unwrap());
            assert_eq!(Some(arrival.own_seq), world.store.last_seq(user.into()).await.unwrap());
            let mut memberships = world.store.memberships(user).await.unwrap();
            memberships.sort_by_key(|membership| membership.log);
            arrival.memberships.sort_by_key(|membership| membership.log);
            assert_eq!(arrival.memberships, memberships);
            let expected = if user == alone { vec![] } else { vec![direct, group] };
            assert_eq!(memberships.iter().map(|membership| membership.log).collect::<Vec<_>>(), expected);
        }
        for neither in [DeviceKey::Both(id, tokens().access), DeviceKey::Both(new_device(user).id, access)] {
            assert_eq!(world.store.arrival(neither).await.unwrap(), None);
        }
        world.store.revoke_device(user, device.id, NOW).await.unwrap();
        assert_eq!(world.store.arrival(DeviceKey::Access(device.tokens.access)).await.unwrap(), None);
    }
}

pub(crate) async fn it_answers_checks(store: Arc<dyn Store>) {
    store.check().await.unwrap();
    store.check().await.unwrap();
    store.touch_devices(&[], NOW).await.unwrap();
    assert!(store.commit(Vec::new()).await.unwrap().is_empty());
    assert_eq!(store.last_seq(LogId::new_v7()).await.unwrap(), None);
}
