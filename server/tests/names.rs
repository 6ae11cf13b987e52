//! The names that scripts rely on: addresses, paths, files.

use std::{path::Path, time::Duration};

use gogochat_testkit::{
    http,
    people::Person,
    process::{Dev, Process},
};
use serde_json::Value;

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");

#[tokio::test]
async fn http_paths_and_files() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    assert_eq!(http::get(dev.http, "/livez").await.unwrap().status, 200);
    assert_eq!(http::get(dev.http, "/readyz").await.unwrap().json().unwrap()["ready"], true);

    let metrics = http::get(dev.http, "/metrics").await.unwrap();
    assert!(String::from_utf8_lossy(&metrics.body).contains("# TYPE gogochat_"));

    let openapi = http::get(dev.http, "/openapi.json").await.unwrap().json().unwrap();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(
        openapi["paths"]["/v1/conversations/{conversationId}/messages"]["post"].is_object()
            || openapi["paths"]["/v1/conversations/{conversation_id}/messages"]["post"].is_object()
    );
    for docs in ["/docs", "/docs/"] {
        let page = http::get(dev.http, docs).await.unwrap();
        assert!(String::from_utf8_lossy(&page.body).contains("/docs/docs.js"), "{docs}");
    }

    let config = http::get(dev.http, "/client-config.json").await.unwrap().json().unwrap();
    assert_eq!(config["webtransportUrl"], format!("https://{}/wt", dev.edge));
    assert_eq!(config["certificateHash"].as_str().unwrap().len(), 64);

    let certificate = std::fs::read_to_string(dev.certificate()).unwrap();
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(http::get(dev.http, "/").await.unwrap().status, 200);
    for nothing in ["/some/page", "/nothing.js", "/v2/accounts"] {
        assert_eq!(http::get(dev.http, nothing).await.unwrap().status, 404, "{nothing}");
    }
}

#[tokio::test]
async fn rest_is_under_v1() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    let ann = Person::register(dev.http, "ann").await.unwrap();
    let account = ann.call("GET", "/v1/account", &Value::Null).await.unwrap();
    assert_eq!(account["user"]["name"], "ann");
    let unknown = ann.try_call("GET", "/v1/nothing", &Value::Null).await.unwrap();
    assert_eq!((unknown.status, unknown.json().unwrap()["code"].clone()), (404, "unknown_method".into()));
    let wrong_verb = ann.try_call("DELETE", "/v1/account", &Value::Null).await.unwrap();
    assert_eq!(wrong_verb.status, 405);
    assert!(wrong_verb.headers.contains_key("allow"));
}

/// Without flags both loopback addresses are bound. In a network namespace of its own, so that nothing else has the ports.
#[tokio::test]
async fn default_addresses() {
    let data = tempfile::tempdir().unwrap();
    let script = format!("ip link set lo up && exec {GOGOCHAT} dev --data {}", data.path().display());
    let args = ["--map-root-user", "--net", "sh", "-c", &script];
    let server = Process::start(Path::new("unshare"), args, &data.path().join("log.txt")).unwrap();
    let wanted = [
        ("tcp", "0100007F:1F90"), // 127.0.0.1:8080
        ("tcp", "0100007F:20FB"), // 127.0.0.1:8443
        ("tcp", "0100007F:C383"), // 127.0.0.1:50051
        ("udp", "0100007F:20FB"),
        ("tcp6", "00000000000000000000000001000000:1F90"),
        ("tcp6", "00000000000000000000000001000000:20FB"),
        ("tcp6", "00000000000000000000000001000000:C383"),
        ("udp6", "00000000000000000000000001000000:20FB"),
    ];
    let missing = || {
        let listens = |(table, address): &(&str, &str)| {
            std::fs::read_to_string(format!("/proc/{}/net/{table}", server.pid()))
                .is_ok_and(|text| text.contains(address))
        };
        wanted.iter().filter(|w| !listens(w)).collect::<Vec<_>>()
    };
    let begin = std::time::Instant::now();
    while !missing().is_empty() {
        assert!(
            begin.elapsed() < Duration::from_secs(90),
            "{:?}\n{}",
            missing(),
            std::fs::read_to_string(data.path().join("log.txt")).unwrap()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
