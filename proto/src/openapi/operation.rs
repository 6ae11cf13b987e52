//! A method as an operation: parameters, body, responses, who may call it.

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, ServiceDescriptor};
use serde_json::{Map, Value, json};

use super::{comments, schema};
use crate::{error::ErrorCode, method::Method};

/// The operation of a method.
pub(super) fn of(method: &Method) -> Value {
    let service = method.descriptor.parent_service();
    let comment = comments::of(&service.parent_file(), method.descriptor.path());
    let summary =
        if comment.is_empty() { spaced(method.descriptor.name()) } else { comments::summary(&comment).to_owned() };
    let mut operation = json!({
        "operationId": method.descriptor.name(),
        "tags": [tag(service)],
        "summary": summary,
        "description": comment,
        "parameters": parameters(method),
        "responses": responses(method, &comment),
        "security": if method.public { json!([]) } else { json!([{"bearer": []}]) },
        "x-grpc-method": method.name,
    });
    if let (true, Some(operation)) = (method.http.body, operation.as_object_mut()) {
        operation.insert("requestBody".to_owned(), body(method));
    }
    operation
}

/// The name under which a service's operations stand together: "Chat" for ChatService.
pub(super) fn tag(service: &ServiceDescriptor) -> String {
    service.name().trim_end_matches("Service").to_owned()
}

/// A response that holds an error.
pub(super) fn error_response(description: &str) -> Value {
    json!({
        "description": description,
        "content": {"application/json": {"schema": schema::reference("Error")}},
    })
}

/// Fields of the path, and, when there is no body, the others as query parameters.
fn parameters(method: &Method) -> Vec<Value> {
    let in_path = |field: &FieldDescriptor| method.http.path.contains(&format!("{{{}}}", field.name()));
    let parameter = |field: &FieldDescriptor| {
        let mut schema = schema::of_field(field);
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = Map::from_iter([("schema".to_owned(), schema)]);
        parameter.extend(description.map(|text| ("description".to_owned(), text)));
        // The path's template has proto names.
        let (name, place) = if in_path(field) { (field.name(), "path") } else { (field.json_name(), "query") };
        parameter.insert("name".to_owned(), json!(name));
        parameter.insert("in".to_owned(), json!(place));
        parameter.insert("required".to_owned(), json!(in_path(field)));
        Value::Object(parameter)
    };
    method.input().fields().filter(|field| in_path(field) || !method.http.body).map(|field| parameter(&field)).collect()
}

fn body(method: &Method) -> Value {
    let mut body = json!({
        "required": true,
        "content": {"application/json": {"schema": schema::reference(method.input().name())}},
    });
    if let (true, Some(body)) = (method.http.path.contains('{'), body.as_object_mut()) {
        body.insert(
            "description".to_owned(),
            json!("Fields of the path may be left out; where given, they have to be the same."),
        );
    }
    body
}

/// Success, each HTTP status that the comment's error codes have, and `default` for what may always happen.
fn responses(method: &Method, comment: &str) -> Value {
    let mut by_status = BTreeMap::<u16, Vec<&str>>::new();
    let listed = comments::errors(comment).into_iter().filter_map(ErrorCode::from_name);
    let always: &[ErrorCode] = if method.public {
        &[ErrorCode::InvalidArgument]
    } else {
        &[ErrorCode::InvalidArgument, ErrorCode::TokenInvalid, ErrorCode::TokenExpired]
    };
    for code in listed.chain(always.iter().copied()) {
        let codes = by_status.entry(code.http_status()).or_default();
        if !codes.contains(&code.as_str()) {
            codes.push(code.as_str());
        }
    }
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "Done.",
            "content": {"application/json": {"schema": schema::reference(method.output().name())}},
        }),
    );
    for (status, codes) in by_status {
        responses.insert(status.to_string(), error_response(&format!("{}.", codes.join(", "))));
    }
    responses.insert("default".to_owned(), json!({"$ref": "#/components/responses/Error"}));
    Value::Object(responses)
}

/// "List devices" for ListDevices.
fn spaced(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push(' ');
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}
