//! Many edges before many cores, on MySQL, Redis, Kafka and etcd: what is sent anywhere reaches everybody, once and in order, and goes on
//! doing so when cores are killed, stopped and started.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{path::Path, time::Duration};

use gogochat_client::{Transport, proto::ids::LogId};
use gogochat_testkit::{
    device::Device,
    nodes::{Nodes, Plan},
    people::{Person, text},
};
use serde_json::{Value, json};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");
const MESSAGES: usize = 1_000;
const DEADLINE: Duration = Duration::from_secs(90);

fn two_and_two() -> Plan {
    Plan { edges: 2, cores: vec![vec![], vec![]], kafka: true, tls: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_members_on_every_edge() {
    let nodes = Nodes::start(GOGOCHAT, &two_and_two()).await.unwrap();
    let (ann, ben, log) = two_contacts(&nodes).await;
    let mut anns = Device::sign_in(nodes.edges[0].edge, "ann", Transport::WebTransport).await.unwrap();
    let mut bens = Device::sign_in(nodes.edges[1].edge, "ben", Transport::WebSocket).await.unwrap();
    for n in 0..20 {
        let (sender, receiver) = if n % 2 == 0 { (&anns, &mut bens) } else { (&bens, &mut anns) };
        sender.client.send(log, n.to_string()).await.unwrap();
        assert_eq!(receiver.next_text().await.unwrap(), n.to_string());
        if n % 2 == 0 {
            assert_eq!(anns.next_text().await.unwrap(), n.to_string());
        } else {
            assert_eq!(bens.next_text().await.unwrap(), n.to_string());
        }
    }
    // By REST it is committed by whichever core takes the call, and told by that one.
    for n in 0..20 {
        let (person, text) = if n % 2 == 0 { (&ann, format!("rest {n}")) } else { (&ben, format!("rest {n}")) };
        person.send(&log.to_string(), &uuid::Uuid::now_v7().to_string(), &text).await.unwrap();
        assert_eq!(anns.next_text().await.unwrap(), text);
        assert_eq!(bens.next_text().await.unwrap(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_killed_under_load_loses_doubles_and_inverts_nothing() {
    let mut nodes = Nodes::start(GOGOCHAT, &two_and_two()).await.unwrap();
    let (_, _, log) = two_contacts(&nodes).await;
    let sender = Device::sign_in(nodes.edges[0].edge, "ann", Transport::WebTransport).await.unwrap().client;
    let mut receiver = Device::sign_in(nodes.edges[1].edge, "ben", Transport::WebSocket).await.unwrap();

    for n in 0..MESSAGES {
        sender.post(log, n.to_string()).unwrap();
    }
    for n in 0..MESSAGES {
        assert_eq!(receiver.next_text().await.unwrap(), n.to_string(), "in order, each once");
        if n % 250 == 50 {
            let core = &mut nodes.cores[n / 250 % 2];
            core.kill().unwrap();
            core.start().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cores_stopped_and_started_one_after_the_other_lose_nothing() {
    let mut nodes = Nodes::start(GOGOCHAT, &two_and_two()).await.unwrap();
    let (_, _, log) = two_contacts(&nodes).await;
    let sender = Device::sign_in(nodes.edges[0].edge, "ann", Transport::WebSocket).await.unwrap().client;
    let mut receiver = Device::sign_in(nodes.edges[1].edge, "ben", Transport::WebTransport).await.unwrap();

    let posts = async {
        for n in 0..MESSAGES {
            sender.post(log, n.to_string()).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let edges: Vec<_> = nodes.edges.iter().map(|edge| edge.log.clone()).collect();
    let restarts = async {
        for (n, core) in nodes.cores.iter_mut().enumerate() {
            core.stop().await.unwrap();
            // It has told them everything: nothing is looked for.
            for log in &edges {
                says(log, "a core has ended in good order", n + 1).await;
                assert!(!std::fs::read_to_string(log).unwrap().contains("a core was lost"));
            }
            core.start().unwrap();
            core.ready().await.unwrap();
        }
    };
    let received = async {
        for n in 0..MESSAGES {
            assert_eq!(receiver.next_text().await.unwrap(), n.to_string(), "in order, each once");
        }
    };
    tokio::join!(posts, restarts, received);
}

/// Its partitions would be those whose commands nobody is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_no_edge_can_attach_to_is_given_nothing() {
    let mut nodes = Nodes::prepare(GOGOCHAT, &two_and_two()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let made = std::process::Command::new(GOGOCHAT)
        .args(["certs", "--node", "core-2", "--host", "localhost", "--out"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    // It is of another CA than the edges, in all it has.
    let other = |line: &str| match line.split_once(" = ") {
        Some((key @ ("ca" | "certificate" | "key"), file)) => {
            let name = std::path::Path::new(file.trim_matches('"')).file_name().unwrap().to_str().unwrap();
            format!("{key} = \"{}\"\n", dir.path().join(name).display())
        }
        _ => format!("{line}\n"),
    };
    nodes.cores[1].configure(|text| text.lines().map(other).collect()).unwrap();
    for node in nodes.cores.iter_mut().chain(&mut nodes.edges) {
        node.start().unwrap();
    }
    for node in nodes.cores.iter().chain(&nodes.edges) {
        node.ready().await.unwrap();
    }

    // A group for each partition, or nearly: they are spread by their ids.
    let ann = Person::register(nodes.edges[0].http, "ann").await.unwrap();
    let device = Device::sign_in(nodes.edges[0].edge, "ann", Transport::WebSocket).await.unwrap();
    for n in 0..30 {
        let group = json!({ "clientMsgId": uuid::Uuid::now_v7(), "title": format!("group {n}") });
        let group = ann.call("POST", "/v1/groups", &group).await.unwrap();
        let sent = device.client.send(text(&group, "/conversationId").unwrap().parse().unwrap(), "anybody?".to_owned());
        tokio::time::timeout(DEADLINE, sent).await.expect("no answer").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_run_on_cores_of_their_own() {
    let plan = Plan {
        edges: 2,
        cores: vec![vec!["account"], vec!["social", "sync"], vec!["chat", "presence"]],
        kafka: true,
        tls: false,
    };
    signs_out_everywhere(plan).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_may_be_split_without_kafka() {
    let plan = Plan {
        edges: 2,
        cores: vec![vec!["account"], vec!["social", "sync", "presence"], vec!["chat"]],
        kafka: false,
        tls: false,
    };
    signs_out_everywhere(plan).await;
}

/// Talks, and then signs a device out at the core that has accounts and no edges: its session on the other edge ends.
async fn signs_out_everywhere(plan: Plan) {
    let mut nodes = Nodes::start(GOGOCHAT, &plan).await.unwrap();
    let (ann, _, log) = two_contacts(&nodes).await;
    let sender = Device::sign_in(nodes.edges[0].edge, "ann", Transport::WebSocket).await.unwrap();
    let mut receiver = Device::sign_in(nodes.edges[1].edge, "ben", Transport::WebTransport).await.unwrap();
    sender.client.send(log, "hello".to_owned()).await.unwrap();
    assert_eq!(receiver.next_text().await.unwrap(), "hello");

    let signed_in = Person::log_in(nodes.edges[1].http, "ben").await.unwrap();
    let devices = signed_in.call("GET", "/v1/devices", &Value::Null).await.unwrap();
    let others = devices["devices"].as_array().unwrap().iter().filter(|device| device["current"] != true);
    for device in others {
        let path = format!("/v1/devices/{}", device["id"].as_str().unwrap());
        signed_in.call("DELETE", &path, &Value::Null).await.unwrap();
    }
    receiver.signed_out().await.unwrap();

    // Without its core a service is away, and the others go on.
    nodes.cores[0].kill().unwrap();
    let away = ann.try_call("GET", "/v1/account", &Value::Null).await.unwrap();
    assert_eq!((away.status, away.json().unwrap()["code"].clone()), (503, "unavailable".into()));
    sender.client.send(log, "still".to_owned()).await.unwrap();
    nodes.cores[0].start().unwrap();
    nodes.cores[0].ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_core_with_chat_and_without_kafka_refuses_to_start() {
    let plan = Plan { edges: 0, cores: vec![vec![], vec![]], kafka: false, tls: false };
    let mut nodes = Nodes::prepare(GOGOCHAT, &plan).unwrap();
    nodes.cores[0].start().unwrap();
    nodes.cores[0].ready().await.unwrap();
    nodes.cores[1].start().unwrap();
    let (code, said) = nodes.cores[1].ended().await.unwrap();
    assert_eq!(code, Some(1), "{said}");
    for part in ["core.bus", "core.services", "core-1"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

/// Waits until a process has said this so many times.
async fn says(log: &Path, what: &str, times: usize) {
    let said = async {
        while std::fs::read_to_string(log).unwrap().matches(what).count() < times {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let said = tokio::time::timeout(DEADLINE, said).await;
    assert!(said.is_ok(), "{what:?} is not {times} times in {}", std::fs::read_to_string(log).unwrap());
}

async fn two_contacts(nodes: &Nodes) -> (Person, Person, LogId) {
    let ann = Person::register(nodes.edges[0].http, "ann").await.unwrap();
    let ben = Person::register(nodes.edges[1].http, "ben").await.unwrap();
    let log = ann.befriend(&ben).await.unwrap().parse().unwrap();
    (ann, ben, log)
}
