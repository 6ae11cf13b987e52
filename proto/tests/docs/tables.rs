//! Tables of what the contract lists.

use gogochat_proto::{close::CloseCode, error::ErrorCode, http, limits, method};

pub(crate) fn errors() -> String {
    let mut rows =
        vec!["| code | gRPC | HTTP | repeat after | meaning |".to_owned(), "|---|---|---|---|---|".to_owned()];
    for code in ErrorCode::ALL {
        let repeat = match code.retry_after_ms() {
            0 => "-".to_owned(),
            ms => format!("{ms} ms"),
        };
        let grpc = format!("{} {:?}", code.status() as i32, code.status());
        rows.push(format!("| `{}` | {grpc} | {} | {repeat} | {} |", code.as_str(), code.http_status(), code.meaning()));
    }
    rows.join("\n")
}

pub(crate) fn close_codes() -> String {
    let mut rows = vec!["| code | reason | connect again | meaning |".to_owned(), "|---|---|---|---|".to_owned()];
    for code in CloseCode::ALL {
        let again = if code.reconnect() { "yes" } else { "no" };
        rows.push(format!("| {} | `{}` | {again} | {} |", code.code(), code.reason(), code.meaning()));
    }
    rows.join("\n")
}

pub(crate) fn limits() -> String {
    let mut rows = vec!["| limit | value | of what |".to_owned(), "|---|---|---|".to_owned()];
    rows.extend(limits::table().iter().map(|l| format!("| {} | {} | {} |", l.name, l.value, l.meaning)));
    rows.join("\n")
}

pub(crate) fn methods() -> String {
    let mut methods: Vec<_> = method::all().collect();
    methods.sort_by_key(|m| &m.name);
    let mut rows = vec!["| method | REST | lane | token |".to_owned(), "|---|---|---|---|".to_owned()];
    rows.extend(methods.iter().map(|m| {
        let lane = if m.ordered { "ordered" } else { "-" };
        let token = match (m.public, m.administrator) {
            (true, _) => "none",
            (false, false) => "needed",
            (false, true) => "an administrator's",
        };
        format!("| `{}` | `{} {}` | {lane} | {token} |", m.name, m.http.verb, m.http.path)
    }));
    rows.join("\n")
}

/// What a REST call with a mistake is answered with.
pub(crate) fn mistake() -> String {
    let verb = "GET".parse().expect("a verb");
    let route = http::route(&verb, "/v1/contacts").expect("a route");
    let error = route.request(Some("limit=many"), b"").expect_err("a mistake");
    let (status, json) = http::error_to_json(&error);
    format!("```\nGET /v1/contacts?limit=many\n\n{status}\n{}\n```", String::from_utf8(json).expect("text"))
}
