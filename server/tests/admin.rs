//! `gogochat admin`, beside a server that runs: the first administrator, and what becomes of whom
//! they disable.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{path::Path, process::Command};

use gogochat_client::Transport;
use gogochat_testkit::{device::Device, http, people::Person, process::Dev};
use serde_json::{Value, json};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");

/// Standard output and standard error of a command that succeeds, or not.
fn admin(data: &Path, args: &[&str], succeeds: bool) -> (String, String) {
    let mut command = Command::new(GOGOCHAT);
    command.arg("admin").args(&args[..1]).arg("--data").arg(data).args(&args[1..]);
    let output = command.output().unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.success(), succeeds, "{args:?}: {out} {error}");
    (out, error)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_is_made_on_the_command_line_and_administers_over_rest() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    let ann = Person::register(dev.http, "ann").await.unwrap();
    let (password, said) = admin(dev.data(), &["create", "--name", "Boss"], true);
    assert!(said.contains("boss logs in with this password once"), "{said}");
    let password = password.trim_end();
    assert!(password.len() == 23 && !password.contains(char::is_whitespace), "{password}");

    let log_in = async |body: Value| http::call(dev.http, "POST", "/v1/sessions", "", &body).await.unwrap();
    let refused = log_in(json!({ "name": "boss", "password": password })).await;
    assert_eq!((refused.status, refused.json().unwrap()["code"].clone()), (400, json!("password_change_required")));
    let session = log_in(json!({ "name": "boss", "password": password, "newPassword": "my own, and long" })).await;
    let session = session.json().unwrap();
    assert_eq!(session["administrator"], true);
    let token = session["accessToken"].as_str().unwrap();
    let call = async |verb: &str, path: &str, body: Value| {
        let answer = http::call(dev.http, verb, path, token, &body).await.unwrap();
        (answer.status, answer.json().unwrap())
    };

    let (_, users) = call("GET", "/v1/admin/users?query=a", Value::Null).await;
    assert_eq!(users["users"][0]["person"]["name"], "ann");
    let id = users["users"][0]["person"]["id"].as_str().unwrap().to_owned();
    let (status, refused) = {
        let answer = ann.try_call("GET", "/v1/admin/users", &Value::Null).await.unwrap();
        (answer.status, answer.json().unwrap())
    };
    assert_eq!((status, refused["code"].clone()), (403, json!("permission_denied")));
    // The paths that scripts may rely on.
    for (verb, path, body) in [
        ("POST", format!("/v1/admin/users/{id}/disable"), json!({ "reason": "spam" })),
        ("POST", format!("/v1/admin/users/{id}/enable"), json!({})),
        ("GET", format!("/v1/admin/users/{id}"), Value::Null),
        ("GET", format!("/v1/admin/users/{id}/devices"), Value::Null),
        ("POST", format!("/v1/admin/users/{id}/sign-out"), json!({})),
        ("POST", format!("/v1/admin/users/{id}/reset"), json!({})),
        ("PUT", format!("/v1/admin/users/{id}/administrator"), json!({ "administrator": true })),
        ("POST", "/v1/admin/invitations".to_owned(), json!({ "uses": 2 })),
        ("GET", "/v1/admin/audit?act=ACT_DISABLED".to_owned(), Value::Null),
        ("PATCH", "/v1/account".to_owned(), json!({ "displayName": "The boss", "signature": "" })),
    ] {
        let (status, answer) = call(verb, &path, body).await;
        assert_eq!(status, 200, "{verb} {path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_act_on_a_server_that_runs() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    Person::register(dev.http, "ann").await.unwrap();
    let mut device = Device::sign_in(dev.edge, "ann", Transport::WebSocket).await.unwrap();
    let (said, _) = admin(dev.data(), &["disable", "--name", "ann", "--reason", "spam"], true);
    assert_eq!(said, "ann is disabled: 2 devices were signed out\n");
    device.signed_out().await.unwrap();
    assert!(Person::log_in(dev.http, "ann").await.is_err());
    let (said, _) = admin(dev.data(), &["users", "an"], true);
    assert!(said.contains("  ann  ann  disabled"), "{said}");
    admin(dev.data(), &["enable", "--name", "ann"], true);
    Person::log_in(dev.http, "ann").await.unwrap();
    let (said, _) = admin(dev.data(), &["devices", "--name", "ann"], true);
    assert!(said.lines().count() == 1 && said.contains("  127.0.0.1  "), "{said}");
    assert_eq!(admin(dev.data(), &["sign-out", "--name", "ann"], true).0, "1 device was signed out\n");
    assert_eq!(admin(dev.data(), &["reset", "--name", "ann"], true).0.lines().next().unwrap().len(), 23);
    assert!(admin(dev.data(), &["create", "--name", "ann"], true).0.contains("ann is an administrator now"));
    admin(dev.data(), &["revoke", "--name", "ann"], true);
    let (said, _) = admin(dev.data(), &["audit", "--name", "ann"], true);
    let words = ["registered", "logged in", "disabled", "enabled", "signed out", "gave a one-time password to"];
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert!(
        said.lines().any(|line| line.contains("the command line  disabled  ann") && line.ends_with("spam")),
        "{said}"
    );

    let (_, said) = admin(dev.data(), &["disable", "--name", "nobody"], false);
    assert!(said.contains("--name: nobody is called nobody"), "{said}");
    let (_, said) = admin(Path::new("/nowhere"), &["users"], false);
    assert!(said.contains("--data: there is no folder /nowhere"), "{said}");
    let (_, said) = admin(dev.data(), &["create", "--name", "n!"], false);
    assert!(said.contains("--name: "), "{said}");
}
