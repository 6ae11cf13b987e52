//! The command line as an operator meets it: what is wrong is said by file and key, with exit code 1.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs::{Permissions, set_permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");

/// Exit code, standard output, standard error.
fn gogochat(args: &[&str]) -> (Option<i32>, String, String) {
    gogochat_with(args, &[])
}

/// The same with these variables.
fn gogochat_with(args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = Command::new(GOGOCHAT).args(args).envs(variables.iter().copied()).output().unwrap();
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

#[test]
fn all_mistakes_are_said_at_once_with_their_lines_by_check_config_and_by_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = config(
        dir.path(),
        "dat = \"/srv\"\ndrain_ms = \"soon\"\n[egde]\nlisten = []\n[edge]\nlistne = []\norigins = [\"a\"]\n",
    );
    let variables = [("GOGOCHAT_EDGE__LISTEN", "[]"), ("GOGOCHAT__WAIT_MS", "long"), ("GOGOCHAT__NODE", "a b")];
    for command in ["check-config", "serve"] {
        let (code, _, error) = gogochat_with(&[command, "--config", &file], &variables);
        assert_eq!(code, Some(1));
        for said in [
            format!("{file}:1: dat: there is no such key: did you mean data?"),
            format!("{file}:2: drain_ms: it wants a whole number, as 10000, and this is text"),
            format!("{file}:4: egde.listen: there is no such key: did you mean edge.listen?"),
            format!("{file}:6: edge.listne: there is no such key: did you mean edge.listen?"),
            format!("{file}:7: edge.origins: \"a\" is no origin"),
            "\n  GOGOCHAT_EDGE__LISTEN: there is no such key: did you mean GOGOCHAT__EDGE__LISTEN?".to_owned(),
            "\n  GOGOCHAT__WAIT_MS: wait_ms: it wants a whole number, as 30000, and this is text".to_owned(),
            "\n  GOGOCHAT__NODE: node: a node name has letters".to_owned(),
            "\n  edge.certificate: missing".to_owned(),
        ] {
            assert!(error.contains(&said), "{said} in {error}");
        }
    }
}

/// A core's configuration with nothing to mend, for any user but for its key, which is its owner's alone.
fn core(dir: &Path) -> String {
    let out = dir.join("certs");
    let (code, _, error) = gogochat(&["certs", "--out", out.to_str().unwrap(), "--node", "core-1"]);
    assert_eq!(code, Some(0), "{error}");
    let data = dir.join("data");
    std::fs::create_dir(&data).unwrap();
    let files = [("ca", "ca.pem"), ("certificate", "core-1.pem"), ("key", "core-1.key")];
    let keys = files.map(|(key, file)| format!("{key} = {:?}\n", out.join(file))).concat();
    let text =
        format!("roles = [\"core\"]\nnode = \"core-1\"\ndata = {data:?}\n[cluster]\nlisten = \"127.0.0.1:0\"\n{keys}");
    let file = config(dir, &text);
    for (path, mode) in [
        (dir, 0o755),
        (&out, 0o755),
        (&data, 0o777),
        (file.as_ref(), 0o644),
        (&out.join("ca.pem"), 0o644),
        (&out.join("core-1.pem"), 0o644),
    ] {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    file
}

#[test]
fn check_config_asks_for_the_user_who_will_run_the_server() {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let file = core(dir.path());
    let check = || gogochat(&["check-config", "--config", &file, "--user", "nobody"]);
    let refused = |says: &[&str]| {
        let (code, _, error) = check();
        assert_eq!(code, Some(1), "{error}");
        assert_eq!(error.lines().count(), 2, "{error}");
        for part in says {
            assert!(error.contains(part), "{part} in {error}");
        }
    };
    let mode = |path: &str, mode: u32| set_permissions(dir.path().join(path), Permissions::from_mode(mode)).unwrap();

    refused(&["cluster.key: the user nobody cannot read", "core-1.key (mode 600"]);
    mode("certs/core-1.key", 0o644);
    let (code, said, error) = check();
    assert_eq!(code, Some(0), "{error}");
    assert!(said.contains("good, for the user nobody: core-1 is core"), "{said}");
    mode("data", 0o755);
    refused(&[&format!("{file}:3: data: the user nobody cannot write in")]);
    mode("data", 0o777);
    mode("gogochat.toml", 0o600);
    refused(&["--config: the user nobody cannot read"]);

    let (code, _, error) = gogochat(&["check-config", "--config", &file, "--user", "no-such-user"]);
    assert!(code == Some(1) && error.contains("--user: there is no user \"no-such-user\""), "{error}");
}

#[test]
fn check_config_reads_the_environment_file_of_a_unit() {
    let dir = tempfile::tempdir().unwrap();
    let (file, environment) = (core(dir.path()), dir.path().join("environment"));
    let environment = environment.to_str().unwrap();
    let check = |text: &str| {
        std::fs::write(environment, text).unwrap();
        gogochat(&["check-config", "--config", &file, "--env-file", environment, "--user", "root"])
    };
    let (code, _, error) = check(
        "# Secrets\nGOGOCHAT__CORE__STROE='mysql://u:s3cr3t@h/d'\n\nGOGOCHAT__DRAIN_MS=soon\nGOGOCHAT__NODE=\"a b\"\n",
    );
    assert_eq!(code, Some(1));
    for said in [
        format!("{environment}:2: GOGOCHAT__CORE__STROE: there is no such key: did you mean GOGOCHAT__CORE__STORE?"),
        format!("{environment}:4: GOGOCHAT__DRAIN_MS: drain_ms: it wants a whole number"),
        format!("{environment}:5: GOGOCHAT__NODE: node: a node name has letters"),
    ] {
        assert!(error.contains(&said) && !error.contains("s3cr3t"), "{said} in {error}");
    }
    let (code, _, error) = check("GOGOCHAT__LOG__LEVEL=debug\n");
    assert_eq!(code, Some(0), "{error}");
    let (code, _, error) = gogochat(&["check-config", "--env-file", "/nowhere"]);
    assert!(code == Some(1) && error.contains("--env-file /nowhere: there is no such file"), "{error}");
}

#[cfg(feature = "cluster")]
#[test]
fn no_part_of_a_password_that_is_not_percent_encoded_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let url = "mysql://u:s3@cr3t/w#1@h:3306/db";
    let file = config(dir.path(), &format!("[core]\nstore = {url:?}\n"));
    for command in [
        vec!["check-config", "--config", &file],
        vec!["serve", "--config", &file],
        vec!["move", "--from", "sqlite:/nowhere.db", "--to", url],
    ] {
        let (code, said, error) = gogochat(&command);
        assert_eq!(code, Some(1), "{command:?}");
        assert!(error.contains("write @ as %40, / as %2F, # as %23"), "{command:?}: {error}");
        assert!(!error.contains("cr3t") && !error.contains("s3@") && said.is_empty(), "{error} {said}");
    }
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
    let (code, said, error) = gogochat(&["check-config", "--config", &file, "--user", "root"]);
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
