//! The keys that there are: what each wants, and which one a wrong name was meant for.
//!
//! They follow from [`Config::default`], so that a new field of the structures is known by itself.

use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize as _, de::IntoDeserializer as _};
use serde_json::Value as Json;
use toml_edit::{InlineTable, Value};

use super::Config;

/// Every key by its path ("edge.listen"), with its default.
#[derive(Debug)]
pub(super) struct Known(BTreeMap<String, Json>);

/// A value that is not what its key wants.
#[derive(Debug)]
pub(super) struct Misfit {
    /// What is wanted instead.
    pub(super) advice: String,
    /// Where in the text the part at fault stands.
    pub(super) span: Option<Range<usize>>,
}

impl Known {
    pub(super) fn new() -> Self {
        let Ok(Json::Object(sections)) = serde_json::to_value(Config::default()) else { return Self(BTreeMap::new()) };
        let keys = sections.into_iter().flat_map(|(name, value)| match value {
            Json::Object(keys) => keys.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)).collect(),
            value => vec![(name, value)],
        });
        Self(keys.collect())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether keys stand in a section of this name.
    pub(super) fn has_section(&self, name: &str) -> bool {
        self.keys().any(|key| key.split_once('.').is_some_and(|(section, _)| section == name))
    }

    /// Whether a key's value is text, which needs no quotes in a variable.
    pub(super) fn is_text(&self, key: &str) -> bool {
        matches!(self.0.get(key), Some(Json::String(_) | Json::Null))
    }

    /// Whether the value is what the key wants.
    pub(super) fn fit(&self, key: &str, value: &Value) -> Result<(), Misfit> {
        let Err(error) = config([(key, value)]) else { return Ok(()) };
        let (wanted, alike) = wanted(self.0.get(key).unwrap_or(&Json::Null), value);
        // The reason names a value: of a table or a number it may be a password, and says nothing more.
        let advice = match alike {
            true if value.is_str() || value.is_array() => format!("{}: it wants {wanted}", error.message()),
            true => format!("it wants {wanted}"),
            false => format!("it wants {wanted}, and this is {}", kind(value)),
        };
        Err(Misfit { advice, span: error.span() })
    }

    /// The keys that a wrong one may have been meant for, if any are near: `edge.listne`, `listen`,
    /// `edge_listen`.
    pub(super) fn nearest(&self, wrong: &str) -> Vec<&str> {
        let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
        let plain = |key: &str| key.replace('.', "_");
        let distance = |known: &str| {
            let whole = strsim::osa_distance(&plain(wrong), &plain(known));
            whole.min(2 + strsim::osa_distance(&last(wrong), &last(known)))
        };
        let nearest =
            self.keys().map(distance).min().filter(|nearest| *nearest <= (1 + last(wrong).len() / 4).clamp(2, 3));
        self.keys().filter(|known| Some(distance(known)) == nearest).collect()
    }
}

/// The defaults with these values over them.
pub(super) fn config<'a>(
    values: impl IntoIterator<Item = (&'a str, &'a Value)>,
) -> Result<Config, toml_edit::de::Error> {
    let mut whole = InlineTable::new();
    for (key, value) in values {
        let Some((section, key)) = key.split_once('.') else {
            whole.insert(key, value.clone());
            continue;
        };
        let section = whole.get_or_insert(section, InlineTable::new());
        if let Some(section) = section.as_inline_table_mut() {
            section.insert(key, value.clone());
        }
    }
    Config::deserialize(Value::InlineTable(whole).into_deserializer())
}

/// Says that there is no such key, and which may have been meant.
pub(super) fn unknown<T: AsRef<str>>(nearest: &[T]) -> String {
    let nearest: Vec<_> = nearest.iter().map(AsRef::as_ref).collect();
    match nearest.is_empty() {
        true => "there is no such key: docs/gogochat.example.toml has every one".to_owned(),
        false => format!("there is no such key: did you mean {}?", nearest.join(" or ")),
    }
}

/// What a key with this default wants, and whether the value is of that kind at least.
fn wanted(default: &Json, value: &Value) -> (String, bool) {
    match default {
        Json::Bool(_) => ("true or false".into(), value.is_bool()),
        Json::Number(number) => (format!("a whole number, as {number}"), value.is_integer()),
        Json::String(_) => ("text in quotes".into(), value.is_str()),
        // Of the optional key, cluster.listen.
        Json::Null => ("an address in quotes, as \"0.0.0.0:7443\"".into(), value.is_str()),
        Json::Array(list) if list.is_empty() => ("a list in [ ]".into(), value.is_array()),
        Json::Array(_) => (format!("a list, as {default}"), value.is_array()),
        Json::Object(_) => ("a table of texts in quotes, as { \"name\" = \"value\" }".into(), value.is_inline_table()),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "a list",
        Value::InlineTable(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_brought_to_the_nearest_key() {
        let known = Known::new();
        for (wrong, near) in [
            ("edge.listne", &["edge.listen"][..]),
            ("egde.listen", &["edge.listen"]),
            ("edge_listen", &["edge.listen"]),
            ("dat", &["data"]),
            ("edge.bus_queue", &["core.bus_queue"]),
            ("certificate", &["cluster.certificate", "edge.certificate"]),
            ("edge.colour", &[]),
            ("image", &[]),
        ] {
            assert_eq!(known.nearest(wrong), near, "{wrong}");
        }
    }

    #[test]
    fn what_is_optional_and_what_is_a_table_are_keys_too() {
        let known = Known::new();
        for key in ["node", "cluster.listen", "cluster.cores", "core.kafka_properties", "log.level"] {
            assert!(known.has(key), "{key}");
        }
        assert!(known.has_section("core") && !known.has_section("node") && !known.has("core"));
    }
}
