//! A disk that is really full: sends are refused by a typed error, what was acknowledged is there, reads work, and space mends it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    io::Write as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use gogochat_testkit::{
    http,
    people::{Person, text},
    ports,
    process::{self, Process},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The same, with a server that is begun again whenever the second argument is there as a file.
const AGAIN: &str = "mount -t tmpfs -o size=8m tmpfs \"$1\" && go=$2 && shift 2 && \
                     while :; do \"$@\"; while [ ! -e \"$go\" ]; do sleep 0.05; done; rm \"$go\"; done";

/// SQLite writes the index of its log anew then, for which a full disk has no room.
#[tokio::test]
async fn a_server_that_was_killed_comes_back_and_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (data, log, go) = (dir.path().join("data"), dir.path().join("log.txt"), dir.path().join("go"));
    std::fs::create_dir(&data).unwrap();
    let [http, edge, grpc] = ports::free().unwrap();
    let flags = [format!("--http={http}"), format!("--edge={edge}"), format!("--grpc={grpc}")];
    let (data, go_flag) = (data.to_str().unwrap(), go.to_str().unwrap());
    let arguments =
        ["--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", AGAIN, "sh", data, go_flag];
    let server = [env!("CARGO_BIN_EXE_gogochat"), "dev", "--data", data, &flags[0], &flags[1], &flags[2]];
    let shell = Process::start(Path::new("unshare"), arguments.iter().chain(&server), &log).unwrap();
    process::ready(http, &log).await.unwrap();
    let inside = Path::new("/proc").join(shell.pid().to_string()).join("root").join(&data[1..]);
    let ann = Person::register(http, "ann").await.unwrap();

    fill(&inside.join("filler"));
    // What its log has room for within its file is still taken.
    let mut refused = None;
    for n in 0..200 {
        let body = json!({ "name": format!("user{n}"), "password": "correct horse" });
        let answer = http::call(http, "POST", "/v1/accounts", "", &body).await.unwrap();
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!((refused.status, refused.json().unwrap()["code"].as_str()), (507, Some("storage_full")));
    let child = |of: u32| -> u32 {
        std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap().trim().parse().unwrap()
    };
    let pid = child(child(shell.pid())).to_string();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    while Path::new("/proc").join(&pid).exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What it had for the index is somebody else's by now.
    std::fs::remove_file(inside.join("gogochat.db-shm")).unwrap();
    fill(&inside.join("filler2"));

    std::fs::write(&go, "").unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while http::get(http, "/livez").await.is_err() {
        assert!(Instant::now() < deadline, "{}", std::fs::read_to_string(&log).unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ann.call("GET", "/v1/account", &Value::Null).await.unwrap()["user"]["name"], "ann");
    // With room again, all is as before.
    std::fs::remove_file(inside.join("filler")).unwrap();
    Person::register(http, "ben").await.unwrap();
}

/// Takes all the room that there is.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1024 * 1024, 4_096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

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
