//! Who may call what: every method of the contract, by everybody whose rights differ, against a core.
//!
//! [`table`] says what each is answered. The test tries each cell, and docs/authorization.md shows the
//! table. `UPDATE=1 cargo test -p gogochat-core --test core authorization` writes it anew.

mod people;
mod table;

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use futures_util::{StreamExt as _, stream};
use gogochat_proto::{json, method, node::invoke_request::Caller};

use self::{
    people::{Place, Who},
    table::{ABSENT, Row, YES, rows},
};
use crate::support::Node;

#[tokio::test]
async fn every_method_answers_each_caller_as_the_table_says() {
    let node = Node::start().await;
    let wrong: Vec<String> =
        stream::iter(rows().iter().enumerate()).map(|(n, row)| tried(&node, n, row)).buffered(AT_ONCE).concat().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_method_of_the_contract_has_a_row() {
    let known: BTreeSet<&str> = method::all().map(|method| method.name.as_str()).collect();
    let rows = rows();
    let named: BTreeSet<String> = rows.iter().map(Row::method).collect();
    let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    assert_eq!(named, known, "each method has its rows in authorization/table.rs, and no other has");
}

#[test]
fn the_document_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/authorization.md");
    let have = fs::read_to_string(&path).unwrap();
    let (before, rest) = have.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let want = format!("{before}{BEGIN}\n{}{END}{after}", document());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &want).unwrap();
    } else {
        assert!(have == want, "docs/authorization.md is out of date: run UPDATE=1 with this test");
    }
}

/// Tries a row with people of its own: which cells are not as the table says.
async fn tried(node: &Node, n: usize, row: &Row) -> Vec<String> {
    let place = Place::make(node, n).await;
    let mut wrong = Vec::new();
    for (who, expected) in Who::ALL.into_iter().zip(row.answers) {
        let found = answer(node, &place, who, row).await;
        if found != expected {
            wrong.push(format!("{} ({}) by the {}: {found} in place of {expected}", row.name, row.about, who.name()));
        }
    }
    wrong
}

async fn answer(node: &Node, place: &Place, who: Who, row: &Row) -> String {
    let method = method::find(&row.method()).unwrap();
    let request = (row.request)(place, who);
    let body = json::request_from_json(method, request.to_string().as_bytes()).unwrap();
    let caller = place.token(who).map(Caller::AccessToken);
    match node.invoke(row.name, caller, body, "192.0.2.1").await {
        Err(error) => error.code,
        Ok(reply) => {
            let reply = String::from_utf8(json::response_to_json(method, &reply).unwrap()).unwrap();
            let seen = row.shows.is_none_or(|shown| reply.contains(&shown(place, who)));
            if seen { YES.to_owned() } else { ABSENT.to_owned() }
        }
    }
}

/// The table in Markdown.
fn document() -> String {
    let mut out = String::new();
    let names = Who::ALL.map(Who::name).join(" | ");
    writeln!(out, "| method | about | {names} |").unwrap();
    writeln!(out, "|---|---|{}", "---|".repeat(Who::ALL.len())).unwrap();
    for row in rows() {
        let answers = row.answers.map(|answer| match answer {
            YES | ABSENT => answer.to_owned(),
            code => format!("`{code}`"),
        });
        writeln!(out, "| `{}` | {} | {} |", row.name, row.about, answers.join(" | ")).unwrap();
    }
    out
}

const BEGIN: &str = "<!-- generated: authorization -->";
const END: &str = "<!-- /generated -->";
/// Rows that are tried at once.
const AT_ONCE: usize = 3;
