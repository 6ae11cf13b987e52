//! The client in Python that docs/protocol.md points to works as it stands: two of them become contacts and talk, through a kill.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use gogochat_testkit::{people::PASSWORD, process::Dev};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/chat.py");

#[tokio::test(flavor = "multi_thread")]
async fn two_python_clients_talk_through_a_kill() {
    assert!(std::fs::read_to_string(SCRIPT).unwrap().lines().count() <= 60);
    let mut dev = Dev::start(env!("CARGO_BIN_EXE_gogochat")).await.unwrap();
    for name in ["ann", "ben"] {
        assert_eq!(said(chat(&dev, name, &["--register"])), "");
    }

    // Each asks the other; the second request accepts the first.
    let mut ben = chat(&dev, "ben", &["--to", "ann", "--expect", "200"]);
    let texts: Vec<String> = (0..200).map(|n| format!("message {n}")).collect();
    let ann = chat(
        &dev,
        "ann",
        &["--to", "ben", "--send"].into_iter().chain(texts.iter().map(String::as_str)).collect::<Vec<_>>(),
    );

    let mut heard = BufReader::new(ben.stdout.take().unwrap());
    let mut first = String::new();
    heard.read_line(&mut first).unwrap();
    assert_eq!(first, "message 0\n");
    dev.kill().unwrap();
    dev.restart().await.unwrap();

    assert_eq!(said(ann), "");
    let mut rest = String::new();
    heard.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().collect::<Vec<_>>(), &texts[1..]);
    assert_eq!(said(ben), "");
}

fn chat(dev: &Dev, name: &str, arguments: &[&str]) -> Child {
    // `make test` puts the packages of docs/examples/requirements.txt there.
    let venv = PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/gogochat/python/bin/python");
    Command::new(venv)
        .args([SCRIPT, "--base", &dev.edge_url(), "--name", name, "--password", PASSWORD, "--ca"])
        .arg(dev.certificate())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python of `scripts/setup python`")
}

/// What it said, once it has ended well.
fn said(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
