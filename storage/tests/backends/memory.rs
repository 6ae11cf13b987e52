//! The backends in this process's memory.

use std::sync::Arc;

use gogochat_storage::{
    bus::channel::ChannelBus,
    discovery::{Discovery, Node, static_list::StaticList},
    presence::memory::MemoryPresence,
};

use crate::contract::{
    bus,
    discovery::{self, core},
    presence,
};

macro_rules! bus_contract {
    ($($test:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $test() {
            bus::$test(Arc::new(ChannelBus::new(4_096))).await;
        })*
    };
}

bus_contract!(
    commands_arrive_whole_and_in_order,
    a_waiting_consumer_wakes,
    partitions_share_a_batch,
    users_share_a_partition,
    no_partition_past_the_last,
    a_closed_bus_gives_what_is_left,
    closing_wakes_who_waits,
    consumers_share_by_partitions,
);

#[tokio::test]
async fn a_full_partition_refuses() {
    bus::a_full_partition_refuses(Arc::new(ChannelBus::new(8)), 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_turned_about() {
    bus::nothing_is_lost_or_turned_about(Arc::new(ChannelBus::new(32))).await;
}

#[tokio::test]
async fn the_first_session_brings_online_the_last_takes_away() {
    presence::the_first_session_brings_online_the_last_takes_away(Arc::new(MemoryPresence::default())).await;
}

#[tokio::test]
async fn a_session_counts_for_its_time() {
    presence::a_session_counts_for_its_time(Arc::new(MemoryPresence::default())).await;
}

#[tokio::test]
async fn a_static_list_stays() {
    let configured = [core("core-1", 1), core("core-2", 2)];
    let list = StaticList::new(configured.to_vec());
    let mut cores = list.cores();
    assert_eq!(*cores.borrow(), configured);
    assert!(!cores.has_changed().unwrap());
    // What a node says of itself counts for more, as long as it is there.
    let own = list.register(Node::Core(core("core-2", 3))).await.unwrap();
    assert_eq!(*cores.borrow_and_update(), [core("core-1", 1), core("core-2", 3)]);
    own.close().await;
    assert_eq!(*cores.borrow(), configured);
}

macro_rules! discovery_contract {
    ($($test:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $test() {
            let list = Arc::new(StaticList::new(Vec::new()));
            discovery::$test(list.clone(), list).await;
        })*
    };
}

discovery_contract!(
    nodes_come_change_and_go,
    two_live_nodes_do_not_share_a_name,
    one_alone_has_a_claim,
    all_say_the_same_for_ever
);
