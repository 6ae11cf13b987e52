//! What every bus does.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gogochat_proto::{
    ids::{CommandId, DeviceId, UserId},
    partition::PARTITIONS,
};
use gogochat_storage::bus::{Bus, BusCommand, BusError, Consumer, ReplyTo, Room};
use tokio::time::timeout;

pub(crate) fn command(partition: u32, number: u32) -> BusCommand {
    BusCommand {
        id: CommandId::new_v7(),
        published_ms: i64::from(number),
        partition,
        reply_to: ReplyTo { attachment: 1, session: u64::from(partition), call_id: number },
        user: UserId::new_v7(),
        device: DeviceId::new_v7(),
        method: "gogochat.v1.ChatService/SendMessage".into(),
        body: Bytes::from(number.to_string()),
        rows: 7,
    }
}

pub(crate) async fn next(consumer: &mut Box<dyn Consumer>, max: usize) -> Vec<BusCommand> {
    let batch = timeout(DEADLINE, consumer.next_batch(Room::of(max))).await.expect("no batch").expect("shut down");
    assert!(!batch.is_empty() && batch.len() <= max);
    batch
}

/// (partition, number) of each.
pub(crate) fn places(batch: &[BusCommand]) -> Vec<(u32, u32)> {
    batch.iter().map(|command| (command.partition, command.reply_to.call_id)).collect()
}

pub(crate) async fn commands_arrive_whole_and_in_order(bus: Arc<dyn Bus>) {
    let mut consumer = bus.consumer().await.unwrap();
    let sent: Vec<_> = (0..10).map(|n| command(5, n)).collect();
    for one in &sent {
        bus.publish(one.clone()).await.unwrap();
    }
    let mut got = Vec::new();
    while got.len() < 10 {
        got.extend(next(&mut consumer, 4).await);
        consumer.commit(&[]).await.unwrap();
    }
    assert_eq!(got, sent);
}

pub(crate) async fn a_waiting_consumer_wakes(bus: Arc<dyn Bus>) {
    let mut consumer = bus.consumer().await.unwrap();
    let waiting = tokio::spawn(async move { next(&mut consumer, 10).await });
    tokio::task::yield_now().await;
    bus.publish(command(1, 7)).await.unwrap();
    assert_eq!(places(&waiting.await.unwrap()), [(1, 7)]);
}

/// A partition that never runs dry does not keep the others waiting for ever.
pub(crate) async fn partitions_share_a_batch(bus: Arc<dyn Bus>) {
    const BUSY: u32 = 200;
    for n in 0..BUSY {
        bus.publish(command(0, n)).await.unwrap();
    }
    let mut consumer = bus.consumer().await.unwrap();
    let mut of_busy = places(&next(&mut consumer, 32).await);
    consumer.commit(&[]).await.unwrap();
    for partition in 1..PARTITIONS {
        bus.publish(command(partition, 0)).await.unwrap();
    }
    let (mut others, mut sent, until) = (HashSet::new(), BUSY, Instant::now() + DEADLINE);
    while others.len() < PARTITIONS as usize - 1 {
        assert!(Instant::now() < until, "only {others:?} had a turn");
        for place in places(&next(&mut consumer, 32).await) {
            match place {
                (0, _) => of_busy.push(place),
                (other, _) => assert!(others.insert(other), "twice"),
            }
        }
        consumer.commit(&[]).await.unwrap();
        // As much waits again as before.
        while sent < of_busy.len() as u32 + BUSY {
            bus.publish(command(0, sent)).await.unwrap();
            sent += 1;
        }
    }
    assert_eq!(of_busy, (0..of_busy.len() as u32).map(|n| (0, n)).collect::<Vec<_>>());
}

/// However many of one user wait, and however large, another's are in the next batch, and each has their
/// order.
pub(crate) async fn users_share_a_partition(bus: Arc<dyn Bus>) {
    const FLOOD: u32 = 200;
    let flooder = UserId::new_v7();
    for n in 0..FLOOD {
        bus.publish(BusCommand { user: flooder, rows: 6_000, ..command(4, n) }).await.unwrap();
    }
    let mut consumer = bus.consumer().await.unwrap();
    let room = Room { commands: 1_000, rows: 8_192, bytes: usize::MAX };
    let first = timeout(DEADLINE, consumer.next_batch(room)).await.unwrap().unwrap();
    assert_eq!(places(&first), [(4, 0)]);
    consumer.commit(&[]).await.unwrap();
    for n in 0..10 {
        bus.publish(command(4, FLOOD + n)).await.unwrap();
    }
    let (mut floods, mut others, until) = (vec![0], Vec::new(), Instant::now() + DEADLINE);
    while floods.len() < FLOOD as usize || others.len() < 10 {
        assert!(Instant::now() < until, "{} and {} came", floods.len(), others.len());
        let batch = timeout(DEADLINE, consumer.next_batch(room)).await.unwrap().unwrap();
        assert!(batch.iter().map(BusCommand::cost).sum::<usize>() <= 8_192);
        for command in batch {
            let place = command.reply_to.call_id;
            if command.user == flooder { floods.push(place) } else { others.push(place) }
        }
        consumer.commit(&[]).await.unwrap();
    }
    assert_eq!(floods, (0..FLOOD).collect::<Vec<_>>());
    assert_eq!(others, (FLOOD..FLOOD + 10).collect::<Vec<_>>());
}

/// `capacity` is what the bus was opened with.
pub(crate) async fn a_full_partition_refuses(bus: Arc<dyn Bus>, capacity: u32) {
    let mut consumer = bus.consumer().await.unwrap();
    for n in 0..capacity {
        bus.publish(command(2, n)).await.unwrap();
    }
    assert_eq!(bus.publish(command(2, capacity)).await, Err(BusError::Full { partition: 2 }));
    bus.publish(command(3, 0)).await.unwrap();
    let taken = next(&mut consumer, 2).await;
    consumer.commit(&[]).await.unwrap();
    // What is done makes room for as much, and no more.
    let room = places(&taken).iter().filter(|place| place.0 == 2).count() as u32;
    let until = Instant::now() + DEADLINE;
    for n in 0..room {
        while let Err(error) = bus.publish(command(2, capacity + n)).await {
            assert!(Instant::now() < until, "{error}");
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(bus.publish(command(2, capacity + room)).await, Err(BusError::Full { partition: 2 }));
    let mut got: Vec<_> = places(&taken);
    while got.len() < (capacity + room + 1) as usize {
        got.extend(places(&next(&mut consumer, 3).await));
        consumer.commit(&[]).await.unwrap();
    }
    got.retain(|place| place.0 == 2);
    assert_eq!(got, (0..capacity + room).map(|n| (2, n)).collect::<Vec<_>>());
}

pub(crate) async fn no_partition_past_the_last(bus: Arc<dyn Bus>) {
    assert!(matches!(bus.publish(command(PARTITIONS, 0)).await, Err(BusError::Unavailable(_))));
    bus.publish(command(PARTITIONS - 1, 0)).await.unwrap();
}

pub(crate) async fn a_closed_bus_gives_what_is_left(bus: Arc<dyn Bus>) {
    let mut consumer = bus.consumer().await.unwrap();
    for n in 0..3 {
        bus.publish(command(n, 0)).await.unwrap();
    }
    bus.close().await;
    assert!(matches!(bus.publish(command(0, 1)).await, Err(BusError::Unavailable(_))));
    let mut got = Vec::new();
    while got.len() < 3 {
        got.extend(places(&next(&mut consumer, 2).await));
        consumer.commit(&[]).await.unwrap();
    }
    got.sort_unstable();
    assert_eq!(got, [(0, 0), (1, 0), (2, 0)]);
    assert_eq!(timeout(DEADLINE, consumer.next_batch(Room::of(2))).await.unwrap(), None);
    assert_eq!(timeout(DEADLINE, consumer.next_batch(Room::of(2))).await.unwrap(), None);
}

pub(crate) async fn closing_wakes_who_waits(bus: Arc<dyn Bus>) {
    let mut consumers = Vec::new();
    for _ in 0..3 {
        let mut consumer = bus.consumer().await.unwrap();
        consumers.push(tokio::spawn(async move { consumer.next_batch(Room::of(10)).await }));
    }
    tokio::task::yield_now().await;
    bus.close().await;
    for consumer in consumers {
        assert_eq!(timeout(DEADLINE, consumer).await.unwrap().unwrap(), None);
    }
}

/// While one consumer has uncommitted commands of a partition, no other gets later ones. For a bus whose consumers all take from all
/// partitions.
pub(crate) async fn consumers_share_by_partitions(bus: Arc<dyn Bus>) {
    let mut one = bus.consumer().await.unwrap();
    let mut other = bus.consumer().await.unwrap();
    bus.publish(command(1, 0)).await.unwrap();
    assert_eq!(places(&next(&mut one, 10).await), [(1, 0)]);
    bus.publish(command(1, 1)).await.unwrap();
    bus.publish(command(2, 0)).await.unwrap();
    assert_eq!(places(&next(&mut other, 10).await), [(2, 0)]);
    other.commit(&[]).await.unwrap();

    let waits = tokio::spawn(async move { next(&mut other, 10).await });
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    one.commit(&[]).await.unwrap();
    assert_eq!(places(&timeout(DEADLINE, waits).await.unwrap().unwrap()), [(1, 1)]);
}

/// Many publishers, three consumers: everything once, each partition in order.
pub(crate) async fn nothing_is_lost_or_turned_about(bus: Arc<dyn Bus>) {
    const EACH: u32 = 400;
    let seen = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let mut consumers = Vec::new();
    for max in [1, 7, 64] {
        let (seen, mut consumer) = (Arc::clone(&seen), bus.consumer().await.unwrap());
        consumers.push(tokio::spawn(async move {
            while let Some(batch) = consumer.next_batch(Room::of(max)).await {
                seen.lock().await.extend(places(&batch));
                consumer.commit(&[]).await.unwrap();
            }
        }));
    }
    let mut publishers = Vec::new();
    for partition in 0..PARTITIONS {
        let bus = Arc::clone(&bus);
        publishers.push(tokio::spawn(async move {
            for n in 0..EACH {
                while bus.publish(command(partition, n)).await.is_err() {
                    tokio::task::yield_now().await;
                }
            }
        }));
    }
    for publisher in publishers {
        timeout(DEADLINE, publisher).await.unwrap().unwrap();
    }
    bus.close().await;
    for consumer in consumers {
        timeout(DEADLINE, consumer).await.unwrap().unwrap();
    }
    let seen = seen.lock().await;
    for partition in 0..PARTITIONS {
        let of_it: Vec<_> = seen.iter().filter(|place| place.0 == partition).map(|place| place.1).collect();
        assert_eq!(of_it, (0..EACH).collect::<Vec<_>>());
    }
}

pub(crate) const DEADLINE: Duration = Duration::from_secs(90);
