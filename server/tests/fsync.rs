//! The acknowledgement waits for the disk: shown by the system calls, since no `kill -9` can show it (the page cache outlives the process).

use std::{path::Path, time::Duration};

use gogochat_testkit::{http, people::Person, ports, process};
use uuid::Uuid;

const MESSAGES: usize = 20;

#[tokio::test]
async fn every_acknowledgement_follows_the_sync_of_the_log() {
    let data = tempfile::tempdir().unwrap();
    let (trace, log) = (data.path().join("trace.txt"), data.path().join("log.txt"));
    let [http, edge, grpc] = ports::free().unwrap();
    let args = [
        "-f",
        "-y",
        "-s",
        "512",
        "-e",
        "trace=fsync,fdatasync,read,recvfrom,recvmsg,write,writev,sendto,sendmsg",
        "-o",
        trace.to_str().unwrap(),
        env!("CARGO_BIN_EXE_gogochat"),
        "dev",
        "--data",
        data.path().to_str().unwrap(),
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([format!("--http={http}"), format!("--edge={edge}"), format!("--grpc={grpc}")]);
    let mut server = process::Process::start(Path::new("strace"), args, &log).unwrap();
    process::ready(http, &log).await.unwrap();

    let (ann, ben) = (Person::register(http, "ann").await.unwrap(), Person::register(http, "ben").await.unwrap());
    let conversation = ann.befriend(&ben).await.unwrap();
    for n in 0..MESSAGES {
        ann.send(&conversation, &Uuid::new_v4().to_string(), &format!("marked message {n:03}")).await.unwrap();
    }
    // strace ends with its child and has written everything by then.
    let child = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid())).unwrap();
    std::process::Command::new("kill").args(["-TERM", child.trim()]).status().unwrap();
    server.ended(Duration::from_secs(30)).await.unwrap();
    assert!(http::get(http, "/livez").await.is_err());

    let trace = std::fs::read_to_string(&trace).unwrap();
    for n in 0..MESSAGES {
        let text = format!("marked message {n:03}");
        let sent = trace.find(&text).unwrap_or_else(|| panic!("{text} was read"));
        let after = &trace[sent..];
        let answered = after.find("HTTP/1.1 200").unwrap_or_else(|| panic!("{text} was answered"));
        let synced = completed_sync(&after[..answered]);
        assert!(synced, "{text} was acknowledged before the sync of the write-ahead log:\n{}", &after[..answered]);
    }
}

/// Whether a sync of the store's write-ahead log both began and ended within this part of the trace.
fn completed_sync(part: &str) -> bool {
    let mut lines = part.lines();
    let begun =
        lines.find(|line| (line.contains("fdatasync(") || line.contains("fsync(")) && line.contains("gogochat.db-wal"));
    begun.is_some_and(|line| {
        let pid = line.split_whitespace().next();
        line.ends_with("= 0")
            || lines.any(|line| {
                line.split_whitespace().next() == pid && line.contains("sync resumed") && line.ends_with("= 0")
            })
    })
}
