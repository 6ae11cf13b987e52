//! Several callers at once, some of whom leave.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gogochat_storage::store::{ALL, Store, StoreError};

use super::{World, list};

/// Readers see whole commits only, and what was committed is seen at once.
pub(crate) async fn readers_see_whole_commits(store: Arc<dyn Store>) {
    const PAIRS: i64 = 60;
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..3 {
        let (store, done) = (world.store.clone(), Arc::clone(&done));
        readers.push(tokio::spawn(async move {
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                let seen = list(&*store, other).await.remove(0);
                assert_eq!(seen.last_seq % 2, 1, "half a commit");
                assert!(seen.last_seq >= last, "back in time");
                last = seen.last_seq;
                assert_eq!(seen.last_event.unwrap().seq, last);
                assert_eq!(i64::from(seen.unread), last - 1);
                assert!(store.last_seq(log).await.unwrap().unwrap() >= last);
            }
        }));
    }
    for pair in 1..=PAIRS {
        let batch = vec![world.append(one, log, "a"), world.append(one, log, "b")];
        world.store.commit(batch).await.unwrap();
        assert_eq!(world.store.last_seq(log).await.unwrap(), Some(1 + 2 * pair));
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

/// Several writers at once, some of which give up while they wait or write: each commit is whole or not there. Readers that give up leave
/// nothing behind that would make later ones see an old state.
pub(crate) async fn a_caller_that_gives_up_leaves_no_half(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    let mut tasks = Vec::new();
    for n in 0..60_u64 {
        let batch = vec![world.append(one, log, "a"), world.append(one, log, "b"), world.append(one, log, "c")];
        let store = world.store.clone();
        let brief = Duration::from_micros(200 * n);
        let patience = if n % 2 == 0 { brief } else { Duration::from_secs(60) };
        tasks.push(tokio::spawn(async move {
            let _ = tokio::time::timeout(brief / 4, store.walk(one, ALL, None, 10)).await;
            tokio::time::timeout(patience, store.commit(batch)).await.is_ok_and(|committed| committed.is_ok())
        }));
    }
    let mut sure = 0;
    for task in tasks {
        sure += i64::from(task.await.unwrap());
    }
    assert!(sure >= 20, "only {sure} came through");
    for last in 0..20 {
        let seq = world.say(one, log, "last").await;
        assert_eq!((seq - 2 - last) % 3, 0, "half a batch");
        assert!(seq - 2 - last >= 3 * sure, "an answered batch is not there");
        assert_eq!(world.store.last_seq(log).await.unwrap(), Some(seq), "an old state");
        let seen = list(&*world.store, other).await.remove(0);
        assert_eq!(seen.last_seq, seq, "an old state");
    }
    let seqs: Vec<_> = world.log(log).await.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>());
}

/// After it was closed.
pub(crate) async fn closed_is_unavailable(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let [one, other] = world.users().await;
    let log = world.befriend(one, other).await;
    world.store.close().await;
    let refused = world.store.commit(vec![world.append(one, log, "late")]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(matches!(world.store.last_seq(log).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(world.store.check().await, Err(StoreError::Unavailable(_))));
}
