//! A core that is killed when it has signed a device out and told nobody: the device's session ends all the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use gogochat_client::Transport;
use gogochat_testkit::{
    device::Device,
    lost_answer::LostAnswer,
    nodes::{Nodes, Plan},
    people::Person,
    services,
};
use serde_json::Value;

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_that_a_killed_core_told_nobody_ends_the_session() {
    let plan = Plan {
        edges: 1,
        cores: vec![vec!["account"], vec!["chat", "social", "sync", "presence"]],
        kafka: false,
        tls: false,
    };
    let mut nodes = Nodes::prepare(GOGOCHAT, &plan).unwrap();
    let mysql = services::address("mysql").unwrap();
    let mut proxy = LostAnswer::to_commit_after("INTO `signed_out`", mysql.parse().unwrap()).await.unwrap();
    nodes.cores[0].redirect(&mysql, proxy.address).unwrap();
    nodes.start_all().await.unwrap();

    let ann = Person::register(nodes.edges[0].http, "ann").await.unwrap();
    let mut device = Device::sign_in(nodes.edges[0].edge, "ann", Transport::WebSocket).await.unwrap();
    let devices = ann.call("GET", "/v1/devices", &Value::Null).await.unwrap();
    let other = devices["devices"].as_array().unwrap().iter().find(|device| device["current"] != true).unwrap();
    let path = format!("/v1/devices/{}", other["id"].as_str().unwrap());

    let call = ann.call("DELETE", &path, &Value::Null);
    let killed = async {
        proxy.lost().await.unwrap();
        nodes.cores[0].kill().unwrap();
    };
    let (answer, ()) = tokio::join!(call, killed);
    assert!(answer.is_err(), "{answer:?}");
    device.signed_out().await.unwrap();
}
