//! Edge and core as two processes over mutual TLS: a cut between them, under load, loses nothing, and nobody without a node certificate attaches.

use std::{sync::Arc, time::Duration};

use gogochat_client::{
    Account, Client, Dialer, Options, Rest, Transport, Trust, Update,
    proto::{ids::LogId, node, v1},
};
use gogochat_testkit::{
    cluster::Cluster,
    people::{PASSWORD, Person},
};
use tokio::{sync::mpsc, time::timeout};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");
const MESSAGES: usize = 1_000;
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_attachment_under_load_loses_nothing() {
    let cluster = Cluster::start(GOGOCHAT).await.unwrap();
    let (ann, ben) =
        (Person::register(cluster.http, "ann").await.unwrap(), Person::register(cluster.http, "ben").await.unwrap());
    let conversation = ann.befriend(&ben).await.unwrap();
    let log: LogId = conversation.parse().unwrap();
    let (sender, _) = client(&cluster, "ann", Transport::WebTransport).await;
    let (_receiver, mut updates) = client(&cluster, "ben", Transport::WebSocket).await;

    // Many are on their way at each cut: what is refused must not be overtaken by what follows it.
    for n in 0..MESSAGES {
        sender.post(log, n.to_string()).unwrap();
    }
    let mut heard = 0;
    let mut cuts = 0;
    while heard < MESSAGES {
        let update = timeout(LIMIT, updates.recv()).await.expect("heard in time").expect("the client runs");
        let Update::Event(event) = update else { continue };
        let Some(v1::event::Body::Message(message)) = event.body else { continue };
        assert_eq!(message.text, heard.to_string(), "in order, each once");
        heard += 1;
        if heard % 100 == 50 {
            cluster.link.cut();
            cluster.link.mend();
            cuts += 1;
        }
    }
    assert_eq!(cuts, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn either_may_be_killed_and_both_sides_go_on() {
    let mut cluster = Cluster::start(GOGOCHAT).await.unwrap();
    let (ann, ben) =
        (Person::register(cluster.http, "ann").await.unwrap(), Person::register(cluster.http, "ben").await.unwrap());
    let log: LogId = ann.befriend(&ben).await.unwrap().parse().unwrap();
    // The one that waits hears of the end by TCP; over QUIC it would notice at its next heartbeat.
    let (sender, _) = client(&cluster, "ann", Transport::WebTransport).await;
    let (_receiver, mut updates) = client(&cluster, "ben", Transport::WebSocket).await;

    for round in 0..4 {
        let (first, second) = (format!("{round} before"), format!("{round} while it is down"));
        timeout(LIMIT, sender.send(log, first.clone())).await.unwrap().unwrap();
        if round % 2 == 0 {
            cluster.kill_edge().unwrap()
        } else {
            cluster.kill_core().unwrap()
        }
        let waiting = {
            let (sender, text) = (sender.clone(), second.clone());
            tokio::spawn(async move { sender.send(log, text).await })
        };
        if round % 2 == 0 {
            cluster.restart_edge().await.unwrap()
        } else {
            cluster.restart_core().await.unwrap()
        }
        timeout(LIMIT, waiting).await.unwrap().unwrap().unwrap();
        for expected in [first, second] {
            assert_eq!(next_text(&mut updates).await, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_attaches_without_a_node_certificate() {
    let cluster = Cluster::start(GOGOCHAT).await.unwrap();
    let certs = cluster.dir().join("certs");
    let pem = |name: &str| std::fs::read(certs.join(name)).unwrap();
    let trusting = || ClientTlsConfig::new().domain_name("core-1").ca_certificate(Certificate::from_pem(pem("ca.pem")));

    // A stranger's certificate, from a CA of the stranger's own.
    let strange = tempfile::tempdir().unwrap();
    let made = std::process::Command::new(GOGOCHAT)
        .args(["certs", "--node", "edge-1", "--out"])
        .arg(strange.path())
        .status()
        .unwrap();
    assert!(made.success());
    let strange = |name: &str| std::fs::read(strange.path().join(name)).unwrap();

    assert!(attach(&cluster, trusting()).await.is_err(), "without a certificate");
    let identity = Identity::from_pem(strange("edge-1.pem"), strange("edge-1.key"));
    assert!(attach(&cluster, trusting().identity(identity)).await.is_err(), "with a stranger's certificate");
    let identity = Identity::from_pem(pem("edge-1.pem"), pem("edge-1.key"));
    attach(&cluster, trusting().identity(identity)).await.expect("with a certificate of the private CA");
}

/// Attaches to the core as an edge does, and waits for its answer.
async fn attach(cluster: &Cluster, tls: ClientTlsConfig) -> Result<(), Box<dyn std::error::Error>> {
    let channel = Endpoint::from_shared(format!("https://{}", cluster.node))?.tls_config(tls)?.connect().await?;
    let mut client = node::node_service_client::NodeServiceClient::new(channel);
    client.attach(tokio_stream::pending()).await?;
    Ok(())
}

async fn client(cluster: &Cluster, name: &str, transport: Transport) -> (Client, mpsc::Receiver<Update>) {
    let dialer = Dialer::new(Trust::AnyOnLoopback).unwrap();
    let target: gogochat_client::Target = format!("https://{}", cluster.edge).parse().unwrap();
    let rest = Arc::new(Rest::new(dialer.clone(), target.clone()));
    let account = Account::log_in(rest, name, PASSWORD, "test").await.unwrap();
    let (client, updates) = Client::start(&dialer, Arc::new(account), Options::new(target, transport));
    timeout(LIMIT, client.online()).await.unwrap().unwrap();
    (client, updates)
}

async fn next_text(updates: &mut mpsc::Receiver<Update>) -> String {
    loop {
        let update = timeout(LIMIT, updates.recv()).await.expect("heard in time").expect("the client runs");
        let Update::Event(event) = update else { continue };
        if let Some(v1::event::Body::Message(message)) = event.body {
            return message.text;
        }
    }
}
