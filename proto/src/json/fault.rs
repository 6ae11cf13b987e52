//! Which field of a message is of the wrong type, in a client's words.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_path_to_error::{Path, Segment};

use crate::{error::violation, v1};

/// The error for what was found at `path`; `reason` is the reader's own, for what no type explains.
pub(super) fn wrong_type(message: &MessageDescriptor, path: &Path, reason: &str) -> v1::Error {
    let mut name = String::new();
    let mut message = Some(message.clone());
    let mut field = None;
    let mut in_list = false;
    for segment in path {
        match segment {
            Segment::Map { key } => {
                field =
                    message.as_ref().and_then(|m| m.get_field_by_json_name(key).or_else(|| m.get_field_by_name(key)));
                message = field.as_ref().and_then(|f| f.kind().as_message().cloned());
                in_list = false;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(field.as_ref().map_or(key, FieldDescriptor::json_name));
            }
            Segment::Seq { index } => {
                in_list = true;
                name.push_str(&format!("[{index}]"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let wanted = field.and_then(|field| wanted(&field, in_list, reason));
    violation(&name, wanted.unwrap_or_else(|| reason.to_owned()))
}

fn wanted(field: &FieldDescriptor, in_list: bool, reason: &str) -> Option<String> {
    if field.is_list() && !in_list {
        return Some("has to be a list".to_owned());
    }
    Some(match field.kind() {
        Kind::Bool => "has to be true or false".to_owned(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => whole(i32::MIN, i32::MAX),
        Kind::Uint32 | Kind::Fixed32 => whole(u32::MIN, u32::MAX),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => whole(i64::MIN, i64::MAX),
        Kind::Uint64 | Kind::Fixed64 => whole(u64::MIN, u64::MAX),
        Kind::Float | Kind::Double => "has to be a number".to_owned(),
        Kind::String => "has to be a string".to_owned(),
        Kind::Bytes => "has to be a string of base64".to_owned(),
        Kind::Enum(kind) => {
            let names: Vec<_> = kind.values().map(|value| value.name().to_owned()).collect();
            format!("has to be one of {}", names.join(", "))
        }
        Kind::Message(_) if reason.starts_with("invalid type") => "has to be an object".to_owned(),
        Kind::Message(_) => return None,
    })
}

fn whole(least: impl std::fmt::Display, most: impl std::fmt::Display) -> String {
    format!("has to be a whole number from {least} to {most}")
}
