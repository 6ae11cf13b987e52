//! Protobuf messages as JSON and back, by their descriptors (the proto3 JSON mapping: lowerCamelCase names, 64-bit integers as strings, enums by name).
//!
//! Reading takes lowerCamelCase and proto names, refuses unknown fields, and names each field at fault. Writing gives every scalar
//! and list, also where it holds the default, so that a client may read a field without asking whether it is there.

mod fault;
mod frame;

use std::collections::HashSet;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde_json::Value;

pub use self::frame::{JsonError, client_frame_from_json, server_frame_to_json};
use crate::{
    error::ErrorCode,
    limits::{MAX_BODY, MAX_JSON},
    method::{Method, POOL},
    v1,
};

/// A method's request in protobuf, from its JSON.
///
/// # Errors
/// `body_too_large`; `malformed_body` when it is no JSON object; `invalid_argument` with a violation for each unknown field, or
/// for the first of a wrong type.
pub fn request_from_json(method: &Method, json: &[u8]) -> Result<Bytes, v1::Error> {
    encode_body(method, &parse(json)?)
}

/// A method's response in JSON, from its protobuf.
///
/// # Errors
/// The bytes are not the method's response message.
pub fn response_to_json(method: &Method, encoded: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {
    let value = decode(method.output(), encoded)?;
    Ok(value.to_string().into_bytes())
}

/// An error in JSON.
#[must_use]
pub fn error_value(error: &v1::Error) -> Value {
    POOL.get_message_by_name("gogochat.v1.Error")
        .and_then(|descriptor| decode(descriptor, &error.encode_to_vec()).ok())
        .unwrap_or(Value::Null)
}

/// The JSON of a body, which has to be an object.
pub(crate) fn parse(json: &[u8]) -> Result<Value, v1::Error> {
    if json.len() > MAX_JSON {
        return Err(ErrorCode::BodyTooLarge.with(format!("{} bytes of JSON: the limit is {MAX_JSON}", json.len())));
    }
    match serde_json::from_slice(json) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(ErrorCode::MalformedBody.with("the body has to be a JSON object")),
        Err(error) => Err(ErrorCode::MalformedBody.with(format!("the body is no JSON: {error}"))),
    }
}

/// The protobuf of a method's request that is given as JSON.
pub(crate) fn encode_body(method: &Method, value: &Value) -> Result<Bytes, v1::Error> {
    let body = encode(method.input(), value)?;
    if body.len() > MAX_BODY {
        return Err(ErrorCode::BodyTooLarge.with(format!("{} bytes as protobuf: the limit is {MAX_BODY}", body.len())));
    }
    Ok(body)
}

/// The protobuf of a message that is given as JSON.
pub(crate) fn encode(descriptor: MessageDescriptor, value: &Value) -> Result<Bytes, v1::Error> {
    let mut violations = Vec::new();
    check_names(&descriptor, value, "", &mut violations);
    if let Some(first) = violations.first() {
        let message = format!("{}: {}", first.field, first.description);
        return Err(v1::Error { violations, ..ErrorCode::InvalidArgument.with(message) });
    }
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    match DynamicMessage::deserialize_with_options(descriptor.clone(), deserializer, &DeserializeOptions::new()) {
        Ok(message) => Ok(message.encode_to_vec().into()),
        Err(error) => Err(fault::wrong_type(&descriptor, &track.path(), &error.to_string())),
    }
}

/// The JSON of a message that is given as protobuf.
pub(crate) fn decode(descriptor: MessageDescriptor, encoded: &[u8]) -> Result<Value, prost::DecodeError> {
    let message = DynamicMessage::decode(descriptor, encoded)?;
    let options = SerializeOptions::new().skip_default_fields(false);
    // A serializer into a `Value` fails on maps with other keys than strings alone, and a message has none.
    Ok(message.serialize_with_options(serde_json::value::Serializer, &options).unwrap_or(Value::Null))
}

/// Notes each name that the message does not have, and each field given by both of its names.
fn check_names(descriptor: &MessageDescriptor, value: &Value, path: &str, violations: &mut Vec<v1::FieldViolation>) {
    let Some(object) = value.as_object() else { return };
    let mut seen = HashSet::new();
    for (name, value) in object {
        if violations.len() >= MAX_VIOLATIONS {
            return;
        }
        let mut note = |field: &str, description: &str| {
            let field = if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
            violations.push(v1::FieldViolation { field, description: description.to_owned() });
        };
        let Some(field) = descriptor.get_field_by_json_name(name).or_else(|| descriptor.get_field_by_name(name)) else {
            note(name, "there is no such field");
            continue;
        };
        if !seen.insert(field.number()) {
            note(field.json_name(), "given twice, by both of its names");
        }
        let Kind::Message(inner) = field.kind() else { continue };
        let here = if path.is_empty() { field.json_name().to_owned() } else { format!("{path}.{}", field.json_name()) };
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    check_names(&inner, item, &format!("{here}[{index}]"), violations);
                }
            }
            other => check_names(&inner, other, &here, violations),
        }
    }
}

/// An error names at most so many fields.
const MAX_VIOLATIONS: usize = 16;

#[cfg(test)]
mod tests;
