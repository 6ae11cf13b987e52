//! What the description of REST says of a request's fields is what the core asks of them: each at its limit, and past it.

use gogochat_proto::{json, method, openapi};
use serde_json::{Map, Value, json};

use crate::support::{Node, User, new_id};

/// A field, and what is asked of it.
struct Field {
    name: String,
    schema: Value,
}

#[tokio::test]
async fn every_length_and_range_of_the_description_holds() {
    let node = Node::start().await;
    let alice = node.administrator("alice").await;
    let mut tried = 0;
    for method in method::all() {
        let fields = fields(method);
        for field in &fields {
            for (good, value) in cases(&field.schema) {
                let mut request: Map<String, Value> =
                    fields.iter().map(|other| (other.name.clone(), sample(other, &alice))).collect();
                request.insert(field.name.clone(), value);
                let refused = call(&node, &alice, &method.name, &Value::Object(request)).await;
                let at_fault = refused.iter().any(|name| {
                    name == &field.name
                        || name.starts_with(&format!("{}[", field.name))
                        || name.starts_with(&format!("{}.", field.name))
                });
                assert_eq!(at_fault, !good, "{}: {}: {}: {refused:?}", method.name, field.name, field.schema);
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

/// The fields at fault. A text that is too long has a code of its own.
async fn call(node: &Node, user: &User, method: &str, request: &Value) -> Vec<String> {
    let found = method::find(method).unwrap();
    let body = match json::request_from_json(found, request.to_string().as_bytes()) {
        Ok(body) => body,
        Err(error) => return error.violations.into_iter().map(|violation| violation.field).collect(),
    };
    let caller = gogochat_proto::node::invoke_request::Caller::AccessToken(user.token.clone());
    let short = method.strip_prefix("gogochat.v1.").unwrap();
    match node.invoke(short, Some(caller), body, "192.0.2.1").await {
        Err(error) if error.code == "text_too_long" => vec!["text".to_owned()],
        Err(error) => error.violations.into_iter().map(|violation| violation.field).collect(),
        Ok(_) => Vec::new(),
    }
}

fn fields(method: &method::Method) -> Vec<Field> {
    let schema = &openapi::document()["components"]["schemas"][method.input().name()]["properties"];
    let of = |(name, schema): (&String, &Value)| Field { name: name.clone(), schema: schema.clone() };
    // Of after_seq and before_seq a request has one.
    schema.as_object().unwrap().iter().filter(|(name, _)| *name != "afterSeq").map(of).collect()
}

/// A value that is good. The caller's own log can be read as a conversation can.
fn sample(Field { name: field, schema }: &Field, caller: &User) -> Value {
    if field == "conversationId" {
        return caller.id.to_string().into();
    }
    if schema["format"] == "uuid" {
        return new_id().into();
    }
    match schema["type"].as_str() {
        Some("integer") => 0.into(),
        Some("array") => (0..schema["minItems"].as_u64().unwrap_or(0)).map(|_| new_id()).collect::<Vec<_>>().into(),
        Some("string") if schema["format"] == "int64" => "0".into(),
        Some("string") => name(schema["minLength"].as_u64().unwrap_or(0)).into(),
        _ => Value::Null,
    }
}

/// Values at the limits, which are good, and past them.
fn cases(schema: &Value) -> Vec<(bool, Value)> {
    let mut cases = Vec::new();
    if schema["format"] == "uuid" {
        return vec![(true, new_id().into()), (false, "x".into()), (false, new_id().replace('-', "").into())];
    }
    if let Some(most) = schema["maximum"].as_i64() {
        cases.extend([(true, json!(0)), (true, json!(most)), (false, json!(most + 1)), (false, json!(-1))]);
    }
    if schema["pattern"] == "^[0-9]{1,19}$" {
        cases.extend([(true, json!("0")), (false, json!("-1"))]);
    }
    if let (Some(least), Some(most)) = (schema["minLength"].as_u64(), schema["maxLength"].as_u64()) {
        cases.extend([(true, name(least).into()), (true, name(most).into()), (false, name(most + 1).into())]);
        if least > 0 {
            cases.push((false, name(least - 1).into()));
        }
    }
    if let Some(most) = schema["maxItems"].as_u64().filter(|_| schema["items"]["format"] == "uuid") {
        let ids = |count: u64| (0..count).map(|_| new_id()).collect::<Vec<_>>();
        cases.extend([(true, json!(ids(most))), (false, json!(ids(most + 1)))]);
        if schema["minItems"] == 1 {
            cases.extend([(true, json!(ids(1))), (false, json!([]))]);
        }
    }
    cases
}

/// A text of this length that is a name as well, and new.
fn name(length: u64) -> String {
    let id = new_id().replace('-', "");
    id.chars().rev().cycle().take(usize::try_from(length).unwrap()).collect()
}
