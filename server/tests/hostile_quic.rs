//! Attackers over QUIC, of every kind at once: the server's memory stays bounded, and others go on.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use gogochat_testkit::{
    attack::quic::Kind,
    people::Person,
    process::{Dev, ready, resident_kib},
};
use tokio::task::JoinSet;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn attackers_cost_bounded_memory_and_others_go_on() {
    let mut dev = Dev::start(env!("CARGO_BIN_EXE_gogochat")).await.unwrap();
    let pid = dev.process().unwrap().pid();
    let (ann, ben) =
        (Person::register(dev.http, "ann").await.unwrap(), Person::register(dev.http, "ben").await.unwrap());
    let conversation = ann.befriend(&ben).await.unwrap();
    let before = resident_kib(pid).unwrap();
    let mut grown = Vec::new();
    for _ in 0..2 {
        let mut attackers = JoinSet::new();
        for kind in Kind::ALL {
            let edge = dev.edge;
            attackers.spawn(async move { (kind, kind.run(edge, CONNECTIONS, TIME).await.unwrap()) });
        }
        while !attackers.is_empty() {
            tokio::select! {
                Some(attacked) = attackers.join_next() => {
                    let (kind, report) = attacked.unwrap();
                    println!("{kind:?}: {report}");
                    assert!(report.connections > 0, "{kind:?}: {report}");
                }
                () = async {
                    let id = Uuid::new_v4().to_string();
                    let sent = ann.send(&conversation, &id, "still here");
                    tokio::time::timeout(Duration::from_secs(60), sent).await.unwrap().unwrap();
                    grown.push(resident_kib(pid).unwrap().saturating_sub(before));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                } => {}
            }
        }
    }
    let most = grown.iter().max().unwrap();
    println!("it grew by {most} KiB at most, over {} messages", grown.len());
    assert!(*most < BOUND_KIB, "the server has grown by {most} KiB");
    ready(dev.http, &dev.log()).await.unwrap();
}

/// Of each kind.
const CONNECTIONS: usize = 3;
const TIME: Duration = Duration::from_secs(5);
/// What all of them may hold by `gogochat_edge::limits::quic`: some 1 MiB each, and room for the allocator.
const BOUND_KIB: usize = 100 * 1024;
