//! What a log-in asks for beside the password.

use std::sync::Arc;

use gogochat_proto::ids::UserId;
use gogochat_storage::store::{Act, AuditFilter, By, FactorProof, SecondFactor, Store};

use super::{NOW, by, new_user};

const SECRET: [u8; 20] = [7; 20];
const CODES: [[u8; 32]; 2] = [[1; 32], [2; 32]];

async fn user(store: &Arc<dyn Store>, name: &str) -> UserId {
    let (user, device) = new_user(name);
    assert!(store.create_user(user.clone(), device).await.unwrap());
    user.id
}

async fn turn_on(store: &Arc<dyn Store>, user: UserId) {
    assert!(store.begin_second_factor(user, SECRET).await.unwrap());
    assert!(store.turn_second_factor_on(user, SECRET, 100, &CODES, &by(user)).await.unwrap());
}

pub(crate) async fn a_second_factor_is_begun_and_turned_on(store: Arc<dyn Store>) {
    let ann = user(&store, "ann").await;
    assert_eq!(store.second_factor(ann).await.unwrap(), None);
    assert!(store.begin_second_factor(ann, [1; 20]).await.unwrap());
    // Begun again, the first is void.
    assert!(store.begin_second_factor(ann, SECRET).await.unwrap());
    assert_eq!(store.second_factor(ann).await.unwrap(), Some(SecondFactor { secret: SECRET, on_ms: None, step: 0 }));
    assert!(!store.turn_second_factor_on(ann, [1; 20], 100, &CODES, &by(ann)).await.unwrap());
    assert!(!store.use_second_factor(ann, FactorProof::Step(100)).await.unwrap(), "nothing asks for it yet");
    assert!(store.turn_second_factor_on(ann, SECRET, 100, &CODES, &by(ann)).await.unwrap());
    let on = SecondFactor { secret: SECRET, on_ms: Some(NOW), step: 100 };
    assert_eq!(store.second_factor(ann).await.unwrap(), Some(on));
    assert_eq!(store.recovery_codes_left(ann).await.unwrap(), 2);
    assert!(!store.turn_second_factor_on(ann, SECRET, 101, &CODES, &by(ann)).await.unwrap());
    assert!(!store.begin_second_factor(ann, [1; 20]).await.unwrap());
    assert_eq!(store.second_factor(ann).await.unwrap(), Some(on));
}

pub(crate) async fn each_proof_of_a_second_factor_is_used_once(store: Arc<dyn Store>) {
    let (ann, ben) = (user(&store, "ann").await, user(&store, "ben").await);
    turn_on(&store, ann).await;
    turn_on(&store, ben).await;
    for (step, is_new) in [(100, false), (99, false), (101, true), (101, false), (103, true), (102, false)] {
        assert_eq!(store.use_second_factor(ann, FactorProof::Step(step)).await.unwrap(), is_new, "{step}");
    }
    for (code, is_new) in [(CODES[0], true), (CODES[0], false), ([9; 32], false), (CODES[1], true)] {
        assert_eq!(store.use_second_factor(ann, FactorProof::RecoveryCode(code)).await.unwrap(), is_new);
    }
    assert_eq!(store.recovery_codes_left(ann).await.unwrap(), 0);
    assert_eq!(store.recovery_codes_left(ben).await.unwrap(), 2);
    // Of many that come at once one is the first.
    for step in 200..220 {
        let tries: Vec<_> = (0..4)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.use_second_factor(ben, FactorProof::Step(step)).await.unwrap() })
            })
            .collect();
        let mut used = 0;
        for one in tries {
            used += usize::from(one.await.unwrap());
        }
        assert_eq!(used, 1);
    }
}

pub(crate) async fn a_second_factor_is_removed_with_its_codes(store: Arc<dyn Store>) {
    let (ann, ben, boss) = (user(&store, "ann").await, user(&store, "ben").await, user(&store, "boss").await);
    assert!(!store.remove_second_factor(ann, &by(ann)).await.unwrap());
    turn_on(&store, ann).await;
    assert!(store.remove_second_factor(ann, &by(ann)).await.unwrap());
    assert!(!store.remove_second_factor(ann, &by(ann)).await.unwrap());
    assert_eq!(store.second_factor(ann).await.unwrap(), None);
    assert_eq!(store.recovery_codes_left(ann).await.unwrap(), 0);
    // Who is given access anew has lost it too.
    let command_line = By { actor: None, ..by(boss) };
    assert!(store.set_administrator(boss, true, &command_line).await.unwrap());
    turn_on(&store, ben).await;
    store.reset_access(ben, "hash", NOW + 1, &by(boss)).await.unwrap();
    assert_eq!(store.second_factor(ben).await.unwrap(), None);
    assert_eq!(store.recovery_codes_left(ben).await.unwrap(), 0);
    for (user, whose) in [(ann, [ann, ann]), (ben, [boss, ben])] {
        for (act, actor) in [Act::SecondFactorOff, Act::SecondFactorOn].into_iter().zip(whose) {
            let filter = AuditFilter { user: Some(user), act: Some(act) };
            let found = store.audit(filter, None, 10).await.unwrap().entries;
            assert_eq!(found.iter().map(|entry| entry.by.actor).collect::<Vec<_>>(), [Some(actor)]);
        }
    }
}
