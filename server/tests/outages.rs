//! What a core needs goes away while nobody says anything, and comes back: metrics, `/readyz` and the log tell.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    net::ToSocketAddrs as _,
    time::{Duration, Instant},
};

use gogochat_testkit::{
    http,
    lone_core::LoneCore,
    process::{self, Process},
    proxy::Proxy,
    services::{self, Database, Private},
};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_away_is_counted_and_said_and_what_is_back_too() {
    let database = Database::create(&format!("test_outages_{}", std::process::id())).unwrap();
    let (name, kafka) = (database.url().rsplit('/').next().unwrap().to_owned(), Private::start("kafka", &[]).unwrap());
    let (mysql, redis) = (before("mysql").await, before("redis").await);
    let core = Core::start(&[
        ("core.store", format!("\"mysql://root@{}/{name}\"", mysql.address)),
        ("core.bus", "\"kafka\"".to_owned()),
        ("core.kafka", format!("[\"{}\"]", kafka.address())),
        ("core.presence", "\"redis\"".to_owned()),
        ("core.redis", format!("\"redis://{}\"", redis.address)),
    ])
    .await;
    for part in ["store", "bus", "presence", "blobs"] {
        core.shows(part, 1).await;
    }

    mysql.cut();
    core.shows("store", 0).await;
    core.is_unready("core.store").await;
    core.says("WARN", "core.store", 1);
    mysql.mend();
    core.shows("store", 1).await;
    core.says("INFO", "core.store", 1);

    kafka.stop().unwrap();
    core.shows("bus", 0).await;
    core.is_unready("core.bus").await;
    core.says("WARN", "core.bus", 1);
    kafka.start_again().unwrap();
    core.shows("bus", 1).await;
    core.says("INFO", "core.bus", 1);
    process::ready(core.core.http, &core.core.log()).await.unwrap();

    redis.cut();
    core.shows("presence", 0).await;
    assert_eq!(http::get(core.core.http, "/readyz").await.unwrap().status, 200, "messages go on without presence");
    core.says("WARN", "core.presence", 1);
    redis.mend();
    core.shows("presence", 1).await;
    core.says("INFO", "core.presence", 1);
}

async fn before(service: &str) -> Proxy {
    let address = services::address(service).unwrap().to_socket_addrs().unwrap().next().unwrap();
    Proxy::start(address).await.unwrap()
}

/// A core that runs with these settings.
struct Core {
    core: LoneCore,
    _process: Process,
}

impl Core {
    async fn start(settings: &[(&'static str, String)]) -> Self {
        let own =
            [("cluster.name", format!("\"outages-{}\"", std::process::id())), ("log.format", "\"json\"".to_owned())];
        let core = LoneCore::new(GOGOCHAT, &[&own, settings].concat()).unwrap();
        let process = core.start().unwrap();
        process::ready(core.http, &core.log()).await.unwrap();
        Self { core, _process: process }
    }

    /// Waits until the gauge of this part has the value.
    async fn shows(&self, part: &str, value: u8) {
        let wanted = format!("gogochat_core_{part}_up {value}");
        let begin = Instant::now();
        loop {
            let answer = http::get(self.core.http, "/metrics").await.unwrap();
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            if text.lines().any(|line| line == wanted) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(90), "no {wanted} after 90 s in {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn is_unready(&self, key: &str) {
        let answer = http::get(self.core.http, "/readyz").await.unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status == 503 && text.contains(key), "{key} is not in {text}");
    }

    /// The log has so many lines of this level that begin with the key.
    fn says(&self, level: &str, key: &str, times: usize) {
        let log = std::fs::read_to_string(self.core.log()).unwrap();
        let (level, message) = (format!("\"level\":\"{level}\""), format!("\"message\":\"{key}: "));
        let found = log.lines().filter(|line| line.contains(&level) && line.contains(&message)).count();
        assert_eq!(found, times, "{level} of {key} in {log}");
    }
}
