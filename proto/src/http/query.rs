//! Query parameters as fields of a request (application/x-www-form-urlencoded).

use percent_encoding::percent_decode;
use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Map, Value};

use crate::{error::violation, v1};

/// Names and values, decoded, in their order.
pub(super) fn parse(query: &str) -> Result<Vec<(String, String)>, v1::Error> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = text(name).ok_or_else(|| violation("", "the name of a query parameter is not UTF-8"))?;
            let value = text(value).ok_or_else(|| violation(&name, "not UTF-8"))?;
            Ok((name, value))
        })
        .collect()
}

/// The parameters as a JSON object by JSON names: those of repeated fields may come several times, others once.
/// Unknown names stay as they are and are refused with the rest of the object.
pub(super) fn fields(input: &MessageDescriptor, query: Vec<(String, String)>) -> Result<Map<String, Value>, v1::Error> {
    let mut fields = Map::new();
    for (name, text) in query {
        let Some(field) = input.get_field_by_json_name(&name).or_else(|| input.get_field_by_name(&name)) else {
            fields.insert(name, Value::Null);
            continue;
        };
        let name = field.json_name();
        let value = value(&field.kind(), text).ok_or_else(|| violation(name, "neither true nor false"))?;
        match fields.get_mut(name) {
            Some(Value::Array(items)) => items.push(value),
            Some(_) => return Err(violation(name, "given more than once")),
            None if field.is_list() => drop(fields.insert(name.to_owned(), Value::Array(vec![value]))),
            None => drop(fields.insert(name.to_owned(), value)),
        }
    }
    Ok(fields)
}

/// JSON takes numbers and enum names as strings, but not a bool.
fn value(kind: &Kind, text: String) -> Option<Value> {
    match (kind, text.as_str()) {
        (Kind::Bool, "true") => Some(Value::Bool(true)),
        (Kind::Bool, "false") => Some(Value::Bool(false)),
        (Kind::Bool, _) => None,
        _ => Some(Value::String(text)),
    }
}

fn text(encoded: &str) -> Option<String> {
    let spaced = encoded.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
