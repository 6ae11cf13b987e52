//! An edge that goes away, before others: its clients stand at another before they leave it, so that nobody is ever without a session.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::time::Duration;

use gogochat_client::{Transport, proto::ids::LogId};
use gogochat_testkit::{
    device::Device,
    nodes::{Nodes, Plan},
    people::Person,
};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");
const MESSAGES: usize = 1_200;

#[tokio::test(flavor = "multi_thread")]
async fn edges_drained_under_load_leave_nobody_without_a_session() {
    let plan = Plan { edges: 2, cores: vec![vec![], vec![]], kafka: true };
    let mut nodes = Nodes::start(GOGOCHAT, &plan).await.unwrap();
    let ann = Person::register(nodes.edges[0].http, "ann").await.unwrap();
    let ben = Person::register(nodes.edges[1].http, "ben").await.unwrap();
    let log: LogId = ann.befriend(&ben).await.unwrap().parse().unwrap();
    // Those at the first edge are led to the second, and stay there when the first is back.
    let at = |name, transport| Device::sign_in(nodes.edges[0].edge, name, transport);
    let [wt, ws] = [Transport::WebTransport, Transport::WebSocket];
    let (ann_wt, ann_ws, ben_wt, ben_ws) =
        tokio::try_join!(at("ann", wt), at("ann", ws), at("ben", wt), at("ben", ws)).unwrap();
    let mut devices = [ann_wt, ann_ws, ben_wt, ben_ws];
    let senders = [devices[0].client.clone(), devices[1].client.clone()];

    let posts = async {
        for n in 0..MESSAGES {
            senders[n % 2].post(log, format!("{} {}", n % 2, n / 2)).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let restarts = async {
        nodes.edges[0].stop().await.unwrap();
        nodes.edges[0].start().unwrap();
        nodes.edges[0].ready().await.unwrap();
    };
    let [a, b, c, d] = devices.each_mut();
    let received = async { tokio::join!(receive(a), receive(b), receive(c), receive(d)) };
    tokio::join!(posts, restarts, received);
    for device in devices {
        let stood = device.sessions().await.unwrap();
        assert_eq!((stood.begun, stood.lost), (2, 0), "a second one, and no moment without");
    }
}

/// All messages: each once, and those of one sender in order.
async fn receive(device: &mut Device) {
    let mut next = [0; 2];
    for _ in 0..MESSAGES {
        let text = device.next_text().await.unwrap();
        let (sender, n) = text.split_once(' ').unwrap();
        let next = &mut next[sender.parse::<usize>().unwrap()];
        assert_eq!(n.parse::<usize>().unwrap(), *next, "{text}");
        *next += 1;
    }
}
