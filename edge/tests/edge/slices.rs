//! More logs than may wait for a core's stream.

use gogochat_edge::Limits;
use gogochat_proto::{
    ids::{LogId, UserId},
    node::edge_item,
};

use crate::{
    Setup, World,
    client::{Client, Kind},
    core::Core,
    eventually,
};

/// An edge with `USERS` sessions that hear `EACH` conversations each, which all cores know.
async fn world(cores: &[Core]) -> (World, Vec<Client>) {
    let limits = Limits { core_queue: LOGS / 5, ..Limits::default() };
    let world = World::start(Setup { limits, cores: cores.to_vec(), ..Setup::new() }).await;
    eventually("all are attached", || cores.iter().all(|core| core.attached() == 1)).await;
    let mut clients = Vec::new();
    for n in 1..=USERS {
        let user = UserId::new_v7();
        for _ in 0..EACH {
            world.core.join(user, LogId::new_v7());
        }
        clients.push(world.log_in(Kind::Ws, user).await);
        eventually("interest", || cores.iter().all(|core| core.interests() == n * (EACH + 1))).await;
    }
    (world, clients)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_core_is_told_of_more_logs_than_may_wait_as_it_takes_them() {
    let cores = [Core::default()];
    let (world, mut clients) = world(&cores).await;
    let [core] = cores;
    core.set_stalled(true);
    core.set_away(true);
    eventually("not ready", || world.edge.handle().ready().is_err()).await;
    core.set_away(false);
    eventually("it is attached again", || world.edge.handle().ready().is_ok()).await;
    // What a session that ends tells finds room.
    drop(clients.pop());
    eventually("it has left", || world.edge.handle().sessions() == USERS - 1).await;
    core.set_stalled(false);
    eventually("all is announced", || core.interests() == (USERS - 1) * (EACH + 1)).await;
    assert_eq!(core.attached(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_core_looks_for_what_was_lost_in_more_logs_than_may_wait_as_it_takes_them() {
    let lost = Core::default();
    let cores = [lost.clone(), lost.beside()];
    let (_world, clients) = world(&cores).await;
    let [lost, other] = cores;
    other.set_stalled(true);
    lost.set_away(true);
    other.set_stalled(false);
    let looks = || {
        let is_look = |item: &edge_item::Item| matches!(item, edge_item::Item::Interest(interest) if interest.verify);
        other.seen(|item| is_look(item).then_some(())).len()
    };
    eventually("all are looked for", || looks() >= clients.len() * (EACH + 1)).await;
    assert_eq!(other.attached(), 1);
}

const USERS: usize = 20;
const EACH: usize = 500;
const LOGS: usize = USERS * EACH;
