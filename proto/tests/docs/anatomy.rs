//! The bytes of a frame, each tag and length explained by the descriptors.

use prost::encoding::{decode_key, decode_varint};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

/// All bytes in hexadecimal, 24 a line.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let lines: Vec<String> = bytes.chunks(24).map(spaced).collect();
    lines.join("\n")
}

/// One line for each tag of a delimited message; `body` says what the field of this name holds where it is bytes.
pub(crate) fn explain(message: &MessageDescriptor, delimited: &[u8], body: Option<&MessageDescriptor>) -> String {
    let mut rest = delimited;
    let length = decode_varint(&mut rest).expect("a length");
    let prefix = &delimited[..delimited.len() - rest.len()];
    let mut lines = vec![line(0, prefix, &format!("{length} bytes follow"))];
    fields(message, rest, 0, body, &mut lines);
    lines.join("\n")
}

fn fields(
    message: &MessageDescriptor,
    bytes: &[u8],
    depth: usize,
    body: Option<&MessageDescriptor>,
    lines: &mut Vec<String>,
) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let before = rest;
        let (number, _) = decode_key(&mut rest).expect("a key");
        let field = message.get_field(number).expect("a known field");
        let inner = match field.kind() {
            Kind::Message(inner) => Some(inner),
            Kind::Bytes if field.name() == "body" => body.cloned(),
            _ => None,
        };
        let value = decode_varint(&mut rest).expect("a varint");
        let head = &before[..before.len() - rest.len()];
        if !is_delimited(&field) {
            lines.push(line(depth, head, &format!("{} = {value}", field.name())));
            continue;
        }
        let (content, after) = rest.split_at(usize::try_from(value).expect("a length"));
        rest = after;
        match inner {
            Some(inner) => {
                lines.push(line(depth, head, &format!("{}: {}, {value} bytes", field.name(), inner.name())));
                fields(&inner, content, depth + 1, body, lines);
            }
            None if field.kind() == Kind::Bytes => {
                lines.push(line(
                    depth,
                    head,
                    &format!("{}: {value} bytes, which mean nothing to others", field.name()),
                ));
            }
            None => {
                let text = std::str::from_utf8(content).expect("text");
                lines.push(line(depth, head, &format!("{} = \"{text}\", {value} bytes", field.name())));
            }
        }
    }
}

fn is_delimited(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(_) | Kind::String | Kind::Bytes)
}

fn line(depth: usize, bytes: &[u8], text: &str) -> String {
    let hex = format!("{}{}", "  ".repeat(depth), spaced(bytes));
    format!("{hex:<26}  {text}")
}

fn spaced(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}
