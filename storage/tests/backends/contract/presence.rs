//! What every presence does.

use std::sync::Arc;

use gogochat_proto::ids::UserId;
use gogochat_storage::presence::{Presence, Status};

const TTL: i64 = 45;

pub(crate) async fn the_first_session_brings_online_the_last_takes_away(presence: Arc<dyn Presence>) {
    let [user, other] = [UserId::new_v7(), UserId::new_v7()];
    assert!(presence.online(user, (1, 1), 100, TTL).await.unwrap());
    assert!(!presence.online(user, (1, 2), 101, TTL).await.unwrap());
    // A heartbeat.
    assert!(!presence.online(user, (1, 1), 102, TTL).await.unwrap());
    assert!(presence.online(other, (1, 1), 103, TTL).await.unwrap());

    assert!(!presence.offline(user, (1, 1), 104).await.unwrap());
    assert!(!presence.offline(user, (1, 1), 105).await.unwrap());
    assert!(!presence.offline(user, (2, 2), 105).await.unwrap());
    assert!(presence.offline(user, (1, 2), 106).await.unwrap());
    assert!(!presence.offline(user, (1, 2), 107).await.unwrap());
    assert!(!presence.offline(UserId::new_v7(), (1, 2), 107).await.unwrap());

    let statuses = presence.get(&[UserId::new_v7(), user, other, user], 110).await.unwrap();
    let gone = Status { online: false, last_seen_ms: 106 };
    assert_eq!(statuses, [Status::default(), gone, Status { online: true, last_seen_ms: 103 }, gone]);
}

/// Up to the end of its time, and at it.
pub(crate) async fn a_session_counts_for_its_time(presence: Arc<dyn Presence>) {
    let user = UserId::new_v7();
    presence.online(user, (1, 1), 100, TTL).await.unwrap();
    presence.online(user, (1, 2), 110, TTL).await.unwrap();
    let online = async |now| presence.get(&[user], now).await.unwrap()[0];
    assert_eq!(online(154).await, Status { online: true, last_seen_ms: 110 });
    assert_eq!(online(155).await, Status { online: false, last_seen_ms: 110 });
    // Who went without a word is back.
    assert!(presence.online(user, (1, 3), 155, TTL).await.unwrap());
    // The others' time is over, so this is the last.
    assert!(presence.offline(user, (1, 3), 156).await.unwrap());
    // A word of farewell that comes after its time tells nothing new.
    presence.online(user, (1, 4), 200, TTL).await.unwrap();
    assert!(!presence.offline(user, (1, 4), 245).await.unwrap());
}
