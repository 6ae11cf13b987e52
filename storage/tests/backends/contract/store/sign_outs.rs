//! Signing out, and what of it every core can read.

use std::{collections::HashSet, sync::Arc};

use gogochat_proto::ids::{DeviceId, UserId};
use gogochat_storage::store::{NewDevice, Rotation, SignOut, Store, Tokens};
use tokio::task::JoinSet;

use super::{NOW, by, new_device, new_user, tokens};

/// A user with some devices, of which the first is theirs from the beginning.
async fn user(store: &Arc<dyn Store>, name: &str, devices: usize) -> (UserId, Vec<NewDevice>) {
    let (user, first) = new_user(name);
    let mut all = vec![first.clone()];
    assert!(store.create_user(user.clone(), first).await.unwrap());
    for _ in 1..devices {
        let device = new_device(user.id);
        assert!(store.create_device(device.clone(), &user.password_hash).await.unwrap());
        all.push(device);
    }
    (user.id, all)
}

async fn noted(store: &Arc<dyn Store>, after: i64, limit: u32) -> Vec<(i64, UserId, DeviceId)> {
    let sign_outs = store.sign_outs(after, limit).await.unwrap();
    sign_outs.into_iter().map(|SignOut { number, user, device }| (number, user, device)).collect()
}

pub(crate) async fn each_is_noted_in_its_place(store: Arc<dyn Store>) {
    assert_eq!((store.last_sign_out().await.unwrap(), noted(&store, 0, 10).await), (0, vec![]));
    let (ann, anns) = user(&store, "ann", 4).await;
    let (ben, bens) = user(&store, "ben", 1).await;
    assert!(store.revoke_device(ann, anns[1].id, NOW).await.unwrap());
    let mut others = store.change_password(ann, "hash of ann", "new", anns[0].id, &by(ann)).await.unwrap().unwrap();
    others.sort_unstable();
    assert_eq!(others, [anns[2].id, anns[3].id]);
    let first = bens[0].tokens.refresh;
    assert!(matches!(store.rotate_tokens(&first, tokens(), NOW, 0).await.unwrap(), Rotation::Rotated(_)));
    let reused = store.rotate_tokens(&first, tokens(), NOW + 1, 0).await.unwrap();
    assert_eq!(reused, Rotation::Reused { user: ben, device: bens[0].id });

    let all = noted(&store, 0, 10).await;
    assert_eq!(all.iter().map(|note| note.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!((all[0], all[3]), ((1, ann, anns[1].id), (4, ben, bens[0].id)));
    let changed: HashSet<_> = all[1..3].iter().map(|note| (note.1, note.2)).collect();
    assert_eq!(changed, HashSet::from([(ann, anns[2].id), (ann, anns[3].id)]));
    assert_eq!(store.last_sign_out().await.unwrap(), 4);
    assert_eq!(noted(&store, 1, 2).await, all[1..3]);
    assert_eq!(noted(&store, 4, 10).await, []);
}

pub(crate) async fn what_signs_nobody_out_is_not_noted(store: Arc<dyn Store>) {
    let (ann, anns) = user(&store, "ann", 1).await;
    let (ben, _) = user(&store, "ben", 1).await;
    assert!(!store.revoke_device(ben, anns[0].id, NOW).await.unwrap());
    assert_eq!(store.change_password(ann, "another", "new", anns[0].id, &by(ann)).await.unwrap(), None);
    assert_eq!(store.change_password(ann, "hash of ann", "new", anns[0].id, &by(ann)).await.unwrap(), Some(vec![]));
    assert!(store.revoke_device(ann, anns[0].id, NOW).await.unwrap());
    assert!(!store.revoke_device(ann, anns[0].id, NOW).await.unwrap());
    assert_eq!(noted(&store, 0, 10).await, [(1, ann, anns[0].id)]);
}

/// For an hour past its token's end, at the millisecond and after it; the last number stays.
pub(crate) async fn notes_outlive_the_token_and_are_forgotten_then(store: Arc<dyn Store>) {
    const HOUR: i64 = 3_600_000;
    let (user, first) = new_user("ann");
    store.create_user(user.clone(), first.clone()).await.unwrap();
    let mut devices = vec![first];
    // The second one's token has lapsed before it is signed out.
    for lives in [1_000, -1_000, 5_000, 6_000, 7_000] {
        let device = new_device(user.id);
        let tokens = Tokens { access_expires_ms: NOW + lives, ..device.tokens };
        let device = NewDevice { tokens, ..device };
        assert!(store.create_device(device.clone(), &user.password_hash).await.unwrap());
        devices.push(device);
    }
    let sign_out = async |n: usize, at: i64| {
        assert!(store.revoke_device(user.id, devices[n].id, at).await.unwrap());
        noted(&store, 0, 10).await.iter().map(|note| note.0).collect::<Vec<_>>()
    };
    assert_eq!(sign_out(1, NOW).await, [1]);
    assert_eq!(sign_out(2, NOW).await, [1, 2]);
    assert_eq!(sign_out(3, NOW + 1_000 + HOUR - 1).await, [1, 2, 3]);
    assert_eq!(sign_out(4, NOW + 1_000 + HOUR).await, [3, 4]);
    assert_eq!(sign_out(5, NOW + 1_000 + 10 * HOUR).await, [5]);
    assert_eq!(store.last_sign_out().await.unwrap(), 5);
}

/// Some at once: whoever goes on from the last one that it has seen misses none.
pub(crate) async fn they_are_seen_in_their_order(store: Arc<dyn Store>) {
    // As many at once as a store has connections for without waiting.
    const CALLERS: usize = 6;
    const EACH: usize = 4;
    const SIGN_OUTS: usize = 2 * CALLERS * EACH;
    let mut signing = JoinSet::new();
    for caller in 0..CALLERS {
        let mut users = Vec::new();
        for n in 0..EACH {
            let name = format!("user{caller}-{n}");
            users.push((user(&store, &name, 3).await, format!("hash of {name}")));
        }
        let store = store.clone();
        signing.spawn(async move {
            let mut signed_out = Vec::new();
            for ((user, devices), hash) in users {
                assert!(store.revoke_device(user, devices[1].id, NOW).await.unwrap());
                let others =
                    store.change_password(user, &hash, "new", devices[0].id, &by(user)).await.unwrap().unwrap();
                assert_eq!(others, [devices[2].id]);
                signed_out.extend([devices[1].id, devices[2].id]);
            }
            signed_out
        });
    }
    let following = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < SIGN_OUTS {
                let after = seen.len() as i64;
                for (number, _, device) in noted(&store, after, 5).await {
                    seen.push(device);
                    assert_eq!(number, seen.len() as i64, "one was seen before what is in front of it");
                }
            }
            seen
        })
    };
    let signed_out: HashSet<DeviceId> = signing.join_all().await.into_iter().flatten().collect();
    let seen = tokio::time::timeout(std::time::Duration::from_secs(30), following).await.unwrap().unwrap();
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), signed_out);
    assert_eq!(store.last_sign_out().await.unwrap(), SIGN_OUTS as i64);
}
