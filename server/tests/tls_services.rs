//! Services that are reached over TLS, under an authority of their own: everything passes, and who cannot be believed, or does not believe, is told by
//! the key to change.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{path::Path, time::SystemTime};

use gogochat_client::Transport;
use gogochat_testkit::{
    device::Device,
    lone_core::{self, LoneCore, Settings},
    nodes::{Nodes, Plan},
    people::Person,
    process,
    services::{self, Database, KAFKA_USER, Private},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");
/// A password that is wrong, and stands in no message.
const SECRET: &str = "s3cr3t-of-1";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_passes() {
    let plan = Plan { edges: 2, cores: vec![vec![], vec![]], kafka: true, tls: true };
    let nodes = Nodes::start(GOGOCHAT, &plan).await.unwrap();
    let ann = Person::register(nodes.edges[0].http, "ann").await.unwrap();
    let ben = Person::register(nodes.edges[1].http, "ben").await.unwrap();
    let log = ann.befriend(&ben).await.unwrap().parse().unwrap();
    let anns = Device::sign_in(nodes.edges[0].edge, "ann", Transport::WebTransport).await.unwrap();
    let mut bens = Device::sign_in(nodes.edges[1].edge, "ben", Transport::WebSocket).await.unwrap();
    for n in 0..20 {
        anns.client.send(log, n.to_string()).await.unwrap();
        assert_eq!(bens.next_text().await.unwrap(), n.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql() {
    let (_dir, good, other) = authorities();
    let database = Database::create(&unique("mysql")).unwrap();
    let url = database.url_over_tls(Path::new(&good)).unwrap();
    let (whole, ca) = (url.clone(), format!("&ssl-ca={good}"));
    starts(store(&url)).await;
    starts(store(&url.replace("VERIFY_IDENTITY", "VERIFY_CA").replace("127.0.0.1", "localhost"))).await;
    refused(store(&url.replace(&good, &other)), &["core.store", "ssl-ca", "UnknownIssuer"]).await;
    refused(store(&url.replace(&ca, "")), &["core.store", "ssl-ca", "UnknownIssuer"]).await;
    refused(store(&url.replace("127.0.0.1", "localhost")), &["core.store", "ssl-ca", "not valid for name"]).await;
    refused(store(&url.replace("VERIFY_IDENTITY", "REQUIRED")), &["core.store", "ssl-ca", "VERIFY_IDENTITY"]).await;
    refused(store(&whole.replace(&good, "/no-such.pem")), &["core.store", "ssl-ca", "/no-such.pem"]).await;
    // The user may come in by TLS alone.
    let in_clear = url.split_once('?').unwrap().0.to_owned();
    refused(store(&in_clear), &["core.store", "check the user and the password"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis() {
    let (_dir, good, other) = authorities();
    let url = format!("rediss://{}", services::tls_address("redis").unwrap());
    let redis = |url: &str, ca: &str| {
        vec![("core.presence", "\"redis\"".into()), ("core.redis", text(url)), ("core.redis_ca", text(ca))]
    };
    starts(redis(&url, &good)).await;
    refused(redis(&url, &other), &["core.redis_ca", "UnknownIssuer"]).await;
    refused(redis(&url, ""), &["core.redis_ca", "UnknownIssuer"]).await;
    refused(redis(&url.replace("127.0.0.1", "localhost"), &good), &["core.redis_ca", "core.redis", "NotValidForName"])
        .await;
    refused(redis(&url.replace("rediss", "redis"), &good), &["core.redis_ca", "rediss://"]).await;
    refused(redis(&url, "/no-such.pem"), &["core.redis_ca", "/no-such.pem"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka() {
    let (_dir, good, other) = authorities();
    let there = services::tls_address("kafka").unwrap();
    let (user, password) = KAFKA_USER;
    let name = unique("kafka");
    // SQLite serves one core, and Kafka many.
    let database = Database::create(&name).unwrap();
    let kafka = |at: &str, ca: &str, mechanism: &str, password: &str| {
        let properties = format!(
            "{{ \"security.protocol\" = \"sasl_ssl\", {ca} \"sasl.mechanism\" = \"{mechanism}\", \"sasl.username\" = \"{user}\", \
             \"sasl.password\" = \"{password}\" }}"
        );
        vec![
            ("core.bus", "\"kafka\"".into()),
            ("core.kafka", format!("[{at:?}]")),
            ("cluster.name", text(&name)),
            ("core.kafka_properties", properties),
            ("core.store", text(&database.url())),
        ]
    };
    let ca = |file: &str| format!("\"ssl.ca.location\" = \"{file}\",");
    const SCRAM: &str = "SCRAM-SHA-512";
    starts(kafka(&there, &ca(&good), SCRAM, password)).await;
    starts(kafka(&there, &ca(&good), "PLAIN", password)).await;
    let untrusted = ["core.kafka_properties", "ssl.ca.location", "certificate verify failed"];
    refused(kafka(&there, &ca(&other), SCRAM, password), &untrusted).await;
    refused(kafka(&there, "", SCRAM, password), &untrusted).await;
    refused(kafka(&there.replace("127.0.0.1", "localhost"), &ca(&good), SCRAM, password), &untrusted).await;
    refused(kafka(&there, &ca(&good), SCRAM, SECRET), &["core.kafka_properties", "sasl.password"]).await;
    refused(kafka(&there, &ca(&good), "PLAIN", SECRET), &["core.kafka_properties", "sasl.password"]).await;
    refused(kafka(&there, &ca("/no-such.pem"), SCRAM, password), &["core.kafka_properties", "/no-such.pem"]).await;
    let mut in_clear = kafka(&there, &ca(&good), SCRAM, password);
    in_clear[3].1 = in_clear[3].1.replace("sasl_ssl", "plaintext");
    refused(in_clear, &["core.kafka_properties", "security.protocol", "sasl_ssl"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd() {
    let (_dir, good, other) = authorities();
    let url = format!("https://{}", services::tls_address("etcd").unwrap());
    let name = unique("etcd");
    let etcd = |url: &str, ca: &str| {
        vec![
            ("cluster.discovery", "\"etcd\"".into()),
            ("cluster.etcd", format!("[{url:?}]")),
            ("cluster.etcd_ca", text(ca)),
            ("cluster.name", text(&name)),
        ]
    };
    starts(etcd(&url, &good)).await;
    refused(etcd(&url, &other), &["cluster.etcd_ca", "UnknownIssuer"]).await;
    refused(etcd(&url, ""), &["cluster.etcd_ca", "UnknownIssuer"]).await;
    refused(etcd(&url.replace("127.0.0.1", "localhost"), &good), &["cluster.etcd_ca", "not valid for name"]).await;
    refused(etcd(&url.replace("https", "http"), &good), &["cluster.etcd_ca", "https://"]).await;
    refused(etcd(&url, "/no-such.pem"), &["cluster.etcd_ca", "/no-such.pem"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3() {
    let (_dir, good, other) = authorities();
    let certificate = services::certificate().unwrap().0.display().to_string();
    let private = Private::start("s3", &["--cert", &certificate, "--key", &certificate]).unwrap();
    let url = format!("https://{}", private.address());
    let s3 = |url: &str, ca: &str| {
        vec![
            ("core.blobs", "\"s3://gogochat\"".into()),
            ("core.s3_endpoint", text(url)),
            ("core.s3_ca", text(ca)),
            ("core.s3_access_key", "\"test\"".into()),
            ("core.s3_secret_key", "\"testsecret\"".into()),
        ]
    };
    starts(s3(&url, &good)).await;
    refused(s3(&url, &other), &["core.s3_ca", "UnknownIssuer"]).await;
    refused(s3(&url, ""), &["core.s3_ca", "UnknownIssuer"]).await;
    refused(s3(&url.replace("127.0.0.1", "localhost"), &good), &["core.s3_ca", "not valid for name"]).await;
    refused(s3(&url.replace("https", "http"), &good), &["core.s3_ca", "https://"]).await;
    refused(s3(&url, "/no-such.pem"), &["core.s3_ca", "/no-such.pem"]).await;
}

/// A core with these settings starts, however long services take on a machine that has much else to do.
async fn starts(mut settings: Settings) {
    settings.push(("wait_ms", "60000".into()));
    let core = LoneCore::new(GOGOCHAT, &settings).unwrap();
    let _running = core.start().unwrap();
    process::ready(core.http, &core.log()).await.unwrap();
}

/// A core with these settings ends at once, however long it might wait for what is away: with 1, and the key in its last words.
async fn refused(mut settings: Settings, says: &[&str]) {
    settings.push(("wait_ms", "600000".into()));
    let says: Vec<String> = says.iter().map(|part| (*part).to_owned()).collect();
    lone_core::refuses(GOGOCHAT, &settings, &says, SECRET).await.unwrap();
}

fn store(url: &str) -> Settings {
    vec![("core.store", text(url))]
}

fn text(value: &str) -> String {
    format!("{value:?}")
}

/// Files of the services' authority, and of another one; that lives as long as its folder.
fn authorities() -> (TempDir, String, String) {
    let (_, good) = services::certificate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "another authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let other = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("another.pem");
    std::fs::write(&file, other.pem()).unwrap();
    (dir, good.display().to_string(), file.display().to_string())
}

fn unique(test: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    format!("test_{test}_{}_{:x}", std::process::id(), now.as_nanos())
}
