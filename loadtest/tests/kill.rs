//! The load test's own words hold on a real server: a killed one loses nothing acknowledged, and the report has the fields that scripts read.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{path::PathBuf, process::Command};

use serde_json::Value;

/// Rounds in each mode; `GOGOCHAT_KILL_ROUNDS=100` for a long run.
fn rounds() -> String {
    std::env::var("GOGOCHAT_KILL_ROUNDS").unwrap_or_else(|_| "10".to_owned())
}

/// The server's binary, beside the load test's.
fn gogochat() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_gogochat-loadtest")).with_file_name("gogochat");
    assert!(path.exists(), "{}: build the server first (cargo test --workspace does)", path.display());
    path
}

fn kill(more: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_gogochat-loadtest"))
        .args(["kill", "--users", "50", "--rounds", &rounds(), "--server"])
        .arg(gogochat())
        .arg("--json")
        .arg(&json)
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap_or_else(|_| panic!("{said}"))).unwrap();
    assert!(output.status.success(), "{said}\n{report:#}");
    report
}

#[test]
fn one_process_killed_loses_nothing() {
    check(&kill(&[]));
}

#[test]
fn edge_and_core_killed_by_turns_lose_nothing() {
    check(&kill(&["--split"]));
}

fn check(report: &Value) {
    for none in ["lost", "duplicated", "reordered"] {
        assert_eq!(report[none], 0, "{report:#}");
    }
    assert!(report["acked"].as_u64().unwrap() > 100, "there was something to lose: {report:#}");
    assert_eq!(report["sent"], report["acked"], "everything was repeated until it was acknowledged: {report:#}");
    let fields = [
        "scenario",
        "transport",
        "sent",
        "acked",
        "delivered",
        "expected_deliveries",
        "lost",
        "duplicated",
        "reordered",
        "errors",
        "per_second",
        "ack_latency_ms",
        "delivery_latency_ms",
        "server_cpu_us_per_op",
        "rss_kib_per_session",
        "void",
    ];
    for field in fields {
        assert!(report.get(field).is_some(), "{field} in {report:#}");
    }
}
