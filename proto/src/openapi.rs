//! The OpenAPI 3.1 document of the REST interface, derived from the descriptors and their comments, and a page that shows it.

mod comments;
mod operation;
mod page;
mod rules;
mod schema;

use std::{fmt::Write as _, sync::LazyLock};

use serde_json::{Map, Value, json};

pub use self::page::{PAGE, PAGE_POLICY};
use crate::{
    error::ErrorCode,
    limits,
    method::{self, Method, POOL},
};

/// The document.
#[must_use]
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// The document as JSON text, to be served at `/openapi.json`.
#[must_use]
pub fn json() -> &'static [u8] {
    &TEXT
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(build);
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| DOCUMENT.to_string().into_bytes());

fn build() -> Value {
    let mut methods: Vec<&Method> = method::all().collect();
    methods.sort_by_key(|method| (&method.http.path, method.http.verb.as_str()));
    let mut paths = Map::new();
    for method in methods {
        let entry = paths.entry(method.http.path.clone()).or_insert_with(|| json!({}));
        if let Some(verbs) = entry.as_object_mut() {
            verbs.insert(method.http.verb.as_str().to_ascii_lowercase(), operation::of(method));
        }
    }
    let schemas: Map<String, Value> = POOL
        .all_messages()
        .filter(|message| message.package_name() == PACKAGE)
        .map(|message| (message.name().to_owned(), schema::of_message(&message)))
        .chain(
            POOL.all_enums()
                .filter(|kind| kind.package_name() == PACKAGE)
                .map(|kind| (kind.name().to_owned(), schema::of_enum(&kind))),
        )
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "gogochat",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Accounts, contacts, conversations and their messages.",
            "description": description(),
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The server that this document comes from."}],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The access_token of a Session: from Register, LogIn or Refresh.",
                },
            },
            "responses": {
                "Error": operation::error_response("An error; `code` says which: see the table above."),
            },
        },
    })
}

/// What holds for every operation: errors and limits, as Markdown.
fn description() -> String {
    let mut text = String::from(INTRODUCTION);
    text.push_str("\n## Errors\n\n| code | HTTP | repeat after | meaning |\n|---|---|---|---|\n");
    for code in ErrorCode::ALL {
        let retry = match code.retry_after_ms() {
            0 => "never".to_owned(),
            ms => format!("{ms} ms"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {} | {retry} | {} |", code.as_str(), code.http_status(), code.meaning());
    }
    text.push_str("\n## Limits\n\n| limit | value | of what |\n|---|---|---|\n");
    for limit in limits::table() {
        let _ = writeln!(text, "| {} | {} | {} |", limit.name, limit.value, limit.meaning);
    }
    text
}

/// One for each service, in the order of their names.
fn tags() -> Vec<Value> {
    let mut services: Vec<_> = POOL.services().filter(|service| service.package_name() == PACKAGE).collect();
    services.sort_by_key(|service| service.name().to_owned());
    services
        .iter()
        .map(|service| {
            json!({
                "name": operation::tag(service),
                "description": comments::of(&service.parent_file(), service.path()),
            })
        })
        .collect()
}

const PACKAGE: &str = "gogochat.v1";

const INTRODUCTION: &str = "\
REST form of the gogochat services: the same methods as over gRPC and in a realtime session.

JSON is the proto3 mapping: lowerCamelCase names (proto names are understood too), 64-bit integers as strings, enums by name. \
A field that a request does not have is refused. An answer holds every scalar and list, also where it has the default; new fields may come at any time.

Send `Authorization: Bearer ACCESS_TOKEN`. Errors are an Error object; decide by `code`. \
Repeat a call with `retryAfterMs` above 0, unchanged, after that time. Sends and group changes carry a `clientMsgId` (a UUID): a repeat with the same id takes effect once.
";

#[cfg(test)]
mod tests;
