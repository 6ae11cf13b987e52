//! The command line as an operator meets it: what is wrong is said by file and key, with exit code 1.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{path::Path, process::Command};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");

/// Exit code, standard output, standard error.
fn gogochat(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(GOGOCHAT).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn config(dir: &Path, text: &str) -> String {
    let file = dir.join("gogochat.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn check_config_names_file_key_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = config(
        dir.path(),
        "[edge]\ncertificate = \"/nowhere.pem\"\norigins = [\"chat.example.org\"]\nproxy_protocol_from = [\"10.1.2.3/8\", \"gateway\"]",
    );
    let (code, _, error) = gogochat(&["check-config", "--config", &file]);
    assert_eq!(code, Some(1));
    for part in [
        file.as_str(),
        "edge.certificate",
        "/nowhere.pem",
        "edge.key: missing",
        "edge.origins",
        "https://chat.example.org",
        "edge.proxy_protocol_from: \"10.1.2.3/8\" is an address within a network: write \"10.0.0.0/8\"",
        "edge.proxy_protocol_from: \"gateway\" is no address and no network",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }

    let file = config(dir.path(), "[http]\nlisten = [\"nowhere\"]");
    let (code, _, error) = gogochat(&["check-config", "--config", &file]);
    assert_eq!(code, Some(1));
    assert!(error.contains("http.listen") && error.contains(&file), "{error}");

    let (code, _, error) = gogochat(&["check-config", "--config", "/nowhere.toml"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("--config /nowhere.toml: there is no such file"), "{error}");
}

#[cfg(feature = "cluster")]
#[test]
fn a_full_build_has_a_version_and_lacks_nothing() {
    let (code, said, _) = gogochat(&["--version"]);
    assert_eq!((code, said.as_str()), (Some(0), concat!("gogochat ", env!("CARGO_PKG_VERSION"), "\n")));
}

/// What `make run` builds.
#[cfg(not(feature = "cluster"))]
#[test]
fn a_build_for_one_process_says_what_it_lacks_and_refuses_it_by_its_key() {
    let (code, said, _) = gogochat(&["--version"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("no clients of MySQL, Kafka, Redis, etcd and S3") && said.contains("`make build`"), "{said}");

    let dir = tempfile::tempdir().unwrap();
    let file = config(
        dir.path(),
        "[core]\nstore = \"mysql://u:s3cr3t@db/chat\"\nbus = \"kafka\"\nkafka = [\"k:9092\"]\npresence = \"redis\"\n\
         redis = \"redis://r:6379\"\nblobs = \"s3://files\"\n[cluster]\ndiscovery = \"etcd\"\netcd = [\"http://e:2379\"]",
    );
    for command in [vec!["check-config", "--config", &file], vec!["serve", "--config", &file]] {
        let (code, _, error) = gogochat(&command);
        assert_eq!(code, Some(1), "{command:?}");
        for (key, service) in [
            ("core.store", "MySQL"),
            ("core.bus", "Kafka"),
            ("core.presence", "Redis"),
            ("core.blobs", "S3"),
            ("cluster.discovery", "etcd"),
        ] {
            let refusal =
                format!("{key}: this build has no client of {service}: use a release, or build one with `make build`");
            assert!(error.contains(&refusal), "{refusal} in {error}");
        }
        assert!(!error.contains("s3cr3t"), "{error}");
    }

    let (code, _, error) = gogochat(&["move", "--from", "sqlite:chat.db", "--to", "mysql://u:s3cr3t@db/chat"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("--to") && error.contains("no client of MySQL") && !error.contains("s3cr3t"), "{error}");
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, error) = gogochat(&["dev", "--log", "verbose", "--data", dir.path().to_str().unwrap()]);
    assert!(code == Some(1) && error.contains("\"verbose\" is no level"), "{error}");
    let file = config(dir.path(), "log.level = \"verbose\"");
    let (code, _, error) = gogochat(&["check-config", "--config", &file]);
    assert!(code == Some(1) && error.contains("log.level: \"verbose\" is no level"), "{error}");
}

#[test]
fn certs_make_what_a_two_process_configuration_needs() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("certs");
    let (code, listed, error) =
        gogochat(&["certs", "--out", out.to_str().unwrap(), "--node", "core-1", "--node", "edge-1"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(listed.lines().count(), 6);
    let file = config(
        dir.path(),
        &format!(
            "roles = [\"core\"]\nnode = \"core-1\"\n[cluster]\nlisten = \"127.0.0.1:0\"\nca = \"{0}/ca.pem\"\ncertificate = \"{0}/core-1.pem\"\nkey = \"{0}/core-1.key\"",
            out.display()
        ),
    );
    let (code, said, error) = gogochat(&["check-config", "--config", &file]);
    assert_eq!(code, Some(0), "{error}");
    assert!(said.contains("core-1 is core"), "{said}");
}

#[test]
fn serve_refuses_to_start_half() {
    let dir = tempfile::tempdir().unwrap();
    let file = config(dir.path(), "node = \"a\"");
    let (code, _, error) = gogochat(&["serve", "--config", &file]);
    assert_eq!(code, Some(1));
    assert!(error.contains("edge.certificate"), "{error}");
    let (code, _, error) = gogochat(&["serve", "--config", &file, "--roles", "core"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("cluster.listen") && !error.contains("edge.certificate"), "{error}");
}

#[test]
fn an_address_in_use_is_named() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    for taken in ["http", "edge", "grpc"] {
        let dir = tempfile::tempdir().unwrap();
        let at = |listener: &str| if listener == taken { address.clone() } else { "127.0.0.1:0".to_owned() };
        let [http, edge, grpc] = ["http", "edge", "grpc"].map(at);
        let data = dir.path().to_str().unwrap();
        let (code, _, error) = gogochat(&["dev", "--data", data, "--http", &http, "--edge", &edge, "--grpc", &grpc]);
        assert_eq!(code, Some(1));
        let key = if taken == "grpc" { "core.grpc".to_owned() } else { format!("{taken}.listen") };
        assert!(error.contains(&format!("gogochat: {key}: ")) && error.contains(&address), "{error}");
        assert!(!error.contains("another core"), "there is none: {error}");
    }
}
