//! Edge and core as two processes over mutual TLS: a cut between them, under load, loses nothing, either may be killed, and nobody without
//! a node certificate attaches.

use std::{path::Path, time::Duration};

use gogochat_client::{
    Transport,
    proto::{ids::LogId, node::node_service_client::NodeServiceClient},
};
use gogochat_testkit::{cluster::Cluster, device::Device, people::Person, proxy::Proxy};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");
const MESSAGES: usize = 1_000;
const LONG_PATH_MESSAGES: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_attachment_under_load_loses_nothing() {
    let cluster = Cluster::start(GOGOCHAT).await.unwrap();
    let log = two_contacts(&cluster).await.unwrap();
    let sender = Device::sign_in(cluster.edge, "ann", Transport::WebTransport).await.unwrap().client;
    let mut receiver = Device::sign_in(cluster.edge, "ben", Transport::WebSocket).await.unwrap();

    // Many are on their way at each cut: what is refused must not be overtaken by what follows it.
    for n in 0..MESSAGES {
        sender.post(log, n.to_string()).unwrap();
    }
    for n in 0..MESSAGES {
        assert_eq!(receiver.next_text().await.unwrap(), n.to_string(), "in order, each once");
        if n % 100 == 50 {
            cluster.link.cut();
            cluster.link.mend();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_overtakes_on_a_long_path_while_the_attachment_is_cut_again_and_again() {
    let cluster = Cluster::start(GOGOCHAT).await.unwrap();
    let log = two_contacts(&cluster).await.unwrap();
    // A refusal takes longer to the client than the edge takes to attach again: what was sent behind the refused one comes to a core that is there.
    let path = Proxy::with_delay(cluster.edge, Duration::from_millis(100)).await.unwrap();
    let sender = Device::sign_in(path.address, "ann", Transport::WebSocket).await.unwrap().client;
    let mut receiver = Device::sign_in(cluster.edge, "ben", Transport::WebSocket).await.unwrap();

    let posts = async {
        for n in 0..LONG_PATH_MESSAGES {
            sender.post(log, n.to_string()).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let cuts = async {
        let mut pauses = tokio::time::interval(Duration::from_millis(350));
        loop {
            pauses.tick().await;
            cluster.link.cut();
            cluster.link.mend();
        }
    };
    let received = async {
        for n in 0..LONG_PATH_MESSAGES {
            assert_eq!(receiver.next_text().await.unwrap(), n.to_string(), "in order, each once");
        }
    };
    // The cuts go on while messages are sent; then the rest comes.
    let sent = async {
        tokio::select! { () = posts => {} () = cuts => {} }
    };
    tokio::join!(sent, received);
}

#[tokio::test(flavor = "multi_thread")]
async fn either_may_be_killed_and_both_sides_go_on() {
    let mut cluster = Cluster::start(GOGOCHAT).await.unwrap();
    let log = two_contacts(&cluster).await.unwrap();
    let sender = Device::sign_in(cluster.edge, "ann", Transport::WebTransport).await.unwrap().client;
    // It hears of an edge's end by TCP; over QUIC one that only waits would notice at its next heartbeat.
    let mut receiver = Device::sign_in(cluster.edge, "ben", Transport::WebSocket).await.unwrap();

    for round in 0..4 {
        let (first, second) = (format!("{round} before"), format!("{round} while it is down"));
        sender.send(log, first.clone()).await.unwrap();
        let edge = round % 2 == 0;
        if edge {
            cluster.kill_edge().unwrap()
        } else {
            cluster.kill_core().unwrap()
        }
        sender.post(log, second.clone()).unwrap();
        if edge {
            cluster.restart_edge().await.unwrap()
        } else {
            cluster.restart_core().await.unwrap()
        }
        assert_eq!(receiver.next_text().await.unwrap(), first);
        assert_eq!(receiver.next_text().await.unwrap(), second);
    }
    let said = std::fs::read_to_string(cluster.dir().join("core.log")).unwrap();
    assert!(said.contains("an edge detached edge=\"edge-1\""), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_attaches_without_a_node_certificate() {
    let cluster = Cluster::start(GOGOCHAT).await.unwrap();
    let certs = cluster.dir().join("certs");
    let trusting = ClientTlsConfig::new()
        .domain_name("core-1")
        .ca_certificate(Certificate::from_pem(std::fs::read(certs.join("ca.pem")).unwrap()));

    // Of the same name, from a CA of the stranger's own.
    let strange = tempfile::tempdir().unwrap();
    let made = std::process::Command::new(GOGOCHAT)
        .args(["certs", "--node", "edge-1", "--out"])
        .arg(strange.path())
        .output()
        .unwrap();
    assert!(made.status.success());

    assert!(attach(&cluster, trusting.clone()).await.is_err(), "without a certificate");
    let stranger = trusting.clone().identity(identity(strange.path()).unwrap());
    assert!(attach(&cluster, stranger).await.is_err(), "with a stranger's certificate");
    attach(&cluster, trusting.identity(identity(&certs).unwrap())).await.expect("with a certificate of the private CA");
}

async fn two_contacts(cluster: &Cluster) -> anyhow::Result<LogId> {
    let ann = Person::register(cluster.http, "ann").await?;
    let ben = Person::register(cluster.http, "ben").await?;
    Ok(ann.befriend(&ben).await?.parse()?)
}

fn identity(dir: &Path) -> std::io::Result<Identity> {
    Ok(Identity::from_pem(std::fs::read(dir.join("edge-1.pem"))?, std::fs::read(dir.join("edge-1.key"))?))
}

/// Attaches to the core as an edge does, and waits for its answer.
async fn attach(cluster: &Cluster, tls: ClientTlsConfig) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(format!("https://{}", cluster.node))?.tls_config(tls)?.connect().await?;
    NodeServiceClient::new(channel).attach(tokio_stream::pending()).await?;
    Ok(())
}
