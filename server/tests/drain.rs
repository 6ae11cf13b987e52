//! SIGTERM under load: clients are told, what was taken is acknowledged, the process ends well, and nothing is lost or doubled.

use std::time::Duration;

use gogochat_client::{Transport, proto::ids::LogId};
use gogochat_testkit::{device::Device, people::Person, process::Dev};

const MESSAGES: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_under_load_loses_nothing() {
    let mut dev = Dev::start(env!("CARGO_BIN_EXE_gogochat")).await.unwrap();
    let ann = Person::register(dev.http, "ann").await.unwrap();
    let ben = Person::register(dev.http, "ben").await.unwrap();
    let log: LogId = ann.befriend(&ben).await.unwrap().parse().unwrap();
    let sender = Device::sign_in(dev.edge, "ann", Transport::WebTransport).await.unwrap().client;
    let mut receiver = Device::sign_in(dev.edge, "ben", Transport::WebSocket).await.unwrap();

    for n in 0..MESSAGES {
        sender.post(log, n.to_string()).unwrap();
    }
    for n in 0..MESSAGES {
        assert_eq!(receiver.next_text().await.unwrap(), n.to_string(), "in order, each once");
        if n == MESSAGES / 10 {
            let process = dev.process().unwrap();
            process.terminate().unwrap();
            let status = process.ended(Duration::from_secs(30)).await.unwrap();
            assert!(status.success(), "{status}");
            dev.restart().await.unwrap();
        }
    }
}
