//! Messages and enums as JSON schemas (draft 2020-12, as OpenAPI 3.1 has it), by the proto3 JSON mapping.

use std::{collections::HashSet, sync::LazyLock};

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::{comments, rules};
use crate::method;

/// A message as an object.
pub(super) fn of_message(message: &MessageDescriptor) -> Value {
    let fields = message.fields();
    let properties: Map<String, Value> = fields.map(|field| (field.json_name().to_owned(), of_field(&field))).collect();
    let mut schema =
        Map::from_iter([("type".to_owned(), json!("object")), ("properties".to_owned(), json!(properties))]);
    let description = description(message);
    if !description.is_empty() {
        schema.insert("description".to_owned(), json!(description));
    }
    if REQUESTS.contains(message.full_name()) {
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
    Value::Object(schema)
}

/// An enum as its names.
pub(super) fn of_enum(kind: &EnumDescriptor) -> Value {
    let mut description = comments::of(&kind.parent_file(), kind.path());
    for value in kind.values() {
        let comment = comments::of(&kind.parent_file(), value.path());
        if !comment.is_empty() {
            description.push_str(&format!("\n- {}: {comment}", value.name()));
        }
    }
    let names: Vec<_> = kind.values().map(|value| value.name().to_owned()).collect();
    with_description(json!({"type": "string", "enum": names}), description.trim())
}

/// A field with its comment.
pub(super) fn of_field(field: &FieldDescriptor) -> Value {
    let comment = comments::of(&field.parent_message().parent_file(), field.path());
    if matches!(field.full_name(), "gogochat.v1.Call.body" | "gogochat.v1.Reply.body") {
        // In the JSON sub-protocol; see `json`.
        return with_description(json!({"type": "object"}), &comment);
    }
    let one = of_kind(&field.kind());
    let schema = if field.is_list() { json!({"type": "array", "items": one}) } else { one };
    with_description(rules::apply(field, schema), &comment)
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
        Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            json!({"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"})
        }
        Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"}),
        Kind::Float | Kind::Double => json!({"type": "number"}),
        Kind::String => json!({"type": "string"}),
        Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Kind::Message(message) => reference(message.name()),
        Kind::Enum(kind) => reference(kind.name()),
    }
}

/// The schema of this name among the components.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The comment, and which fields exclude each other.
fn description(message: &MessageDescriptor) -> String {
    let mut text = comments::of(&message.parent_file(), message.path());
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let names: Vec<_> = oneof.fields().map(|field| field.json_name().to_owned()).collect();
        text.push_str(&format!("\nAt most one of {}.", names.join(", ")));
    }
    text.trim().to_owned()
}

fn with_description(mut schema: Value, description: &str) -> Value {
    if let (false, Some(schema)) = (description.is_empty(), schema.as_object_mut()) {
        schema.insert("description".to_owned(), json!(description));
    }
    schema
}

/// Messages whose unknown fields are refused: clients add nothing of their own.
static REQUESTS: LazyLock<HashSet<String>> =
    LazyLock::new(|| method::all().map(|method| method.input().full_name().to_owned()).collect());
