//! What a run that comes to nothing leaves behind, and what it says.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    path::Path,
    process::{Command, Output},
};

/// A run against a port on which nobody listens.
fn run(json: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gogochat-loadtest"))
        .args(["connect", "--sessions", "1", "--target", "http://127.0.0.1:1", "--transport", "ws", "--json"])
        .arg(json)
        .output()
        .unwrap()
}

#[test]
fn a_run_without_a_report_leaves_an_earlier_one_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("report.json");
    std::fs::write(&json, "earlier").unwrap();
    let output = run(&json);
    assert!(!output.status.success());
    assert_eq!(std::fs::read_to_string(&json).unwrap(), "earlier");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("Connection refused").count(), 1, "{said}");

    let new = dir.path().join("new.json");
    run(&new);
    assert!(!new.exists());
    // That it cannot be written is said before anything is done.
    let nowhere = run(&dir.path().join("nowhere/report.json"));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("--json"));
}
