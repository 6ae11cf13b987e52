//! The environment: `GOGOCHAT__EDGE__LISTEN` is the key `edge.listen`, and what is nearly so is
//! named.

use toml_edit::Value;

use super::{
    given::Given,
    known::{Known, unknown},
};

/// A variable as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    /// Where: its name, after that of the file and the line if it stands in one.
    pub(super) place: String,
    pub(super) name: String,
    pub(super) value: String,
}

/// Those of this process.
pub(super) fn own() -> Vec<Variable> {
    let mut all: Vec<_> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .map(|(name, value)| Variable { place: name.clone(), name, value })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Takes in the keys that variables name.
pub(super) fn read(variables: Vec<Variable>, known: &Known, given: &mut Given) {
    for Variable { place, name, value: text } in variables {
        let upper = name.to_uppercase();
        let Some(rest) = upper.strip_prefix(PREFIX) else { continue };
        if let Some(key) = known.keys().find(|key| variable(key) == name).map(str::to_owned) {
            let value = value(&text, known.is_text(&key));
            match known.fit(&key, &value) {
                Ok(()) => given.set(key, value, place),
                Err(misfit) => given.wrong(place, key, misfit.advice),
            }
        } else if !is_of_others(rest) {
            let near = known.nearest(&rest.trim_start_matches('_').to_lowercase().replace("__", "."));
            let advice = unknown(&near.iter().map(|key| variable(key)).collect::<Vec<_>>());
            if near.is_empty() && !rest.starts_with('_') {
                given.advise(place, "nothing reads it");
            } else {
                given.wrong(place, String::new(), advice);
                given.suspect(near);
            }
        }
    }
}

/// The variable that names a key.
fn variable(key: &str) -> String {
    format!("{PREFIX}_{}", key.to_uppercase().replace('.', "__"))
}

/// A variable's value in TOML's form; text needs no quotes.
fn value(text: &str, is_text: bool) -> Value {
    let parsed = text.trim().parse::<Value>().ok();
    parsed.filter(|value| value.is_str() || !is_text).unwrap_or_else(|| Value::from(text))
}

/// Variables that are no keys: of other commands, of scripts and tests, and what Kubernetes tells
/// of a service that is named gogochat (`GOGOCHAT_SERVICE_HOST`, `GOGOCHAT_PORT_443_TCP`).
fn is_of_others(rest: &str) -> bool {
    let names = ["LOG", "MOVE_TO", "BIN", "RUN", "IMAGE", "KILL_ROUNDS", "MOVE_MESSAGES"];
    let words: Vec<_> = rest.split('_').collect();
    names.contains(&rest)
        || words.first() == Some(&"TEST")
        || words.iter().any(|word| ["PORT", "SERVICE"].contains(word))
}

const PREFIX: &str = "GOGOCHAT_";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Problem;

    fn given(variables: &[(&str, &str)]) -> Given {
        let mut given = Given::default();
        let variables = variables.iter().map(|(name, value)| Variable {
            place: (*name).to_owned(),
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        });
        read(variables.collect(), &Known::new(), &mut given);
        given
    }

    fn said(name: &str, value: &str) -> Vec<String> {
        given(&[(name, value)]).problems.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn a_variable_that_is_nearly_a_key_is_named_with_its_right_spelling() {
        for (name, right) in [
            ("GOGOCHAT_EDGE__LISTEN", "GOGOCHAT__EDGE__LISTEN"),
            ("GOGOCHAT__EDGE_LISTEN", "GOGOCHAT__EDGE__LISTEN"),
            ("GOGOCHAT_EDGE_LISTEN", "GOGOCHAT__EDGE__LISTEN"),
            ("GOGOCHAT__EDGE__LISTNE", "GOGOCHAT__EDGE__LISTEN"),
            ("gogochat__edge__listen", "GOGOCHAT__EDGE__LISTEN"),
            ("GOGOCHAT_NODE", "GOGOCHAT__NODE"),
            ("GOGOCHAT_CORE_S3_SECRET_KEY", "GOGOCHAT__CORE__S3_SECRET_KEY"),
        ] {
            assert_eq!(said(name, "s3cr3t"), [format!("{name}: there is no such key: did you mean {right}?")]);
        }
        let far = said("GOGOCHAT__COLOUR__OF_PAGE", "red");
        assert!(far.len() == 1 && far[0].contains("no such key") && !far[0].contains("did you mean"), "{far:?}");
    }

    #[test]
    fn what_others_read_is_left_alone() {
        for name in [
            "GOGOCHAT_LOG",
            "GOGOCHAT_MOVE_TO",
            "GOGOCHAT_BIN",
            "GOGOCHAT_TEST_MYSQL",
            "GOGOCHAT_REDIS_TLS_PORT",
            "GOGOCHAT_SERVICE_HOST",
            "GOGOCHAT_EDGE_SERVICE_PORT_WT",
            "GOGOCHAT_PORT_443_TCP_ADDR",
            "GOGOCHATTER",
            "HOME",
        ] {
            let given = given(&[(name, "x")]);
            assert!(given.problems.is_empty() && given.advice.is_empty(), "{name}: {given:?}");
        }
        let unread = given(&[("GOGOCHAT_FAVOURITE_COLOUR", "red")]);
        assert!(unread.problems.is_empty(), "{unread:?}");
        assert_eq!(unread.advice[0].to_string(), "GOGOCHAT_FAVOURITE_COLOUR: nothing reads it");
    }

    #[test]
    fn values_are_of_the_kind_that_the_key_wants() {
        let config = given(&[
            ("GOGOCHAT__NODE", "7"),
            ("GOGOCHAT__LOG__LEVEL", "\"debug\""),
            ("GOGOCHAT__DRAIN_MS", "5"),
            ("GOGOCHAT__CORE__TRUST_LOOPBACK", "true"),
            ("GOGOCHAT__CLUSTER__LISTEN", "127.0.0.1:1"),
            ("GOGOCHAT__EDGE__LISTEN", "[\"[::]:1\", \"0.0.0.0:2\"]"),
            ("GOGOCHAT__CORE__KAFKA_PROPERTIES", "{\"sasl.username\"=\"u\"}"),
        ]);
        let config = config.config();
        assert_eq!((config.node.as_str(), config.log.level.as_str(), config.drain_ms), ("7", "debug", 5));
        assert!(config.core.trust_loopback && config.cluster.listen.is_some() && config.edge.listen.len() == 2);
        assert_eq!(config.core.kafka_properties.get("sasl.username").map(String::as_str), Some("u"));
        assert_eq!(
            said("GOGOCHAT__EDGE__LISTEN", "[::]:443"),
            ["GOGOCHAT__EDGE__LISTEN: edge.listen: it wants a list, as [\"[::]:443\"], and this is text"]
        );
        let properties = said("GOGOCHAT__CORE__KAFKA_PROPERTIES", "{\"sasl.password\"=271828}");
        assert!(properties.len() == 1 && !properties[0].contains("271828"), "{properties:?}");
    }
}
