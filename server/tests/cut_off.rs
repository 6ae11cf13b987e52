//! An edge is cut off from one core of two, which lives on and commits: nobody waits for what that core tells, and in the end nobody is there any more who would.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use gogochat_client::{Transport, proto::ids::LogId};
use gogochat_testkit::{
    device::Device,
    http,
    nodes::{Node, Nodes, Plan},
    people::{Person, text},
    proxy::Proxy,
};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");
/// Counts transactions.
const COMMITTED: &str = "gogochat_core_commit_seconds_count";
/// So many that each core commits to some.
const GROUPS: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_is_cut_off_from_a_core_goes_on_and_sends_its_clients_to_one_that_is_not() {
    let plan = Plan { edges: 2, cores: vec![vec![], vec![]], kafka: true, tls: false };
    let mut nodes = Nodes::prepare(GOGOCHAT, &plan).unwrap();
    let link = Proxy::start(nodes.cores[1].edge).await.unwrap();
    nodes.cores[1].set("GOGOCHAT__CLUSTER__ADDRESS", link.address);
    for core in &mut nodes.cores {
        core.start().unwrap();
    }
    for core in &nodes.cores {
        core.ready().await.unwrap();
    }
    attach(&mut nodes.edges[0]).await;
    let first = link.part();
    attach(&mut nodes.edges[1]).await;

    let ann = Person::register(nodes.edges[0].http, "ann").await.unwrap();
    let ben = Person::register(nodes.edges[1].http, "ben").await.unwrap();
    ann.befriend(&ben).await.unwrap();
    let mut groups = Vec::new();
    for n in 0..GROUPS {
        let group = json!({ "clientMsgId": uuid::Uuid::now_v7(), "title": n.to_string(), "memberIds": [ben.id] });
        let made = ann.call("POST", "/v1/groups", &group).await.unwrap();
        groups.push(text(&made, "/conversationId").unwrap().parse::<LogId>().unwrap());
    }
    let mut anns = Device::sign_in(nodes.edges[0].edge, "ann", Transport::WebTransport).await.unwrap();
    let mut bens = Device::sign_in(nodes.edges[1].edge, "ben", Transport::WebSocket).await.unwrap();

    // A core is given partitions some time after edges are attached to it.
    let commits = async || metric(nodes.cores[1].http, COMMITTED).await;
    eventually("each core has some of the groups", async || {
        let before = commits().await;
        send_all(&anns, &groups, "before").await;
        commits().await > before
    })
    .await;

    link.cut_part(&first);
    let cut = Instant::now();
    // What is committed by the core that is out of reach is looked for by the other.
    let committed = commits().await;
    send_all(&bens, &groups, "from ben").await;
    assert!(commits().await > committed, "each core has some of the groups");
    receive_all(&mut anns, "from ben").await;
    assert!(cut.elapsed() < Duration::from_secs(30), "before anybody is sent away");

    // New clients begin elsewhere.
    let state = until(nodes.edges[0].http, 503).await;
    let edge = state["parts"].as_array().unwrap().iter().find(|part| part["name"] == "edge").unwrap();
    assert_eq!(edge["reason"], "core-2 cannot be reached");
    until(nodes.edges[1].http, 200).await;

    // And those who are here go there, where every send is answered.
    send_all(&anns, &groups, "from ann").await;
    receive_all(&mut bens, "from ann").await;
    let stood = anns.sessions().await.unwrap();
    assert_eq!((stood.begun, stood.lost), (2, 0), "a second one, and no moment without");

    link.mend();
    until(nodes.edges[0].http, 200).await;
}

/// Starts an edge, and waits until it is attached to both cores.
async fn attach(edge: &mut Node) {
    edge.start().unwrap();
    edge.ready().await.unwrap();
    eventually("attached to both", async || metric(edge.http, "gogochat_edge_attached").await == 2.0).await;
}

/// Sends to every group at once, and waits until all is acknowledged.
async fn send_all(device: &Device, groups: &[LogId], what: &str) {
    let mut sends = JoinSet::new();
    for (n, group) in groups.iter().copied().enumerate() {
        let (client, text) = (device.client.clone(), format!("{what} {n}"));
        sends.spawn(async move { client.send(group, text).await });
    }
    for sent in sends.join_all().await {
        sent.unwrap();
    }
}

/// Waits for what was sent to every group: each once.
async fn receive_all(device: &mut Device, what: &str) {
    let mut missing: BTreeSet<_> = (0..GROUPS).map(|n| format!("{what} {n}")).collect();
    while !missing.is_empty() {
        let text = device.next_text().await.unwrap();
        assert!(!text.starts_with(what) || missing.remove(&text), "{text} came twice");
    }
}

/// Waits until `/readyz` answers with this status.
async fn until(address: SocketAddr, status: u16) -> Value {
    let mut said = Value::Null;
    eventually("that status", async || {
        let answer = http::get(address, "/readyz").await.unwrap();
        said = answer.json().unwrap();
        answer.status == status
    })
    .await;
    said
}

/// The sum of a metric's series.
async fn metric(address: SocketAddr, name: &str) -> f64 {
    let answer = http::get(address, "/metrics").await.unwrap();
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let series = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !condition().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
