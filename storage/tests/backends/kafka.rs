//! The bus over Kafka.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_proto::partition::PARTITIONS;
use gogochat_storage::bus::{
    Bus, BusError, Consumer, KafkaConfig,
    kafka::{KafkaBus, OpenError},
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::ClientConfig,
};
use tokio::{sync::watch, time::timeout};

use crate::{
    contract::bus::{self, DEADLINE, command, next, places},
    services::{Private, address, unique},
};

fn config(address: &str, prefix: String) -> KafkaConfig {
    KafkaConfig { brokers: address.into(), prefix, session_timeout: Duration::from_secs(3), ..KafkaConfig::default() }
}

async fn open(test: &str, capacity: usize) -> Arc<KafkaBus> {
    Arc::new(KafkaBus::open(config(&address("kafka"), unique(test)), capacity).await.unwrap())
}

macro_rules! contract {
    ($($test:ident),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            bus::$test(open(stringify!($test), 4_096).await).await;
        })*
    };
}

contract!(
    commands_arrive_whole_and_in_order,
    a_waiting_consumer_wakes,
    partitions_share_a_batch,
    users_share_a_partition,
    no_partition_past_the_last,
    a_closed_bus_gives_what_is_left,
    closing_wakes_who_waits,
    nothing_is_lost_or_turned_about,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_partition_refuses() {
    bus::a_full_partition_refuses(open("full", 8).await, 8).await;
}

/// Waits until a core is assigned what is wanted.
async fn assigned(bus: &KafkaBus, wanted: impl Fn(&[u32]) -> bool) -> Vec<u32> {
    let mut assigned: watch::Receiver<Vec<u32>> = bus.assigned();
    timeout(DEADLINE, assigned.wait_for(|partitions| wanted(partitions))).await.expect("no assignment").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cores_share_partitions_and_hand_them_over() {
    let config = config(&address("kafka"), unique("share"));
    let one = KafkaBus::open(config.clone(), 4_096).await.unwrap();
    let other = KafkaBus::open(config, 4_096).await.unwrap();
    assert!(one.assigned().borrow().is_empty());
    let mut first = one.consumer().await.unwrap();
    assert_eq!(assigned(&one, |partitions| !partitions.is_empty()).await, (0..PARTITIONS).collect::<Vec<_>>());

    // It has something in hand as the other joins: the other is not given it.
    other.publish(command(0, 0)).await.unwrap();
    other.publish(command(PARTITIONS - 1, 0)).await.unwrap();
    let mut got = Vec::new();
    while got.len() < 2 {
        got.extend(places(&next(&mut first, 10).await));
        if got.len() < 2 {
            first.commit(&[]).await.unwrap();
        }
    }
    let mut second = other.consumer().await.unwrap();
    assigned(&one, <[u32]>::is_empty).await;
    first.commit(&[]).await.unwrap();
    let half = |partitions: &[u32]| partitions.len() == PARTITIONS as usize / 2;
    let (of_one, of_other) = (assigned(&one, half).await, assigned(&other, half).await);
    let all: HashSet<u32> = of_one.iter().chain(&of_other).copied().collect();
    assert_eq!(all.len(), PARTITIONS as usize);

    for partition in 0..PARTITIONS {
        one.publish(command(partition, 1)).await.unwrap();
    }
    for (consumer, own) in [(&mut first, &of_one), (&mut second, &of_other)] {
        let mut seen = HashSet::new();
        while seen.len() < own.len() {
            for (partition, number) in places(&next(consumer, 10).await) {
                assert!(own.contains(&partition) && number == 1, "{partition} {number} is not its own or comes again");
                assert!(seen.insert(partition), "{partition} comes twice");
            }
            consumer.commit(&[]).await.unwrap();
        }
    }

    // One goes: the rest is the other's, without a repeat.
    drop(first);
    one.close().await;
    one.left().await;
    assert!(one.assigned().borrow().is_empty());
    assigned(&other, |partitions| partitions.len() == PARTITIONS as usize).await;
    for partition in 0..PARTITIONS {
        other.publish(command(partition, 2)).await.unwrap();
    }
    let mut seen = HashSet::new();
    while seen.len() < PARTITIONS as usize {
        for (partition, number) in places(&next(&mut second, 10).await) {
            assert!(number == 2 && seen.insert(partition), "{partition} {number} comes again");
        }
        second.commit(&[]).await.unwrap();
    }
}

/// What a core took and did not commit before it went, the next is given again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_committed_comes_again() {
    let config = config(&address("kafka"), unique("again"));
    let bus = KafkaBus::open(config.clone(), 4_096).await.unwrap();
    for n in 0..10 {
        bus.publish(command(4, n)).await.unwrap();
    }
    let mut consumer = bus.consumer().await.unwrap();
    let mut done = places(&next(&mut consumer, 4).await);
    consumer.commit(&[]).await.unwrap();
    next(&mut consumer, 4).await;
    drop(consumer);
    bus.close().await;
    bus.left().await;

    let bus = KafkaBus::open(config, 4_096).await.unwrap();
    let mut consumer = bus.consumer().await.unwrap();
    while done.len() < 10 {
        done.extend(places(&next(&mut consumer, 3).await));
        consumer.commit(&[]).await.unwrap();
    }
    assert_eq!(done, (0..10).map(|n| (4, n)).collect::<Vec<_>>());
}

/// Where a core has refused a command for now, the next is given it again, before what lies behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_kept_comes_again_in_its_place() {
    let config = config(&address("kafka"), unique("kept"));
    let bus = KafkaBus::open(config.clone(), 4_096).await.unwrap();
    for n in 0..6 {
        bus.publish(command(4, n)).await.unwrap();
        bus.publish(command(5, n)).await.unwrap();
    }
    let mut consumer = bus.consumer().await.unwrap();
    let mut taken = 0;
    while taken < 12 {
        taken += next(&mut consumer, 4).await.len();
        // The first of partition 5 has come again after a while; the first of partition 4 has not.
        consumer.commit(if taken < 12 { &[4, 5][..] } else { &[4] }).await.unwrap();
    }
    drop(consumer);
    timeout(DEADLINE, bus.close()).await.expect("what is kept is done with here");

    let bus = KafkaBus::open(config, 4_096).await.unwrap();
    let mut consumer = bus.consumer().await.unwrap();
    let mut got = Vec::new();
    while got.len() < 6 {
        got.extend(places(&next(&mut consumer, 4).await));
        consumer.commit(&[]).await.unwrap();
    }
    assert_eq!(got, (0..6).map(|n| (4, n)).collect::<Vec<_>>());
}

/// A broker answers all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_gone_is_noticed() {
    let config = config(&address("kafka"), unique("gone"));
    let (admin, topic) = (admin(&config), format!("{}.commands", config.prefix));
    let bus = KafkaBus::open(config, 4_096).await.unwrap();
    bus.check().await.unwrap();
    admin.delete_topics(&[&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let until = Instant::now() + DEADLINE;
    let error = loop {
        match bus.check().await {
            Err(error) => break error,
            Ok(()) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        assert!(Instant::now() < until, "nobody notices");
    };
    assert!(error.to_string().contains(&topic), "{error}");
}

fn admin(config: &KafkaConfig) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &config.brokers).create().unwrap()
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let config = config(&address("kafka"), unique("partitions"));
    let admin = admin(&config);
    let topic = format!("{}.commands", config.prefix);
    let three = NewTopic::new(&topic, 3, TopicReplication::Fixed(1));
    admin.create_topics([&three], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let error = KafkaBus::open(config, 4_096).await.map(drop).unwrap_err();
    assert_eq!(error, OpenError::Partitions { topic: topic.clone(), has: 3 });
    let message = error.to_string();
    for part in ["core.kafka", "cluster.name", &topic, "has 3 partitions", "16"] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn says_which_key_is_wrong() {
    let nobody = KafkaBus::open(config("127.0.0.1:1", unique("nobody")), 4_096).await.map(drop).unwrap_err();
    assert!(matches!(nobody, OpenError::Unreachable { .. }) && nobody.to_string().contains("core.kafka"), "{nobody}");
    let mut wrong = config("127.0.0.1:1", unique("wrong"));
    wrong.properties.insert("no.such.property".into(), "1".into());
    let wrong = KafkaBus::open(wrong, 4_096).await.map(drop).unwrap_err();
    assert!(matches!(wrong, OpenError::Config(_)) && wrong.to_string().contains("core.kafka"), "{wrong}");
}

/// The broker is killed and comes back: what was taken arrives, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_broker_comes_back() {
    let kafka = Private::start("kafka", &[]);
    // Longer than a broker takes to start on a busy machine: nothing is given up.
    let config = KafkaConfig { delivery_timeout: Duration::from_secs(120), ..config(&kafka.address(), "test".into()) };
    let bus = Arc::new(KafkaBus::open(config, 4_096).await.unwrap());
    let mut consumer = bus.consumer().await.unwrap();
    let mut sent = 0;
    send(&bus, &mut sent, 3).await;
    let mut got = 0;
    receive(&mut consumer, &mut got, sent).await;

    kafka.kill();
    send(&bus, &mut sent, 3).await;
    // Soon it is said that it does not answer.
    let since = Instant::now();
    let refused = loop {
        match bus.publish(command(6, sent)).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(since.elapsed() < DEADLINE, "nothing is refused");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(matches!(refused, BusError::Unavailable(_)), "{refused:?}");
    let era = *bus.era().borrow();
    kafka.up(&[]);
    receive(&mut consumer, &mut got, sent).await;
    send(&bus, &mut sent, 3).await;
    receive(&mut consumer, &mut got, sent).await;
    assert_eq!(*bus.era().borrow(), era, "nothing was given up");
}

/// A broker is killed and stays away: what was taken is given up, and a new era begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_broker_that_stays_away_had_to_get_is_given_up() {
    let kafka = Private::start("kafka", &[]);
    let config = KafkaConfig { delivery_timeout: Duration::from_secs(5), ..config(&kafka.address(), "test".into()) };
    let bus = Arc::new(KafkaBus::open(config, 4_096).await.unwrap());
    let mut consumer = bus.consumer().await.unwrap();
    let mut sent = 0;
    send(&bus, &mut sent, 3).await;
    receive(&mut consumer, &mut 0, sent).await;

    kafka.kill();
    let lost = sent;
    let era = *bus.era().borrow();
    send(&bus, &mut sent, 3).await;
    let mut eras = bus.era();
    timeout(DEADLINE, eras.wait_for(|now| *now > era)).await.expect("nothing is given up").unwrap();
    assert!(bus.publish(command(6, sent)).await.is_err());
    kafka.up(&[]);
    let until = Instant::now() + DEADLINE;
    while let Err(error) = bus.publish_in(era + 1, command(6, sent)).await {
        assert!(Instant::now() < until, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Who has not heard that the era is over does not overtake what was lost.
    assert!(matches!(bus.publish_in(era, command(6, sent)).await, Err(BusError::Unavailable(_))));
    // What was given up is not sent after all: the next new one is this one.
    let new = loop {
        let batch = places(&next(&mut consumer, 10).await);
        if let Some((_, new)) = batch.into_iter().find(|(_, number)| *number >= lost) {
            break new;
        }
    };
    assert_eq!(new, sent);
}

async fn send(bus: &KafkaBus, sent: &mut u32, count: u32) {
    for _ in 0..count {
        bus.publish(command(6, *sent)).await.unwrap();
        *sent += 1;
    }
}

/// Takes all that was sent, in order. What was committed just before a broker was killed may come again, as a store would notice.
async fn receive(consumer: &mut Box<dyn Consumer>, got: &mut u32, sent: u32) {
    while *got < sent {
        for (_, number) in places(&next(consumer, 10).await) {
            assert!(number <= *got, "{number} comes before {got}");
            *got += u32::from(number == *got);
        }
        consumer.commit(&[]).await.unwrap();
    }
}
