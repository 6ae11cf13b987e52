//! SIGTERM under load: clients are told, what was taken is acknowledged, the process ends well, and nothing is lost or doubled.

use std::{sync::Arc, time::Duration};

use gogochat_client::{
    Account, Client, Dialer, Options, Rest, Target, Transport, Trust, Update, proto::ids::LogId, proto::v1,
};
use gogochat_testkit::{
    people::{PASSWORD, Person},
    process::Dev,
};
use tokio::time::timeout;

const MESSAGES: usize = 1_000;
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_under_load_loses_nothing() {
    let mut dev = Dev::start(env!("CARGO_BIN_EXE_gogochat")).await.unwrap();
    let (ann, ben) =
        (Person::register(dev.http, "ann").await.unwrap(), Person::register(dev.http, "ben").await.unwrap());
    let log: LogId = ann.befriend(&ben).await.unwrap().parse().unwrap();
    let (sender, _) = client(&dev, "ann", Transport::WebTransport).await;
    let (_receiver, mut updates) = client(&dev, "ben", Transport::WebSocket).await;

    for n in 0..MESSAGES {
        sender.post(log, n.to_string()).unwrap();
    }
    let mut heard = 0;
    while heard < MESSAGES {
        let update = timeout(LIMIT, updates.recv()).await.expect("heard in time").expect("the client runs");
        let Update::Event(event) = update else { continue };
        let Some(v1::event::Body::Message(message)) = event.body else { continue };
        assert_eq!(message.text, heard.to_string(), "in order, each once");
        heard += 1;
        if heard == MESSAGES / 10 {
            let process = dev.process().unwrap();
            process.terminate().unwrap();
            let status = process.ended(LIMIT).await.unwrap();
            assert!(status.success(), "{status}");
            dev.restart().await.unwrap();
        }
    }
}

async fn client(dev: &Dev, name: &str, transport: Transport) -> (Client, tokio::sync::mpsc::Receiver<Update>) {
    let dialer = Dialer::new(Trust::AnyOnLoopback).unwrap();
    let target: Target = dev.edge_url().parse().unwrap();
    let rest = Arc::new(Rest::new(dialer.clone(), target.clone()));
    let account = Account::log_in(rest, name, PASSWORD, "test").await.unwrap();
    let (client, updates) = Client::start(&dialer, Arc::new(account), Options::new(target, transport));
    timeout(LIMIT, client.online()).await.unwrap().unwrap();
    (client, updates)
}
