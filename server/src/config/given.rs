//! The keys that were given, each with its place, and what is wrong with how they were.

use std::{collections::BTreeMap, path::PathBuf};

use toml_edit::Value;

use super::{Config, known, problem::Problem};

/// What was read of all sources.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// The TOML file, which the server reads as well.
    pub(crate) file: Option<PathBuf>,
    values: BTreeMap<String, Value>,
    places: BTreeMap<String, String>,
    /// A source could not be read, so a key that it may have given is not known to be missing.
    pub(crate) is_unread: bool,
    /// Keys with a mistake, or for which a wrong name was meant: nothing else is said of them.
    suspects: Vec<String>,
    /// Mistakes in names and types.
    pub(crate) problems: Vec<Problem>,
    /// No mistakes, but worth saying.
    pub(crate) advice: Vec<Problem>,
}

impl Given {
    /// The flag that names the TOML file.
    pub(crate) const FILE: &str = "--config";

    /// The defaults with every right value over them.
    pub(crate) fn config(&self) -> Config {
        // Each value fits by itself, and none stands in the way of another.
        known::config(self.values.iter().map(|(key, value)| (key.as_str(), value))).unwrap_or_default()
    }

    /// Whether a mistake with a key is known already, or a wrong name may have been meant for it.
    pub(crate) fn is_suspect(&self, key: &str) -> bool {
        self.suspects.iter().any(|suspect| suspect == key)
    }

    /// The problem with the place where its key was given.
    pub(crate) fn placed(&self, problem: Problem) -> Problem {
        Problem { place: self.places.get(&*problem.key).cloned(), ..problem }
    }

    pub(super) fn set(&mut self, key: String, value: Value, place: String) {
        self.places.insert(key.clone(), place);
        self.values.insert(key, value);
    }

    /// `names`: as in the structures; in the configuration they are in small letters.
    pub(super) fn set_flag(&mut self, key: &str, names: impl Iterator<Item = String>) {
        let names: toml_edit::Array = names.map(|name| name.to_lowercase()).collect();
        if !names.is_empty() {
            let flag = format!("--{}", key.rsplit('.').next().unwrap_or(key));
            self.suspects.retain(|suspect| suspect != key);
            self.set(key.to_owned(), names.into(), flag);
        }
    }

    pub(super) fn wrong(&mut self, place: String, key: String, advice: impl Into<String>) {
        self.suspects.push(key.clone());
        self.problems.push(Problem { place: Some(place), key: key.into(), advice: advice.into() });
    }

    pub(super) fn suspect(&mut self, keys: Vec<&str>) {
        self.suspects.extend(keys.into_iter().map(str::to_owned));
    }

    pub(super) fn unreadable(&mut self, place: String, advice: impl Into<String>) {
        self.is_unread = true;
        self.wrong(place, String::new(), advice);
    }

    pub(super) fn advise(&mut self, place: String, advice: &str) {
        self.advice.push(Problem { place: Some(place), key: "".into(), advice: advice.to_owned() });
    }
}
