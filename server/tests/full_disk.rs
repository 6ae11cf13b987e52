//! A disk that is really full: sends are refused by a typed error, what was acknowledged is there, reads work, and space mends it.

use std::path::Path;

use gogochat_testkit::{
    people::{Person, text},
    ports,
    process::{self, Process},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// A file system of a few MiB in memory, in a mount namespace of the server's own.
const SCRIPT: &str = "mount -t tmpfs -o size=12m tmpfs \"$1\" && shift && exec \"$@\"";

#[tokio::test]
async fn sends_are_refused_and_reads_work() {
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("log.txt"));
    std::fs::create_dir(&data).unwrap();
    let data = data.to_str().unwrap();
    let [http, edge, grpc] = ports::free().unwrap();
    let (http_flag, edge_flag, grpc_flag) =
        (format!("--http={http}"), format!("--edge={edge}"), format!("--grpc={grpc}"));
    let gogochat = env!("CARGO_BIN_EXE_gogochat");
    let arguments = [
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        SCRIPT,
        "sh",
        data,
        gogochat,
        "dev",
        "--data",
        data,
        &http_flag,
        &edge_flag,
        &grpc_flag,
    ];
    let server = Process::start(Path::new("unshare"), arguments, &log).unwrap();
    process::ready(http, &log).await.unwrap();
    let (ann, ben) = (Person::register(http, "ann").await.unwrap(), Person::register(http, "ben").await.unwrap());
    let conversation = ann.befriend(&ben).await.unwrap();
    let filler = Path::new("/proc").join(server.pid().to_string()).join("root").join(&data[1..]).join("filler");
    std::fs::write(&filler, vec![0; 4 * 1024 * 1024]).unwrap();

    let path = format!("/v1/conversations/{conversation}/messages");
    let message = || json!({ "clientMsgId": Uuid::new_v4().to_string(), "text": "x".repeat(16 * 1024) });
    let mut acknowledged = 0;
    let refused = loop {
        let answer = ann.try_call("POST", &path, &message()).await.unwrap();
        if answer.status != 200 {
            break answer;
        }
        acknowledged += 1;
        assert!(acknowledged < 2_000, "12 MiB hold no 2,000 messages of 16 KiB");
    };
    assert!(acknowledged > 10);
    assert_eq!((refused.status, refused.json().unwrap()["code"].as_str()), (507, Some("storage_full")));

    // 1 is the event of its creation.
    let page = ben
        .call("GET", &format!("/v1/conversations/{conversation}/events?beforeSeq=0&limit=2"), &Value::Null)
        .await
        .unwrap();
    assert_eq!(text(&page, "/lastSeq").unwrap(), (acknowledged + 1).to_string());
    assert_eq!(page["events"].as_array().unwrap().len(), 2);

    std::fs::remove_file(&filler).unwrap();
    assert_eq!(
        ann.send(&conversation, &Uuid::new_v4().to_string(), "there is space again").await.unwrap(),
        acknowledged + 2
    );
}
