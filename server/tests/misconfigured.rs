//! What an operator may get wrong, by the binary itself: it ends with exit code 1 and says which key to change, and nothing is half started.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use gogochat_testkit::{
    lone_core::{self, LoneCore, Settings},
    process,
    services::{self, Database, Private},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");
/// Stands in every URL below, and in no message.
const SECRET: &str = "s3cr3t-of-1";

#[tokio::test(flavor = "multi_thread")]
async fn the_store() {
    let [database, newer] = ["store", "newer"].map(|name| Database::create(&unique(name)).unwrap());
    newer.run("CREATE TABLE schema_version (version BIGINT NOT NULL, checked_ms BIGINT NOT NULL)").unwrap();
    newer.run("INSERT INTO schema_version VALUES (1000, 0)").unwrap();
    let mysql = services::address("mysql").unwrap();
    let name = database.url().rsplit('/').next().unwrap().to_owned();
    let store = |url: String| vec![("core.store", format!("{url:?}"))];
    together(vec![
        refused(
            store(format!("mysql://root:{SECRET}@no-such-host.invalid/chat")),
            &["core.store", "no-such-host.invalid", "tried again", "wait_ms"],
        ),
        refused(
            store(format!("mysql://root:{SECRET}@127.0.0.1:9/chat")),
            &["core.store", "cannot be reached", "127.0.0.1:9", "tried again", "wait_ms"],
        ),
        refused(
            store(format!("mysql://nobody:{SECRET}@{mysql}/{name}")),
            &["core.store", "check the user and the password", "\"nobody\""],
        ),
        refused(
            store(format!("mysql://root@{mysql}/no_such_database")),
            &["core.store", "no database", "CREATE DATABASE"],
        ),
        refused(store("sqlite:/nonexistent/dir/x.db".into()), &["core.store", "/nonexistent/dir", "not there"]),
        refused(store(format!("postgres://chat:{SECRET}@db/chat")), &["core.store", "mysql://"]),
        refused(store(newer.url()), &["core.store", "version 1000", "newer", "run the newer program"]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_an_older_version_is_brought_up_to_date() {
    let database = Database::create(&unique("older")).unwrap();
    database.run("CREATE TABLE schema_version (version BIGINT NOT NULL, checked_ms BIGINT NOT NULL)").unwrap();
    database.run("INSERT INTO schema_version VALUES (0, 0)").unwrap();
    let core = core(&[("core.store", format!("{:?}", database.url()))]);
    let _running = core.start().unwrap();
    process::ready(core.http, &core.log()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_and_kafka() {
    let private = Private::start("redis", &["--requirepass", SECRET]).unwrap();
    let redis = |url: String| vec![("core.presence", "\"redis\"".to_owned()), ("core.redis", format!("{url:?}"))];
    let kafka = services::address("kafka").unwrap();
    let cluster = unique("partitions");
    services::make_topic(&format!("{cluster}.commands"), 3).unwrap();
    let database = Database::create(&unique("bus")).unwrap();
    let bus = |brokers: &str| {
        vec![
            ("core.bus", "\"kafka\"".to_owned()),
            ("core.kafka", format!("[{brokers:?}]")),
            ("core.store", format!("{:?}", database.url())),
        ]
    };
    let mut partitions = bus(&kafka);
    partitions.push(("cluster.name", format!("{cluster:?}")));
    let at = private.address();
    together(vec![
        refused(redis(format!("redis://{at}")), &["core.redis", &at.to_string(), "password"]),
        refused(redis(format!("redis://:wrong{SECRET}@{at}")), &["core.redis", &at.to_string(), "password"]),
        refused(
            redis(format!("redis://:{SECRET}@127.0.0.1:9")),
            &["core.redis", "127.0.0.1:9", "tried again", "wait_ms"],
        ),
        refused(redis(String::new()), &["core.redis", "redis://HOST"]),
        refused(partitions, &["core.kafka", "3 partitions", &cluster, "cluster.name"]),
        refused(
            with(bus(&kafka), "core.kafka_properties", &format!("{{ \"no.such.property\" = {SECRET:?} }}")),
            &["core.kafka_properties", "no.such.property"],
        ),
        refused(bus("127.0.0.1:9"), &["core.kafka", "127.0.0.1:9", "wait_ms"]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files() {
    let there = format!("http://{}", services::address("s3").unwrap());
    let s3 = |bucket: &str, endpoint: &str, secret: &str| {
        vec![
            ("core.blobs", format!("\"s3://{bucket}\"")),
            ("core.s3_endpoint", format!("{endpoint:?}")),
            ("core.s3_access_key", "\"test\"".to_owned()),
            ("core.s3_secret_key", format!("{secret:?}")),
        ]
    };
    together(vec![
        refused(s3("gogochat", &there, SECRET), &["core.blobs", &there, "core.s3_secret_key"]),
        refused(s3("no-such-bucket", &there, "testsecret"), &["core.blobs", "\"no-such-bucket\"", &there]),
        refused(s3("gogochat", "http://127.0.0.1:9", SECRET), &["core.s3_endpoint", "127.0.0.1:9", "wait_ms"]),
        refused(s3("gogochat", &there, ""), &["core.s3_secret_key", "missing"]),
        refused(vec![("core.blobs", "\"folder:/dev/null/blobs\"".to_owned())], &["core.blobs", "/dev/null/blobs"]),
        refused(vec![("core.blobs", "\"ftp://host\"".to_owned())], &["core.blobs", "s3://BUCKET"]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_and_names() {
    let [database, other] = ["names", "names_other"].map(|name| Database::create(&unique(name)).unwrap());
    let etcd = |endpoint: &str, name: &str| {
        vec![
            ("cluster.discovery", "\"etcd\"".to_owned()),
            ("cluster.etcd", format!("[{endpoint:?}]")),
            ("cluster.name", format!("{name:?}")),
            ("core.store", format!("{:?}", database.url())),
            ("core.services", "[\"account\"]".to_owned()),
        ]
    };
    let (there, name) = (format!("http://{}", services::address("etcd").unwrap()), unique("names"));
    let first = core(&etcd(&there, &name));
    let _running = first.start().unwrap();
    process::ready(first.http, &first.log()).await.unwrap();
    together(vec![
        refused(etcd(&there, &name), &["core-1", "another live node", "(node)"]),
        refused(
            with(etcd(&there, &name), "core.store", &format!("{:?}", other.url())),
            &["core.store", "not the store of the cluster", &name, "cluster.name", "agreed/store"],
        ),
        refused(etcd("http://127.0.0.1:9", &name), &["cluster.etcd", "127.0.0.1:9", "wait_ms"]),
        refused(etcd("127.0.0.1:9:9", &name), &["cluster.etcd"]),
        refused(
            with(etcd("https://127.0.0.1:9", &name), "cluster.etcd_ca", "\"/no-such.pem\""),
            &["cluster.etcd_ca", "/no-such.pem"],
        ),
        refused(
            with(
                with(etcd(&there, &name), "cluster.etcd_user", "\"nobody\""),
                "cluster.etcd_password",
                &format!("{SECRET:?}"),
            ),
            &["cluster.etcd_user", "authentication"],
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, other) = (authority(dir.path(), "ca"), authority(dir.path(), "other"));
    let now = time::OffsetDateTime::now_utc();
    let (day, year) = (time::Duration::DAY, time::Duration::days(365));
    let good = signed(dir.path(), "good", "core-1", &ca, now - day, now + year);
    let expired = signed(dir.path(), "expired", "core-1", &ca, now - year, now - day);
    let early = signed(dir.path(), "early", "core-1", &ca, now + day, now + year);
    let stranger = signed(dir.path(), "stranger", "core-1", &other, now - day, now + year);
    let namesake = signed(dir.path(), "namesake", "core-2", &ca, now - day, now + year);
    let mut mixed = good.clone();
    mixed[1].1.clone_from(&stranger[1].1);
    let mut unread = good.clone();
    unread[2].1 = format!("{:?}", dir.path().join("no-such.pem"));

    let core = core(&good);
    let _running = core.start().unwrap();
    process::ready(core.http, &core.log()).await.unwrap();
    let ended = (now - day).date().to_string();
    let begins = (now + day).date().to_string();
    together(vec![
        refused(expired, &["cluster.certificate", "expired.pem", "expired at", &ended]),
        refused(early, &["cluster.certificate", "early.pem", "not valid before", &begins, "clock"]),
        refused(stranger, &["cluster.certificate", "stranger.pem", "not signed by cluster.ca", "ca.pem"]),
        refused(namesake, &["cluster.certificate", "namesake.pem", "\"core-1\"", "set node"]),
        refused(mixed, &["cluster.key", "stranger.key", "does not belong to cluster.certificate"]),
        refused(unread, &["cluster.ca", "no-such.pem"]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_soon_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, now, day) = (authority(dir.path(), "ca"), time::OffsetDateTime::now_utc(), time::Duration::DAY);
    for (name, days) in [("soon", 10), ("late", 100)] {
        let core = core(&signed(dir.path(), name, "core-1", &ca, now - day * 60, now + day * days + day / 2));
        let _running = core.start().unwrap();
        process::ready(core.http, &core.log()).await.unwrap();
        let said = std::fs::read_to_string(core.log()).unwrap();
        let file = dir.path().join(format!("{name}.pem"));
        let warning = format!("cluster.certificate: {} ends in {days} days", file.display());
        assert_eq!(said.contains(&warning), name == "soon", "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_core_with_chat_on_one_database_refuses_to_start_until_the_first_is_gone() {
    let database = Database::create(&unique("alone")).unwrap();
    let store = vec![("core.store", format!("{:?}", database.url()))];
    let (first, second) = (core(&store), core(&store));
    let mut running = first.start().unwrap();
    process::ready(first.http, &first.log()).await.unwrap();
    refused(store, &["core.bus", "core.services", "one core alone", "database"]).await;
    // As after a fault of the machine: nobody says goodbye.
    running.kill().unwrap();
    let _running = second.start().unwrap();
    process::ready(second.http, &second.log()).await.unwrap();
}

/// One that commits by Kafka beside one that does not would tell of it late.
#[tokio::test(flavor = "multi_thread")]
async fn two_cores_with_chat_have_the_same_bus() {
    let database = Database::create(&unique("buses")).unwrap();
    let kafka = services::address("kafka").unwrap();
    let (etcd, name) = (format!("http://{}", services::address("etcd").unwrap()), unique("buses"));
    let core = |node: &str, bus: &str| {
        vec![
            ("node", format!("{node:?}")),
            ("cluster.discovery", "\"etcd\"".to_owned()),
            ("cluster.etcd", format!("[{etcd:?}]")),
            ("cluster.name", format!("{name:?}")),
            ("core.store", format!("{:?}", database.url())),
            ("core.bus", format!("{bus:?}")),
            ("core.kafka", format!("[{kafka:?}]")),
        ]
    };
    let first = self::core(&core("core-1", "kafka"));
    let mut running = first.start().unwrap();
    process::ready(first.http, &first.log()).await.unwrap();
    refused(core("core-2", "channel"), &["core.bus", "core-1", "kafka"]).await;
    running.terminate().unwrap();
    running.ended(Duration::from_secs(30)).await.unwrap();
    let second = self::core(&core("core-2", "channel"));
    let _running = second.start().unwrap();
    process::ready(second.http, &second.log()).await.unwrap();
    refused(core("core-3", "kafka"), &["core.bus", "core-2", "channel"]).await;
}

fn with(mut settings: Settings, key: &'static str, value: &str) -> Settings {
    settings.push((key, value.to_owned()));
    settings
}

/// Runs cases at once: some wait a while for what does not come.
async fn together(cases: Vec<impl Future<Output = ()> + Send + 'static>) {
    let cases: Vec<_> = cases.into_iter().map(tokio::spawn).collect();
    for case in cases {
        case.await.unwrap();
    }
}

/// A core with these settings does not start: it ends with 1 and says all of this, the key in its last words, and no password.
fn refused(settings: Settings, says: &[&str]) -> impl Future<Output = ()> + Send + 'static {
    let says: Vec<String> = says.iter().map(|part| (*part).to_owned()).collect();
    async move { lone_core::refuses(GOGOCHAT, &settings, &says, SECRET).await.unwrap() }
}

fn core(settings: &[(&'static str, String)]) -> LoneCore {
    LoneCore::new(GOGOCHAT, settings).unwrap()
}

type Authority = (CertifiedIssuer<'static, KeyPair>, PathBuf);

fn authority(dir: &Path, name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let file = dir.join(format!("{name}.pem"));
    std::fs::write(&file, issuer.pem()).unwrap();
    (issuer, file)
}

/// The settings of a node with such a certificate, which trusts the CA of the first.
fn signed(
    dir: &Path,
    name: &str,
    node: &str,
    authority: &Authority,
    begin: time::OffsetDateTime,
    end: time::OffsetDateTime,
) -> Settings {
    let mut params = CertificateParams::new(vec![node.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (begin, end);
    let key = KeyPair::generate().unwrap();
    let (certificate, key_file) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    std::fs::write(&certificate, params.signed_by(&key, &authority.0).unwrap().pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    vec![
        ("cluster.certificate", format!("{certificate:?}")),
        ("cluster.key", format!("{key_file:?}")),
        ("cluster.ca", format!("{:?}", dir.join("ca.pem"))),
    ]
}

fn unique(test: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    format!("test_{test}_{}_{:x}", std::process::id(), now.as_nanos())
}
